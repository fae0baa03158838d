"""A team's first week on a fork without the example: daily files, a mart per day, and what goes wrong with them.

One story, told by the commands that the documents name, each in a process of its own.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import duckdb
import pytest

from pipeline_project_tests.documents import blocks
from pipeline_project_tests.repository import ROOT
from pipeline_project_tests.test_fork import NAME, copied, environment_of, made, run, succeed
from tests.warm import Process, start

HEAD = "invoice,line,invoiced_on,country,product,quantity,price"
DAYS = [f"2026-03-{number:02}" for number in range(1, 11)]
COUNTRIES = ("EIRE", "France", "Germany", "Spain")
LINES = 12
"""Of each day, three of each country; sales of a line are 2 pieces at 1.50."""
EDITS = {
    "extract/raw_invoices.py": [
        ("import personal, table", "import RejectBudget, daily, public, table"),
        ("nullable=True, ", ""),
        ("metadata=personal", "metadata=public"),
        ("dt.Float64 = pa.Field(", "dt.Decimal(12, 2) = pa.Field(ge=0, "),
        ('"invoices_*.csv")', f'"invoices_*.csv"), partitions=daily("invoiced_on", start="{DAYS[0]}")'),
        ("@table(source", "@table(max_rejects=RejectBudget(rows=3), source"),
    ],
    "transform/sales.py": [],
    "load/sales_days.py": [
        ("import daily, internal, public, table", "import daily, public, table"),
        ("internal", "public"),
    ],
}
SOURCE = ("--kind", "csv", "--location", "billing_files", "--path", "invoices_*.csv", "--address", "./incoming")
SALES = (
    "raw_invoices.filter(_.quantity > 0)"
    '.mutate(amount=(_.quantity * _.price).cast("decimal(14,2)")).drop("quantity", "price")'
)
MART = 'sales.group_by("invoiced_on", "country").agg(amount=_.amount.sum().cast("decimal(14,2)"), sold_lines=_.count())'
CASES = {
    "golden/raw_invoices/case.yml": "description: A price that is no number is set aside.\ntables: [raw_invoices]\n",
    "golden/raw_invoices/inputs/billing_files/invoices_2026-03-01.csv": f"{HEAD}\n1,1,2026-03-01,France,P1,2,1.50\n",
    "golden/raw_invoices/inputs/billing_files/invoices_2026-03-02.csv": f"{HEAD}\n2,1,2026-03-02,EIRE,P1,3,x\n",
    "golden/sales/case.yml": "description: A line that came back is no sale.\ntables: [sales]\n",
    "golden/sales/inputs/tables/raw_invoices.csv": (
        f"{HEAD}\n1,1,2026-03-01,France,P1,2,1.50\n1,2,2026-03-01,France,P1,-1,1.50\n"
    ),
    "golden/sales_days/case.yml": (
        "description: The lines of a day and country add up.\ntables: [sales_days]\npartition: 2026-03-01..2026-03-02\n"
    ),
    "golden/sales_days/inputs/tables/sales.csv": (
        "invoice,line,invoiced_on,country,product,amount\n"
        "1,1,2026-03-01,France,P1,3.00\n1,2,2026-03-01,France,P1,4.00\n2,1,2026-03-02,EIRE,P1,5.00\n"
    ),
}
DAGSTER = f"""
import datetime

import dagster as dg

from {NAME}.definitions import defs

QUIET = {{"loggers": {{"console": {{"config": {{"log_level": "CRITICAL"}}}}}}}}
tick = datetime.datetime(2026, 3, 11, 12, tzinfo=datetime.UTC)
with dg.DagsterInstance.from_config(".dagster") as instance:
    with dg.build_schedule_context(scheduled_execution_time=tick) as context:
        (request,) = defs.resolve_schedule_def("daily").evaluate_tick(context).run_requests
    print("asked", request.tags["pipeline/partition"])
    tags = {{name: text for name, text in request.tags.items() if not name.startswith("dagster/")}}
    job = defs.resolve_job_def("pipeline")
    assert job.execute_in_process(instance=instance, tags=tags, raise_on_error=False, run_config=QUIET).success
    backfill = {{"dagster/asset_partition_range_start": "{DAYS[0]}", "dagster/asset_partition_range_end": "{DAYS[2]}"}}
    keys = [dg.AssetKey(name) for name in ("raw_invoices", "sales", "sales_days")]
    job = defs.resolve_implicit_global_asset_job_def().get_subset(asset_selection=set(keys))
    assert job.execute_in_process(instance=instance, tags=backfill, raise_on_error=False, run_config=QUIET).success
    assert all(len(instance.get_materialized_partitions(key)) >= {len(DAYS)} for key in keys)
