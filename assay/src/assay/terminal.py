"""The one way to a terminal: what acts or hides in a text is shown, and only this program's own colours are sent.

A value, a name or a path can hold what clears a screen, sets a window's title, or turns a line around. Colours are made
here, so that they can be told from those that data brings along; `tests/test_house.py` holds that nothing else prints.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from assay.words import harmless

if TYPE_CHECKING:
    from rich.console import Console

_OWN = "\ud81b"
"""Stands for ESC in our own colours until they are printed: half a character, which no text of a source can hold."""


def styled(text: str, **style: Any) -> str:
    """`text` with the colours of `click.style`, for `say`."""
    return click.style(harmless(text), **style).replace("\x1b", _OWN)


def unstyled(text: str) -> str:
    """`text` as `say` prints it where there are no colours."""
    return click.unstyle(_sent(text))


def say(text: str = "", *, err: bool = False, nl: bool = True) -> None:
    """Print `text`, on standard error if `err`; colours only where somebody sees them."""
    click.echo(_sent(text), err=err, nl=nl)


def rewrite(text: str) -> None:
    """Write `text` on standard error over the line that stands there."""
    click.echo(f"\r\x1b[K{harmless(text)}", nl=False, err=True)


def say_json(value: Any) -> None:
    """Print `value` as JSON, in ASCII: what hides in a text is escaped as JSON has it."""
    click.echo(json.dumps(value, indent=2))


def console(**options: Any) -> Console:
    """Rich's console, which prints texts as `say` does, and takes no markup or emoji from them."""
    from rich.console import Console
    from rich.text import Text

    class Harmless(Console):
        def render_str(self, text: str, **keywords: Any) -> Text:
            return super().render_str(harmless(text), **keywords)

    return Harmless(**{"highlight": False, "markup": False, "emoji": False, "soft_wrap": True, **options})


def _sent(text: str) -> str:
    return _OWN.join(map(harmless, text.split(_OWN))).replace(_OWN, "\x1b")
