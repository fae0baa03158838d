"""The benchmarks keep up with the pipeline, and say so when something they measure does not get to its end."""

from __future__ import annotations

import importlib
import re
import sys

import pytest

from benchmarks import peers, report
from benchmarks.measure import Measured, Series, process
from benchmarks.plain_pipeline import MODEL_STEP, SQL
from benchmarks.run import BENCHMARKS, parse
from pipeline_project.project import project


def test_the_plain_script_makes_the_pipelines_tables():
    before, after = SQL.read_text().split(MODEL_STEP)
    made = set(re.findall(r"^CREATE TABLE (?:extract|transform|load)\.(\w+)", before + after, re.MULTILINE))
    by_the_model = {name for name, table in project.graph.tables.items() if table.engine == "python"}
    assert made | by_the_model == set(project.graph.tables)
    assert not made & by_the_model


def test_the_peers_make_the_six_tables_from_what_the_pipeline_makes_them_from():
    tables, found, left = project.graph.tables, set(), [*peers.SIX]
    while left:
        name = left.pop()
        found.add(name)
        left += tables[name].inputs
    made = dict(peers.made_by(SQL.read_text()))
    assert {(name, made[name][0]) for name in peers.needed(made)} == {(name, tables[name].stage) for name in found}


@pytest.mark.parametrize("name", BENCHMARKS)
def test_every_benchmark_can_be_measured(name):
    assert callable(importlib.import_module(f"benchmarks.{name}").measure)


def test_named_benchmarks_run_in_the_pages_order():
    chosen, options = parse(["scale", "job", "--millions", "1,10", "--repeat", "2"])
    assert chosen == ["job", "scale"]
    assert (options.millions, options.repeat, options.rows) == ((1, 10), 2, None)


def test_an_unknown_benchmark_is_refused(capsys):
    with pytest.raises(SystemExit):
        parse(["jobs"])
    assert "no benchmark jobs" in capsys.readouterr().err


def test_one_part_of_the_page_is_replaced_and_the_others_stay(tmp_path, monkeypatch):
    monkeypatch.setattr(report, "PAGE", tmp_path / "README.md")
    order = ("first", "second")
    report.update(order, "second", "two", head="# Head")
    report.update(order, "first", "one", head="# Head")
    report.update(order, "second", "2\n\n| a |", head="# New")
    assert report.read() == {"first": "one", "second": "2\n\n| a |"}
    text = (tmp_path / "README.md").read_text()
    assert text.startswith("# New\n")
    assert text.index("one") < text.index("| a |")
    assert "two" not in text


def test_a_process_that_fails_or_takes_too_long_is_told_as_such():
    good = process([sys.executable, "-c", "print('done')"])
    assert (good.failure, good.output) == (None, "done\n")
    assert good.peak_mb > 1
    bad = process([sys.executable, "-c", "raise SystemExit('no rows')"])
    assert bad.failure == "failed: no rows"
    assert process([sys.executable, "-c", "raise SystemExit(3)"], good=(0, 3)).failure is None
    slow = process([sys.executable, "-c", "import time; time.sleep(60)"], timeout=0.2)
    assert slow.failure is not None
    assert slow.failure.startswith("not finished after")


def test_ratios_are_of_the_best_runs_or_of_the_rounds():
    def series(*seconds: float, failure: str | None = None) -> Series:
        return Series(tuple(Measured(each, 500, 1.0, failure) for each in seconds))

    base = series(2.0, 4.0, 3.0)
    assert series(3.0, 9.0, 5.0).cells(base) == ["3.00 s", "5.00 s", "1.50x", "1.00 s", "0.5 GB"]
    assert series(3.0, 9.0, 5.0).cells(base, by_round=True)[2] == "1.67x"
    assert series(1.0, failure="more than 8 GB").cells(base)[0] == "more than 8 GB"
    assert series(3.0).cells(series(1.0, failure="failed"))[2] == ""