"""
STATUSES = """
import dagster as dg

with dg.DagsterInstance.from_config(".dagster") as instance:
    print(*[run.status.value for run in instance.get_runs(limit=2)])
"""


class Team:
    """What the team does in its fork."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def pipeline(self, *arguments: str, code: int = 0) -> str:
        done = run(self.folder, sys.executable, "-m", NAME, *arguments)
        assert done.returncode == code, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done.stdout + done.stderr

    def check(self) -> subprocess.CompletedProcess[str]:
        """The part of `make check` that runs the team's code."""
        tests = f"-x {NAME}_tests/test_wiring.py {NAME}_tests/test_golden.py::test_golden"
        return run(self.folder, "make", "test", f"PYTHON={sys.executable}", "WORKERS=0", f"TESTS={tests}")

    def script(self, text: str) -> str:
        return succeed(run(self.folder, sys.executable, "-c", text))

    def rows(self, sql: str) -> list[tuple[object, ...]]:
        with duckdb.connect(str(self.folder / "data" / "warehouse.duckdb"), read_only=True) as connection:
            return connection.execute(sql).fetchall()

    def lines_of(self, day: str) -> tuple[object, ...]:
        """The lines of a day in the mart and in the table it is made of."""
        return (
            self.rows(f"SELECT sum(sold_lines)::INT FROM load.sales_days WHERE invoiced_on = '{day}'")[0]
            + self.rows(f"SELECT count(*) FROM extract.raw_invoices WHERE invoiced_on = '{day}'")[0]
        )

    def file(self, day: str) -> Path:
        return self.folder / "incoming" / f"invoices_{day}.csv"

    def late(self, invoice: int, day: str) -> None:
        """A line of `day` that stands in the newest file."""
        with self.file(DAYS[-1]).open("a") as file:
            file.write(f"{invoice},1,{day},Spain,P1,2,1.50\n")

    def deliver(self) -> None:
        (self.folder / "incoming").mkdir()
        for number, day in enumerate(DAYS):
            lines = [
                f"{100 + number},{line + 1},{day},{COUNTRIES[line % len(COUNTRIES)]},P{line},2,1.50"
                for line in range(LINES)
            ]
            self.file(day).write_text("\n".join([HEAD, *lines]) + "\n")

    def decide(self, name: str) -> None:
        """Say what a started table's file marks as undecided."""
        path = self.folder / NAME / name
        text = path.read_text().replace('description=""', 'description="As the till has it"')
        text = "".join(line for line in text.splitlines(keepends=True) if "EDIT:" not in line)
        for old, new in EDITS[name]:
            assert old in text, (old, text)
            text = text.replace(old, new)
        path.write_text(text)

    def until(self, name: str, process: Process) -> None:
        while not (self.folder / name).exists():
            assert process.poll() is None, process.communicate()
            time.sleep(0.05)
        (self.folder / name).unlink()

    def start(self, *arguments: str) -> Process:
        return start(["-m", NAME, *arguments], cwd=self.folder, env=environment_of(self.folder))


