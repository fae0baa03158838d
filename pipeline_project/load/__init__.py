"""Tables and files for consumers: marts at the grain a question is asked at, and pages.

Belongs here: aggregates and exports. Does not belong here: cleaning or joining what other marts would need
too; that is `transform/`.
"""
