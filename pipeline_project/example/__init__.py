"""The example's demo sources: what would be somebody else's servers. A fork deletes this folder.

Belongs here: serving the real rows of two installed packages the way a shop would: files, a web page, a paged
API and an event log. Only the transport is simulated. Does not belong here: anything a table needs.
"""
