"""Running something in a fresh process: how long it took, how much memory it held, and whether it got to the end."""

from __future__ import annotations

import dataclasses
import importlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PYTHON = (sys.executable, "-W", "ignore")
HEAD = ("best", "median", "ratio", "CPU", "peak memory")
"""Of what `Series.cells` returns: wall clock, ratio of the bests or by rounds, least processor time, most memory."""


@dataclass(frozen=True)
class Measured:
    """One process.

    Attributes:
        seconds: of the part that is measured: what the program reported, else the whole process.
        peak_mb: the most memory the process held.
        cpu: processor seconds of the same part or the whole process, which depend less on what else the machine does.
        failure: why there is no result; None if there is one.
        facts: what else the program reported.
        output: what it printed.
    """

    seconds: float
    peak_mb: float
    cpu: float
    failure: str | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    output: str = ""


@dataclass(frozen=True)
class Series:
    """The same measurement, repeated."""

    runs: tuple[Measured, ...]

    @property
    def failure(self) -> str | None:
        return next((run.failure for run in self.runs if run.failure), None)

    @property
    def best(self) -> float:
        return min(run.seconds for run in self.runs)

    @property
    def median(self) -> float:
        return statistics.median(run.seconds for run in self.runs)

    @property
    def peak_mb(self) -> float:
        return max(run.peak_mb for run in self.runs)

    @property
    def cpu(self) -> float:
        return min(run.cpu for run in self.runs)

    def cells(self, against: Series, *, by_round: bool = False) -> list[str]:
        """A row under `HEAD`.

        Args:
            by_round: the ratio is the median of the ratios of the first runs, the second runs, and so on. For what
                takes tenths of a second: the best of either side is luck, and in a round the machine is the same.
        """
        memory = f"{self.peak_mb / 1000:.1f} GB"
        if self.failure:
            return [self.failure, "", "", "", memory]
        ratio = "" if against.failure else f"{self._ratio(against, by_round):.2f}x"
        return [seconds(self.best), seconds(self.median), ratio, seconds(self.cpu), memory]

    def _ratio(self, against: Series, by_round: bool) -> float:
        if not by_round:
            return self.best / against.best
        rounds = zip(self.runs, against.runs, strict=True)
        return statistics.median(ours.seconds / theirs.seconds for ours, theirs in rounds)


def child(
    target: Callable[..., Mapping[str, Any]],
    /,
    *,
    timeout: float | None = None,
    memory_gb: float | None = None,
    **arguments: Any,
) -> Measured:
    """Call `target(**arguments)` in a fresh process.

    Args:
        target: returns facts that JSON can hold; its `seconds` and `cpu`, if there, are what is measured.
        arguments: of simple types.
    """
    with tempfile.TemporaryDirectory(prefix="bench_") as folder:
        answer = Path(folder) / "answer.json"
        name = f"{target.__module__}:{target.__qualname__}"
        command = [*PYTHON, "-m", "benchmarks.measure", name, json.dumps(arguments), str(answer)]
        measured = process(command, timeout=timeout, memory_gb=memory_gb)
        if measured.failure or not answer.exists():
            return measured
        facts = json.loads(answer.read_text())
    told = {name: facts.get(name, getattr(measured, name)) for name in ("seconds", "cpu")}
    return dataclasses.replace(measured, **told, facts=facts)


def process(
    command: Sequence[str],
    *,
    environment: Mapping[str, str] | None = None,
    timeout: float | None = None,
    memory_gb: float | None = None,
    good: Sequence[int] = (0,),
    folder: Path = ROOT,
) -> Measured:
    """Run `command` to its end, or until it takes longer or holds more memory than allowed.

    Byte code is kept, as it is everywhere but where a shell says otherwise.
    """
    with tempfile.TemporaryFile() as output:
        started = time.perf_counter()
        running = subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "", **(environment or {})},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        failure, status, usage = None, 0, None
        while usage is None:
            pid, status, found = os.wait4(running.pid, os.WNOHANG)
            if pid:
                usage = found
                continue
            if failure is None:
                failure = _over(running.pid, time.perf_counter() - started, timeout, memory_gb)
                if failure:
                    running.kill()
            time.sleep(0.005)
        elapsed = time.perf_counter() - started
        running.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        text = output.read().decode(errors="replace")
    if failure is None and running.returncode not in good:
        last = text.strip().splitlines()[-1:] or ["no output"]
        failure = f"failed: {last[0][:160]}"
    return Measured(elapsed, usage.ru_maxrss / 1000, usage.ru_utime + usage.ru_stime, failure, {}, text)


def _over(pid: int, elapsed: float, timeout: float | None, memory_gb: float | None) -> str | None:
    if timeout is not None and elapsed > timeout:
        return f"not finished after {timeout:.0f} s"
    if memory_gb is not None and _resident_gb(pid) > memory_gb:
        return f"more than {memory_gb:g} GB after {elapsed:.0f} s"
    return None


def _resident_gb(pid: int) -> float:
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError):
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e9


def seconds(number: float) -> str:
    """Seconds with as many digits as mean something."""
    return f"{number:.2f} s" if number < 10 else f"{number:.1f} s" if number < 100 else f"{number:,.0f} s"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; all columns but the first are numbers."""
    lines = [f"| {' | '.join(head)} |", f"| --- |{' ---: |' * (len(head) - 1)}"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


def say(text: str) -> None:
    """Progress, for whoever waits."""
    print(f"  {text}", file=sys.stderr, flush=True)


def _main(target: str, arguments: str, answer: str) -> None:
    module, _, name = target.partition(":")
    facts = getattr(importlib.import_module(module), name)(**json.loads(arguments))
    Path(answer).write_text(json.dumps(facts))


if __name__ == "__main__":
    _main(*sys.argv[1:])
