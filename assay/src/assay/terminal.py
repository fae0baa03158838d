"""The one way to a terminal: fitted to its width, with our own colours where they are wanted, and a line of what goes on.

A value, a name or a path can hold what clears a screen, sets a window's title, or turns a line around: what acts or hides
in a text is shown. Colours are made here, so that they can be told from those that data brings along;
`tests/test_terminal.py` holds that nothing else prints. Output that is piped is not fitted: there a fact stays on its
line, for whoever searches it.
"""

from __future__ import annotations

import json
import os
import re
import sys
import threading
import time
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO

import click

from assay import notices
from assay.words import harmless

REDRAWN = 0.2
"""Seconds between two looks at what goes on."""
PROSE = 100
"""Columns beyond which lines of prose are hard to follow."""
_CODE = re.compile(r"\x1b\[[0-9;]*m")
_OWN = "\ud81b"
"""Stands for ESC in our own colours until they are printed: half a character, which no text of a source can hold."""
_live: list[Live] = []


def styled(text: str, **style: Any) -> str:
    """`text` with the colours of `click.style`, for `say`."""
    return click.style(harmless(text), **style).replace("\x1b", _OWN)


def unstyled(text: str) -> str:
    """`text` as `say` prints it where there are no colours."""
    return click.unstyle(_sent(text))


def columns(stream: TextIO) -> int | None:
    """How wide the terminal behind `stream` is; None where there is none."""
    try:
        if not stream.isatty():
            return None
        return os.get_terminal_size(stream.fileno()).columns or 80
    except (OSError, ValueError):
        return None


def say(text: str = "", *, err: bool = False, nl: bool = True, whole: bool = False) -> None:
    """Print a line, or several, fitted to the terminal; NO_COLOR (https://no-color.org) takes the colours away.

    Args:
        nl: whether the line ends after it.
        whole: whether lines stay as they are, such as JSON's.
    """
    if _live:
        _live[-1].say(text, err=err)
    else:
        _write(sys.stderr if err else sys.stdout, text, nl=nl, whole=whole)


def say_json(value: Any) -> None:
    """Print `value` as JSON, in ASCII: what hides in a text is escaped as JSON has it."""
    click.echo(json.dumps(value, indent=2))


def say_page(markdown: str) -> None:
    """Print our own Markdown: laid out, and to be scrolled, in a terminal; as it is where output is piped."""
    width = columns(sys.stdout)
    if width is None:
        say(markdown, nl=False, whole=True)
        return
    from rich.console import Console
    from rich.markdown import Markdown

    console = Console(force_terminal=True, width=min(width, PROSE))
    with console.capture() as captured:
        console.print(Markdown(markdown, hyperlinks=False))
    click.echo_via_pager(captured.get())


def fit(text: str, width: int | None) -> str:
    """`text` with its long lines broken between words; what follows stands under the first word after a label.

    What has a slash, such as a path or an address, is never broken: it could not be copied in pieces.
    """
    return text if width is None else "\n".join(each for line in text.split("\n") for each in _broken(line, width))


def wide(text: str) -> int:
    """How many columns `text` takes."""
    shown = _CODE.sub("", text)
    return sum(0 if unicodedata.combining(c) else 1 + (unicodedata.east_asian_width(c) in "WF") for c in shown)


def cut(text: str, width: int) -> str:
    """The beginning of `text`, in at most `width` columns."""
    if wide(text) <= width:
        return text
    while wide(text) >= width:
        text = text[:-1]
    return f"{text}…"


def _broken(line: str, width: int) -> Iterator[str]:
    if wide(line) <= width:
        yield line
        return
    plain = _CODE.sub("", line)
    indent = len(plain) - len(plain.lstrip())
    label = re.search(r"\S  +(?=\S)", plain)
    hang = " " * (label.end() if label and label.end() <= width // 2 else min(indent or 4, width // 2))
    so_far = line[:indent] if not line[:indent].strip() else ""
    empty = True
    for gap, word in re.findall(r"(\s*)(\S+)", line[len(so_far) :]):
        if not empty and wide(so_far + gap + word) > width:
            yield so_far
            so_far, gap, empty = hang, "", True
        so_far, empty = so_far + gap + word, False
        while "/" not in word and wide(so_far) > width:
            yield so_far[:width]
            so_far = hang + so_far[width:]
    yield so_far


def _write(stream: TextIO, text: str, *, nl: bool = True, whole: bool = False) -> None:
    shown = fit(_sent(text), None if whole else columns(stream))
    click.echo(shown, file=stream, nl=nl, color=False if os.environ.get("NO_COLOR") else None)


def _sent(text: str) -> str:
    return _OWN.join(map(harmless, text.split(_OWN))).replace(_OWN, "\x1b")


@contextmanager
def live() -> Iterator[Live]:
    """A line that says what goes on, for the time of the block.

    Output goes to what standard output and error are now: Dagster redirects both while a table is built.
    """
    found = Live()
    _live.append(found)
    try:
        with notices.telling(lambda text: found.say(text, err=True)):
            yield found
    finally:
        _live.remove(found)
        found.close()


class Live:
    """The last line of a terminal, which says what goes on and since when; where there is no terminal, nothing."""

    def __init__(self) -> None:
        self._out, self._err = _kept(sys.stdout), _kept(sys.stderr)
        self._lock, self._ended = threading.RLock(), threading.Event()
        self._what, self._since = "", time.monotonic()
        self._more: Callable[[], str] = str
        # A build server may have a terminal, and keeps every redrawn line.
        self._width = None if os.environ.get("TERM") == "dumb" or os.environ.get("CI") else columns(self._err)
        self._thread = threading.Thread(target=self._redraw, daemon=True) if self._width else None
        if self._thread:
            self._thread.start()

    def doing(self, what: str, more: Callable[[], str] = str, *, since: float | None = None) -> None:
        """Say `what` goes on from now on, or since a `time.monotonic()`, and with each look what `more` says of it."""
        with self._lock:
            self._what, self._more = harmless(what, ""), more
            self._since = time.monotonic() if since is None else since
            self._draw()

    def say(self, text: str, *, err: bool = False) -> None:
        """Print lines above the live one."""
        with self._lock:
            self._draw(empty=True)
            _write(self._err if err else self._out, text)
            self._draw()

    def close(self) -> None:
        """Take the line away."""
        self._ended.set()
        if self._thread:
            self._thread.join()
        with self._lock:
            self._draw(empty=True)
            self._what = ""
        for stream in (self._out, self._err):
            if stream not in (sys.stdout, sys.stderr):
                stream.close()

    def _redraw(self) -> None:
        while not self._ended.wait(REDRAWN):
            with self._lock:
                self._draw()

    def _draw(self, *, empty: bool = False) -> None:
        if not self._width or not self._what:
            return
        seconds = time.monotonic() - self._since
        line = (
            ""
            if empty
            else cut("  ".join(filter(None, (self._what, f"{seconds:.0f} s", self._more()))), self._width - 1)
        )
        with suppress(OSError):
            os.write(self._err.fileno(), f"\r\x1b[K{line}".encode(errors="replace"))


def _kept(stream: TextIO) -> TextIO:
    """The file behind `stream`, whatever becomes of its number; `stream` itself where it has none, as in tests."""
    try:
        stream.flush()
        return os.fdopen(os.dup(stream.fileno()), "w", buffering=1, encoding=stream.encoding, errors=stream.errors)
    except (OSError, ValueError, AttributeError):
        return stream
