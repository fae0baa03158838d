"""`python -m benchmarks [NAME]...`: measure, and write the results into benchmarks/README.md.

Every measured thing runs in a process of its own, in turn with what it is compared with, so that both meet the
same machine. Ratios are of the best runs.
"""

from __future__ import annotations

import argparse
import compileall
import datetime as dtm
import importlib
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks import machine, report
from benchmarks.measure import ROOT
from benchmarks.options import Options

BENCHMARKS = (
    "enforcement",
    "incremental",
    "job",
    "scale",
    "load",
    "golden",
    "compare",
    "plan",
    "health",
    "many",
    "partitions",
)
"""Modules of this package; each has `measure(options) -> str`, which returns its part of the page."""
NAMED = ("spark", "peers")
"""Further ones, measured where they are named: they need more than the project installs."""

HEAD = """# Benchmarks

`make bench` measures and rewrites this page; `make bench ARGS="enforcement load"` measures only these.
Times are seconds of the wall clock, best and median of the repeated runs; ratios compare the best runs of one session.
CPU (processor seconds) and peak memory are those of the whole process, imports and preparation included.
The rows are the example's real ones.
"""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmarks that were named, or all."""
    chosen, options = parse(arguments)
    for package in ("pipeline_project", "benchmarks"):
        # As `make` does before it runs anything: compiling the sources anew is no part of what is measured.
        compileall.compile_dir(ROOT / package, quiet=1)
    with tempfile.TemporaryDirectory(prefix="benchmarks_", dir=options.folder) as folder:
        for name in chosen:
            print(f"{name} ({machine.load()})", file=sys.stderr, flush=True)
            scratch = Path(folder) / name
            scratch.mkdir()
            before = machine.load()
            text = importlib.import_module(f"benchmarks.{name}").measure(
                Options(**{**vars(options), "folder": scratch})
            )
            today = dtm.datetime.now(dtm.UTC).date()
            text = f"{text.strip()}\n\nMeasured on {today}, {before} at the start."
            if options.rows is None:
                report.update((*BENCHMARKS, *NAMED), name, text, head=f"{HEAD}\n{machine.description()}")
            print(f"\n{text}\n", flush=True)


def parse(arguments: Sequence[str] | None) -> tuple[list[str], Options]:
    """The benchmarks to run, and how."""
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument(
        "names",
        nargs="*",
        metavar="NAME",
        help=f"of {', '.join([*BENCHMARKS, *NAMED])}; default: all but {', '.join(NAMED)}",
    )
    parser.add_argument("--repeat", type=int, default=3, help="runs of each measurement (default: 3)")
    parser.add_argument("--rows", type=int, help="only so many promotions, to try things out; README.md stays")
    parser.add_argument("--millions", default="1,10,100", help="sizes for `scale` (default: 1,10,100)")
    parser.add_argument("--peer-seconds", type=float, default=480, help="stop a peer after so long (default: 480)")
    parser.add_argument("--peer-gb", type=float, default=10, help="stop a peer that holds more (default: 10)")
    parser.add_argument("--folder", type=Path, help="where databases go; needs some 20 GB for `scale`")
    found = parser.parse_args(arguments)
    known = (*BENCHMARKS, *NAMED)
    unknown = sorted(set(found.names) - set(known))
    if unknown:
        parser.error(f"no benchmark {', '.join(unknown)}; there are {', '.join(known)}")
    options = Options(
        repeat=found.repeat,
        rows=found.rows,
        millions=tuple(int(number) for number in found.millions.split(",")),
        peer_seconds=found.peer_seconds,
        peer_gb=found.peer_gb,
        folder=found.folder or Path(tempfile.gettempdir()),
    )
    return [name for name in known if name in (found.names or BENCHMARKS)], options
