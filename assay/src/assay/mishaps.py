"""The one place where an error that nobody foresaw passes while a table is built: it becomes a line with a place.

The line names the team's own file and line, as an error at import does, and shows of the exception's text what can
be no value of a row. The exception itself stays its cause, for `--traceback`.
"""

from __future__ import annotations

import linecache
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb

from assay.errors import CodeError, PipelineError
from assay.warehouse.failures import explained, first_line
from assay.warehouse.masked_text import masked

if TYPE_CHECKING:
    from assay.tables.nodes import Node

FRAMEWORK = Path(__file__).parent
FIX = "Nothing was published; the previous version stays. `pipeline run --traceback` shows all of it."


@contextmanager
def told(node: Node) -> Iterator[None]:
    """Raise a PipelineError in place of whatever building `node` raises inside the block; interrupts pass.

    Raises:
        CodeError: the code of the table, of the project or of the framework raised an exception.
        PipelineError: the clear form of what data, disks and memory cause.
    """
    try:
        with explained(f"{node.stage}.{node.name} ({node.file})", lambda: _code(node)):
            yield
    except PipelineError:
        raise
    except Exception as error:
        raise _by_place(node, error) from error


def _by_place(node: Node, error: Exception) -> CodeError:
    frames = traceback.extract_tb(error.__traceback__)
    package = Path(str(sys.modules[node.module.partition(".")[0]].__file__)).parent
    own = [
        frame
        for frame in frames
        if Path(frame.filename).is_relative_to(package) and not Path(frame.filename).is_relative_to(FRAMEWORK)
    ]
    # What SQL is wrong in is found when it runs, after the function returned: then its file is all that is known.
    place = f"{own[-1].filename}:{own[-1].lineno}" if own else str(node.file)
    kind, text = type(error).__name__, first_line(error)
    if not _about_sql(error):
        text = masked(text, _code(node, *(frame.filename for frame in [*own, *frames[-1:]])))
    return CodeError(
        f"{kind}: {text}" if text else kind,
        where=f"{node.stage}.{node.name} ({place})",
        fix=FIX,
    )


def _code(node: Node, *files: str) -> str:
    """The text of the node's file and of `files`, and the names of the columns it has to do with."""
    models = [getattr(node, "model", None), *node.inputs.values()]
    names = [name for model in models if model is not None for name in model.to_schema().columns]
    return "\n".join(["".join(linecache.getlines(file)) for file in sorted({str(node.file), *files})] + names)


def _about_sql(error: Exception) -> bool:
    """Whether the engine complains of the SQL itself, before it has seen a row."""
    return isinstance(error, duckdb.BinderException | duckdb.CatalogException | duckdb.ParserException)


def frames_only(error: BaseException) -> str:
    """The traceback's places and lines of code, without the messages, which may quote values."""
    cause = error.__cause__ or error
    return "".join(traceback.format_tb(cause.__traceback__)) + type(cause).__name__
