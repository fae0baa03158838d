"""Groups of commands whose help is whole, and which answer an unknown name with near ones."""

from __future__ import annotations

from typing import Any

import click

from assay.errors import did_you_mean


class Group(click.Group):
    """A group of commands; Click's own cuts each summary to what is left of one line."""

    def summaries(self, ctx: click.Context) -> list[tuple[str, str]]:
        """Every command with what it does."""
        found = ((name, self.get_command(ctx, name)) for name in self.list_commands(ctx))
        return [(name, command.get_short_help_str(limit=500)) for name, command in found if command is not None]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(self.summaries(ctx))

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, Any, list[str]]:
        if args and not args[0].startswith("-") and self.get_command(ctx, args[0]) is None:
            fix = did_you_mean(args[0], self.list_commands(ctx), f"`{ctx.command_path} --help` lists them.")
            ctx.fail(f"No such command '{args[0]}'. {fix}")
        return super().resolve_command(ctx, args)