def write_the_tables(team: Team) -> None:
    """A table from the daily files, one made of it, a mart per day and country, and their cases."""
    key = ("--key", "invoice", "--key", "line")
    team.pipeline("new-source", "raw_invoices", *SOURCE, "--sample", str(team.file(DAYS[0])), *key)
    team.decide("extract/raw_invoices.py")
    team.pipeline("new-table", "sales", "--stage", "transform", "--from", "raw_invoices", "--expression", SALES, *key)
    team.decide("transform/sales.py")
    team.pipeline("new-table", "sales_days", "--stage", "load", "--from", "sales", "--expression", MART)
    team.decide("load/sales_days.py")
    for path, text in CASES.items():
        (team.folder / path).parent.mkdir(parents=True, exist_ok=True)
        (team.folder / path).write_text(text)
    team.pipeline("golden", "raw_invoices", "sales", "sales_days", code=3)
    team.pipeline("golden", "accept", "raw_invoices", "sales", "sales_days")
    succeed(run(team.folder, sys.executable, "-m", "ruff", "format", NAME))


def meet_a_red_alert(team: Team) -> None:
    """The guide's own channel is told once, and when it is over."""
    (channel,) = (block.body for block in blocks(ROOT / "docs" / "health.md") if block.target == "channel.py")
    (team.folder / "channel.py").write_text(channel)
    settings, told, address = (team.folder / name for name in (".env", "told.txt", "alerts.txt"))
    before = settings.read_text() if settings.exists() else ""
    settings.write_text(f"{before}PIPELINE_ALERTS=alerts.txt\n")
    with told.open("w") as output:
        process = subprocess.Popen([sys.executable, "channel.py"], cwd=team.folder, stdout=output)
    try:
        while not address.exists():
            assert process.poll() is None
            time.sleep(0.05)
        incoming = (team.folder / "incoming").rename(team.folder / "elsewhere")
        assert "was not built" not in team.pipeline("health", "--notify")
        team.pipeline("run", "raw_invoices", code=2)
        for _ in "12":
            assert "extract.raw_invoices was not built" in team.pipeline("health", "--notify", code=2)
        incoming.rename(team.folder / "incoming")
        team.pipeline("run", "raw_invoices")
        team.pipeline("health", "--notify")
    finally:
        process.kill()
        process.wait()
    titles = [line for line in told.read_text().splitlines() if line.startswith(f"{NAME}: ")]
    red = "extract.raw_invoices was not built"
    assert titles == [f"{NAME}: FAIL {red}", f"{NAME}: RESOLVED {red}"]
    settings.write_text(before)
    for made_here in ("channel.py", "alerts.txt", "told.txt"):
        (team.folder / made_here).unlink()


def meet_broken_wiring(team: Team) -> None:
    """What a run refuses, the check refuses as well."""
    path = team.folder / NAME / "load" / "sales_days.py"
    text = path.read_text()
    path.write_text(text.replace('daily("invoiced_on"', 'daily("sold_lines"'))
    refusal = "sales_days: its partition column 'sold_lines' is BIGINT"
    assert refusal in team.pipeline("run", code=2)
    checked = team.check()
    assert checked.returncode != 0
    assert refusal in checked.stdout
    path.write_text(text)


def meet_late_lines(team: Team) -> None:
    team.late(900, DAYS[2])
    planned = team.pipeline("plan", "--out", "late.plan", code=2)
    assert planned.count(f"changed day {DAYS[2]}\n") == 3
    assert f"load.sales_days  replaces {DAYS[2]}\n" in planned
    assert "the result is the plan" in team.pipeline("apply", "late.plan")
    assert team.lines_of(DAYS[2]) == (LINES + 1, LINES + 1)


def meet_lost_files(team: Team) -> None:
    """A day's file is gone: it fails, and what is published stays. So with two of them, whatever is built."""
    texts = {day: team.file(day).read_text() for day in DAYS[3:5]}
    team.file(DAYS[3]).unlink()
    assert f"no row is left where {LINES} are published" in team.pipeline("run", "--partition", DAYS[3], code=1)
    team.file(DAYS[4]).unlink()
    failed = team.pipeline("run", code=1)
    assert f"no row is left of 2 days ({DAYS[3]}, {DAYS[4]})" in failed
    assert "more than may_shrink=0.1" in failed
    for day, text in texts.items():
        assert team.lines_of(day) == (LINES, LINES)
        team.file(day).write_text(text)


