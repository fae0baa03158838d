"""From the log to the warehouse: no event lost, none twice, also when the consumer is killed."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests import warm
from tests.sources.consumer import consume, ticks, warehouse
from tests.sources.log import append

ROOT = Path(__file__).parents[3]
FOR_EVER = """
import pathlib, sys
from tests.sources.consumer import consume_for_ever
consume_for_ever(pathlib.Path(sys.argv[1]))
"""


@pytest.mark.slow
def test_a_killed_consumer_loses_nothing_and_reads_nothing_twice(tmp_path):
    append(tmp_path / "log", "ticks", *({"n": number} for number in range(30)), partition=0)
    append(tmp_path / "log", "ticks", *({"n": -number} for number in range(30)), partition=1)
    for builds in (1, 2):
        with warm.start(["-c", FOR_EVER, str(tmp_path)], cwd=ROOT, env=os.environ) as process:
            for _ in range(builds):
                assert process.stdout.readline(), "the consumer stopped by itself"
            os.kill(process.pid, signal.SIGKILL)
    rows = -1
    while rows < (rows := consume(tmp_path)):
        pass
    with warehouse(tmp_path).session() as session:
        found = session.connection.execute(f"FROM {session.relation(ticks)} ORDER BY 1, 2").fetchall()
    assert found == [(0, number, number) for number in range(30)] + [(1, number, -number) for number in range(30)]
