"""A command in a terminal of its own, so many columns wide: what a person sees of it."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import termios
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests import warm

_CODE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Screen:
    """What a command wrote into its terminal.

    Attributes:
        raw: all of it, with what was redrawn and the codes of colours.
        code: the command's exit code.
    """

    def __init__(self, raw: str, code: int) -> None:
        self.raw, self.code = raw, code

    @property
    def text(self) -> str:
        """What stays on the screen, without colours."""
        kept = (line.rsplit("\r", 1)[-1] for line in self.raw.replace("\r\n", "\n").split("\n"))
        return "\n".join(_CODE.sub("", line) for line in kept)

    @property
    def drawn(self) -> list[str]:
        """What stood in a line that was redrawn, in order, each once."""
        found = re.findall(r"\r\x1b\[K([^\r\n]+)", self.raw)
        return list(dict.fromkeys(_CODE.sub("", text) for text in found))

    def too_wide(self, columns: int) -> list[str]:
        """Lines that the terminal has to break, but for words with a slash, which stay whole to be copied."""
        lines = [*self.text.split("\n"), *self.drawn]
        return [line for line in lines if _columns(line) > columns and "/" not in line.split()[-1]]


def run(
    command: Sequence[str], *, cwd: Path, columns: int = 80, environment: Mapping[str, str] | None = None
) -> Screen:
    """Run `python COMMAND` to its end in a terminal; NO_COLOR and CI are as `environment` says."""
    known = {name: value for name, value in os.environ.items() if name not in ("CI", "NO_COLOR", "COLUMNS")}
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    process = warm.start(command, cwd=cwd, env={**known, "TERM": "xterm-256color", **(environment or {})}, tty=theirs)
    os.close(theirs)
    written = b""
    try:
        while some := _read(ours):
            written += some
        return Screen(written.decode(errors="replace"), process.wait())
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # nobody has the other side open any more
        return b""


def _columns(line: str) -> int:
    return sum(0 if unicodedata.combining(c) else 1 + (unicodedata.east_asian_width(c) in "WF") for c in line)
