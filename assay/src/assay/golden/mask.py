"""Classified values in golden files: a digest under a key of the project, so that a change still shows.

Numbers in the order of appearance would tell nothing at all, but would not notice that every address came out in capitals,
or in the place of the name: what a golden is for. A digest without a key is no mask: whoever guesses a value knows it.

The key is `PIPELINE_MASK_KEY`, else the file `golden/.mask_key`, which the first masked golden writes and which is
committed, as goldens are equal on every machine. It keeps values from those who see a report, a log or a golden, but not
the repository; who has that has the cases' inputs, too. Where inputs are nobody's business either, the variable takes the
file's place on the machines that may know.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from assay.errors import GoldenError, on_disk
from assay.golden.yaml_file import shown
from assay.sql import literal, quoted

if TYPE_CHECKING:
    from assay.project import Project

FILE = ".mask_key"
SHORTEST = 16
_SHOWN = 12


class Mask:
    """Masks values under one key; equal values are equal afterwards.

    The key goes through a hash first, so that it is of one length and never part of a statement.
    """

    def __init__(self, key: str) -> None:
        self._key = hashlib.sha256(key.encode()).hexdigest()

    def text(self, value: object) -> str | None:
        """The value masked; None stays None, for a missing value tells nothing."""
        if value is None:
            return None
        text = value if isinstance(value, str) else json.dumps(value)
        return f"masked:{_digest(self._key + _digest(self._key + text))[:_SHOWN]}"

    def sql(self, column: str) -> str:
        """SQL for the same of a column. Hashed twice, as HMAC does, which DuckDB does not have."""
        key, text = literal(self._key), f"CAST({quoted(column)} AS VARCHAR)"
        digest = f"left(sha256({key} || sha256({key} || {text})), {_SHOWN})"
        return f"CASE WHEN {quoted(column)} IS NOT NULL THEN {literal('masked:')} || {digest} END"


def project_mask(project: Project) -> Mask:
    """The project's mask; its key is written where there is none yet.

    Raises:
        GoldenError: the key's file cannot be read or written, or holds none.
    """
    given = project.settings().mask_key
    if given is not None:
        return Mask(given.get_secret_value())
    file = project.golden / FILE
    with on_disk(GoldenError, "cannot be read or written", where=shown(file)):
        if not file.exists():
            _write_once(file, f"{secrets.token_hex(32)}\n")
        key = file.read_text(encoding="utf-8").strip()
    if len(key) < SHORTEST:
        raise GoldenError(
            f"is no key of at least {SHORTEST} characters", where=shown(file),
            fix="Restore it; or delete it for a new one, and accept the goldens with masked values again.",
        )  # fmt: skip
    return Mask(key)


def _write_once(file: Path, text: str) -> None:
    """Write the file whole, unless another process, such as another worker, has just done so."""
    with tempfile.NamedTemporaryFile("w", dir=file.parent, prefix=FILE, encoding="ascii") as stream:
        stream.write(text)
        stream.flush()
        with suppress(FileExistsError):
            os.link(stream.name, file)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
