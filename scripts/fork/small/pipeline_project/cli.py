"""The `pipeline` command: the framework's, and what this project adds with `commands=`."""

from __future__ import annotations

from assay.cli import command_line, run

pipeline = command_line(f"{__package__}.project:project", distribution="pipeline-project")


def main() -> None:
    """The entry point of `pipeline`."""
    run(pipeline)
