"""A project whose tables do not fit together fails one test with that one sentence, and not all that would need them."""

from __future__ import annotations

import pytest

from assay.errors import PipelineError
from assay.project import Project

_told: set[str] = set()


def fits(project: Project) -> None:
    """Raise what is wrong with the project's tables; once a process, for whoever asks after that is skipped.

    Raises:
        PipelineError: a file of a table cannot be imported, or the tables do not fit together.
    """
    try:
        _ = project.graph
    except PipelineError as error:
        if str(error) in _told:
            pytest.skip(f"another test says it: {error}")
        _told.add(str(error))
        raise