def meet_a_cut_file(team: Team) -> None:
    whole = team.file(DAYS[5]).read_text()
    team.file(DAYS[5]).write_text(whole.removesuffix("many,P11,2,1.50\n").removesuffix("n,P11,2,1.50\n"))
    told = team.pipeline("run", "--partition", DAYS[5])
    assert f"invoices_{DAYS[5]}.csv:{LINES + 1}" in told
    assert team.rows("SELECT source_line FROM quarantine.rejects") == [(LINES + 1,)]
    assert team.lines_of(DAYS[5]) == (LINES - 1, LINES - 1)
    assert len(team.rows("SELECT DISTINCT country FROM load.sales_days")) == len(COUNTRIES)
    team.file(DAYS[5]).write_text(whole)
    assert f" s  only {DAYS[5]}..{DAYS[6]}\n" in team.pipeline("run", "--partition", f"{DAYS[5]}..{DAYS[6]}")
    assert team.lines_of(DAYS[5]) == (LINES, LINES)


def meet_the_schedule_and_a_backfill(team: Team) -> None:
    """The schedule looks back, a backfill builds what is further back."""
    path = team.folder / NAME / "definitions.py"
    path.write_text(path.read_text().replace("hour=6, ", "hour=6, lookback=3, "))
    team.late(901, DAYS[7])
    team.late(902, DAYS[1])
    assert f"asked {DAYS[6]}..{DAYS[9]}" in team.script(DAGSTER)
    assert team.lines_of(DAYS[7]) == (LINES + 1, LINES + 1)
    assert team.lines_of(DAYS[1]) == (LINES + 1, LINES + 1)


def meet_the_end_of_a_process(team: Team) -> None:
    """An exception, Ctrl-C and kill -9: nothing of it is published, and the next run goes on."""
    path = team.folder / NAME / "transform" / "sales.py"
    text = path.read_text()
    before = team.rows("SELECT * FROM transform.sales ORDER BY ALL")
    path.write_text(text.replace("    return ", '    _ = {}["NOPE"]\n    return '))
    line = path.read_text().partition('_ = {}["NOPE"]')[0].count("\n") + 1
    failed = team.pipeline("run", "sales", code=2)
    assert f"transform/sales.py:{line}): KeyError: 'NOPE'. Nothing was published" in failed
    assert "0 published, 1 failed, 0 skipped" in failed

    slow = '    import pathlib, time\n    pathlib.Path("slow").touch()\n    time.sleep(1000)\n    return '
    path.write_text(text.replace("    return ", slow))
    process = team.start("run", "sales")
    try:
        team.until("slow", process)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate()
    finally:
        process.kill()
    assert process.returncode == 130, said
    assert "interrupted while building sales; nothing of it was published" in said

    process = team.start("run", "sales")
    try:
        team.until("slow", process)
    finally:
        process.kill()
        process.communicate()
    path.write_text(text)
    assert team.rows("SELECT * FROM transform.sales ORDER BY ALL") == before
    team.pipeline("run", "sales")
    assert team.script(STATUSES).split() == ["SUCCESS", "FAILURE"]


@pytest.mark.slow
def test_the_first_week_of_a_team(tmp_path_factory: pytest.TempPathFactory, tmp_path: Path) -> None:
    team = Team(copied(made(tmp_path_factory, "small", "--example", "no"), tmp_path / NAME))
    team.deliver()
    write_the_tables(team)
    succeed(team.check())
    assert "4 published, 0 failed, 0 skipped" in team.pipeline("run")
    assert team.rows("SELECT count(*), sum(sold_lines)::INT FROM load.sales_days") == [
        (len(DAYS) * len(COUNTRIES), len(DAYS) * LINES)
    ]
    meet_a_red_alert(team)
    meet_broken_wiring(team)
    meet_late_lines(team)
    meet_lost_files(team)
    meet_a_cut_file(team)
    meet_the_schedule_and_a_backfill(team)
    meet_the_end_of_a_process(team)
    assert "0 tables change" in team.pipeline("plan")
