"""Whether a started source takes its own sample: landed through the written file, audited, in a warehouse of memory."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from assay.build import build
from assay.errors import PipelineError
from assay.golden.scaffold import example_path
from assay.sources.base import Sources
from assay.sources.fetched import Rows
from assay.sources.strict_json import dumps, loads
from assay.tables.results import AuditFailed
from assay.tables.run import Run
from assay.warehouse.connection import Options
from assay.warehouse.warehouse import DryRunWarehouse

if TYPE_CHECKING:
    from assay.project import Project
    from assay.sources.base import Source
    from assay.warehouse.session import Session


def land_sample(project: Project, *, name: str, sample: Path, kind: str, items: str | None) -> None:
    """Build table `name` from the sample alone; raises PipelineError, saying why, unless every row of it is published."""
    source = project.graph.tables[name].source
    assert source is not None
    with tempfile.TemporaryDirectory(prefix="sample_") as folder:
        place = Path(folder) / "source"
        place.mkdir()
        options = Options(threads=1, time_zone="UTC")
        warehouse = DryRunWarehouse(None, scratch=Path(folder), options=options, in_memory=True, keeps_books=False)
        with warehouse.session() as session, _served(source, sample, kind, items, place) as sources:
            built = build(project.graph, [name], session, Run.start(), sources)
            error = built.errors.get(name)
            if error is None:
                return
            why = _why(session, name, error)
    raise PipelineError(
        f"the sample does not land in the table written from it, so nothing was written: {why}",
        where=str(sample),
        fix="Mend the sample, or start without --sample and write the contract yourself.",
    )


def _why(session: Session, name: str, error: PipelineError) -> str:
    """The checks that failed, and what was wrong with the first row that could not even be read."""
    if not isinstance(error, AuditFailed):
        return error.what if error.where is None else f"{error.where}: {error.what}"
    failed = "; ".join(f"{check.name}: {check.summary}" for check in error.checks if check.blocks)
    row = session.connection.execute(
        """SELECT source_line, payload FROM quarantine.rejects
           WHERE table_name = ? AND source_line IS NOT NULL ORDER BY source_line LIMIT 1""",
        [name],
    ).fetchone()
    wrong = json.loads(row[1]).get("_error") if row else None
    return f"{failed} (line {row[0]}: {wrong})" if row and wrong else failed or error.what


def _served(source: Source, sample: Path, kind: str, items: str | None, place: Path) -> Sources:
    """The sample where the source will look for it; for an API, as its last page."""
    if kind in ("page", "api"):
        import httpx

        content = _last_page(sample, items or "data") if kind == "api" else sample.read_bytes()
        answer = httpx.MockTransport(lambda _: httpx.Response(200, content=content))
        return Sources({source.location: "http://sample"}, answer)
    if isinstance(source, Rows):
        sources = Sources({source.location: str(place)})
        if kind == "excel":
            (place / source.fetch.path).symlink_to(sample.resolve())  # type: ignore[attr-defined]  # a Sheet
            return sources
        sources.given = place
        file = place / source.location / f"{source.name}.ndjson"
        file.parent.mkdir(parents=True)
        file.symlink_to(sample.resolve())
        return sources
    path = str(getattr(source, "topic", None) or getattr(source, "path", ""))
    file = place / f"{path}.ndjson" if kind == "events" else place / example_path(path)
    file.parent.mkdir(parents=True, exist_ok=True)
    if kind == "events":
        content = sample.read_bytes()
        file.write_bytes(content if content.endswith(b"\n") else content + b"\n")
    else:
        file.symlink_to(sample.resolve())
    return Sources({source.location: str(place)})


def _last_page(sample: Path, items: str) -> bytes:
    """The sample's page as it would be if no other followed."""
    page = loads(sample.read_bytes())
    count = str(len(page[items]))
    ends = {"next": "null", "pages": "1", "total": count}
    fields = (f"{dumps(name)}: {ends.get(name) or dumps(value)}" for name, value in page.items())
    return ("{" + ", ".join(fields) + "}").encode()
