"""The subcommands of `pipeline`: parse, call, print.

Belongs here: options, what is printed, exit codes. Does not belong here: deciding anything. The rooms that do the work
are imported inside the commands, so that a command pays for no other's imports.
"""
