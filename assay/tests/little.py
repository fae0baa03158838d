"""A little project in a folder of its own, whose commands run as processes: `python run.py run` is `pipeline run`."""

from __future__ import annotations

import atexit
import functools
import json
import os
import shutil
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from assay.orchestration import history
from tests import warm

ROOT = Path(__file__).parents[2]

PROJECT = """
import os
from pathlib import Path
from assay.project import Project
from assay.settings import BaseSettings
from assay.sources.base import Sources

ROOT = Path(__file__).resolve().parent.parent
project = Project(
    package="little",
    stages=("extract",),
    root=ROOT,
    settings=lambda: BaseSettings.read(os.environ, root=ROOT),
    sources=lambda _: Sources({"files": str(ROOT)}),
)
"""

DEFINITIONS = """
import dagster as dg
from assay.orchestration.assets import build_assets, build_resources
from assay.orchestration.jobs import project_jobs
from little.project import project

defs = dg.Definitions(
    assets=build_assets(project), resources=build_resources(project), jobs=project_jobs(project),
    executor=dg.in_process_executor,
)
"""

RUN = """
import sys
import little.project
sys.modules["pipeline_project.project"] = little.project
from pipeline_project.cli import main

main()
"""

MANY = """
import contextlib, io, json, sys
import little.project
sys.modules["pipeline_project.project"] = little.project
from pipeline_project.cli import main

told, commands = [], json.loads(sys.stdin.read())
sys.stdin = io.StringIO("s\\n" * 99)
for arguments in commands:
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in "12")
    sys.argv = ["pipeline", *arguments]
    code = 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main()
        except SystemExit as leaving:
            code = leaving.code or 0
    told.append([code, *(each.buffer.getvalue().decode() for each in (out, err))])
print(json.dumps(told))
"""

TABLE = '''"""One row per number."""

import time
from dataclasses import dataclass
from pathlib import Path

import ibis
import ibis.expr.datatypes as dt
import pandera.ibis as pa
from pandera.typing.ibis import Table

from assay import personal, public, table
from assay.errors import SourceError
from assay.sources.base import Landed, ReadWhole

ROOT = Path(__file__).resolve().parents[2]


class Numbers(pa.DataFrameModel):
    n: dt.Int64 = pa.Field(metadata=public)
    who: dt.String = pa.Field(nullable=True, metadata=personal)

    class Config:
        strict = True


@dataclass(frozen=True)
class Given(ReadWhole):
    location: str = "files"
    columns = None

    def fingerprint(self, base, transport=None, settings=None):
        return "1"

    def land(self, landing):
        ROOT.joinpath("began").write_text("")
        {land}
        return Landed("SELECT 1::BIGINT AS n, 'ann@example.org' AS who", "1")


@table(source=Given())
def {name}(source: ibis.Table) -> Table[Numbers]:
    """Numbers."""
    {body}
    return source
'''


@functools.cache
def empty_history() -> Path:
    """A folder with Dagster's history of nothing: to make it takes as long as a run."""
    home = Path(tempfile.mkdtemp(prefix="history-"))
    atexit.register(shutil.rmtree, home)
    with history.instance(home):
        return home


class Little:
    """The project in `root`, with the tables that `table` writes; its history is empty, or still to be made."""

    def __init__(self, root: Path, *, is_new: bool = False) -> None:
        self.root = root
        package = root / "little"
        (package / "extract").mkdir(parents=True)
        (package / "__init__.py").write_text("")
        (package / "extract" / "__init__.py").write_text("")
        (package / "project.py").write_text(PROJECT)
        (package / "definitions.py").write_text(DEFINITIONS)
        (root / "run.py").write_text(RUN)
        (root / "dagster.yaml").write_text((ROOT / "dagster.yaml").read_text())
        if not is_new:
            shutil.copytree(empty_history(), root / ".dagster")

    @property
    def warehouse(self) -> Path:
        return self.root / "data" / "warehouse.duckdb"

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "PYTHONPATH": f"{self.root}{os.pathsep}{ROOT}", "NO_COLOR": "1", "PIPELINE_THREADS": "1"}

    def table(self, name: str, *, land: str = "pass", body: str = "pass") -> Path:
        """Write the table `name`, whose source runs `land`, and whose function runs `body`."""
        file = self.root / "little" / "extract" / f"{name}.py"
        file.write_text(TABLE.replace("{land}", land).replace("{name}", name).replace("{body}", body))
        return file

    def start(self, *arguments: str, environment: Mapping[str, str] | None = None) -> warm.Process:
        """A command of the project."""
        return warm.start(["run.py", *arguments], cwd=self.root, env=self.environment | dict(environment or {}))

    def run(self, *arguments: str, environment: Mapping[str, str] | None = None) -> tuple[int, str, str]:
        """The exit code, standard output and standard error of a command."""
        with self.start(*arguments, environment=environment) as process:
            output, errors = process.communicate()
        return process.wait(), output, errors

    def many(
        self, *commands: Sequence[str], environment: Mapping[str, str] | None = None
    ) -> list[tuple[int, str, str]]:
        """The same of several commands, one after the other in one process; what they ask is answered with `s`."""
        done = warm.run(
            ["-c", MANY],
            cwd=self.root,
            env=self.environment | dict(environment or {}),
            given=json.dumps(commands),
        )
        assert done.returncode == 0, done.stderr
        return [(code, output, errors) for code, output, errors in json.loads(done.stdout)]

    def until(self, name: str, process: warm.Process | None = None) -> None:
        """Wait for the file `name`, which the code of a table writes."""
        while not (self.root / name).exists():
            assert process is None or process.poll() is None, process.communicate()
            time.sleep(0.02)
