"""The one door into a case: its inputs where the sources would be, its given tables published, all of it in memory."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from assay.build import BuildResult, build
from assay.errors import SettingsError, did_you_mean
from assay.golden.case import Case
from assay.golden.given import publish_given, with_returned
from assay.golden.inputs import FixtureSources, build_names, find_inputs
from assay.settings import BaseSettings
from assay.sources.base import Sources
from assay.tables.declared import fixture
from assay.tables.graph import Graph
from assay.warehouse.connection import Options
from assay.warehouse.session import Engine, Session
from assay.warehouse.warehouse import DryRunWarehouse


@dataclass(frozen=True)
class OpenedCase:
    """A case that can be built.

    Attributes:
        graph: the project's, but that functions whose rows the case gives return these.
        names: the tables to build, upstream first.
        folder: where everything lies that is put on the disk.
    """

    case: Case
    graph: Graph
    names: list[str]
    session: Session
    sources: Sources
    folder: Path

    def build(self, graph: Graph | None = None) -> BuildResult:
        """Build the case's tables, as `graph` or as the case's own has them."""
        return build(graph or self.graph, self.names, self.session, self.case.run(), self.sources)


@contextmanager
def opened_case(
    graph: Graph,
    case: Case,
    subjects: Sequence[str] | None = None,
    *,
    settings: Callable[[], type[BaseSettings]] | None = None,
    after: OpenedCase | None = None,
    threads: int = 1,
    time_zone: str = "UTC",
    engine: Engine | None = None,
) -> Iterator[OpenedCase]:
    """A case, open for the time of the block.

    Args:
        subjects: the tables that are asked for; all that the case is about.
        settings: tells the kind of the project's settings, where a table reads some.
        after: a case in whose database this one continues, as a source's next landing.
        threads: the data is tiny, so that a second one would only wait.
        engine: computes tables and contracts; None for DuckDB.

    Raises:
        GoldenError: an input cannot be read, or a given table breaks its own contract.
    """
    inputs = find_inputs(case, graph)
    names = build_names(case, graph, case.subjects if subjects is None else subjects, inputs)
    with ExitStack() as stack:
        if after is None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="golden_")))
            # Without books: nobody will ask them.
            options = Options(threads=threads, time_zone=time_zone)
            warehouse = DryRunWarehouse(
                None, scratch=folder, options=options, in_memory=True, keeps_books=False, engine=engine
            )
            session: Session = stack.enter_context(warehouse.session())
            publish_given(session, graph, inputs, names)
        else:
            folder, session = after.folder, after.session
        served = Path(tempfile.mkdtemp(prefix="sources_", dir=folder))
        sources = stack.enter_context(FixtureSources(inputs, graph, served))
        if settings is not None and (case.settings or any(graph.nodes[name].settings for name in names)):
            sources.settings = _settings(case, settings())
        yield OpenedCase(case, with_returned(graph, session, inputs.returned), names, session, sources, folder)


def _settings(case: Case, kind: type[BaseSettings]) -> BaseSettings:
    """The case's settings; the machine's own never reach a case."""
    for name in case.settings:
        if name not in kind.model_fields or name in BaseSettings.model_fields:
            known = [each for each in kind.model_fields if each not in BaseSettings.model_fields]
            fix = did_you_mean(name, known, "Name fields of the project's Settings.")
            raise case.error(f"'{name}' is no setting of the project's own", "settings", name, fix=fix)
    try:
        return fixture(kind, case.settings)
    except SettingsError as error:
        raise case.error(f"'{error.where}': {error.what}", "settings", error.where or "") from None
