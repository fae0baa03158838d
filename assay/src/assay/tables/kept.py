"""What was found in a file of code, kept beside its byte code for the next process, as Python keeps that."""

from __future__ import annotations

import hashlib
import pickle
import sys
from collections.abc import Callable
from contextlib import suppress
from importlib.util import cache_from_source
from pathlib import Path
from typing import TypeVar

from assay.disk import write_atomically

T = TypeVar("T")


def kept(path: str, of: bytes, find: Callable[[], T]) -> T:
    """What `find` finds in the file, from an earlier process if that kept it.

    It stands under the hash of all it follows from, so it is never another's: a file that changed is read again.

    Args:
        of: what it follows from: the file's content, and whatever else decides about it.
    """
    beside, key = Path(cache_from_source(path)).with_suffix(".found"), hashlib.sha256(of).digest()
    with suppress(Exception):  # there is none, it is another's, or it was cut off: then it is found again
        held = beside.read_bytes()
        if held.startswith(key):
            known: T = pickle.loads(held[len(key) :])
            return known
    found = find()
    if not sys.dont_write_bytecode:
        with suppress(OSError):  # nobody may write there
            write_atomically(beside, key + pickle.dumps(found))
    return found
