"""Several processes for many cases: a case's time is nearly all Python, of which a process runs one thread.

The processes are forks of this one, so they begin with the code loaded and every contract read. Where forking is not
safe or not there (macOS, Windows), cases run one after the other.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from pipeline_project.framework.errors import GoldenError

T = TypeVar("T")

WORTH = 4
"""Fewer tasks than this are done before a second process has begun."""

_tasks: Sequence[Callable[[], object]] = ()


def processors() -> int:
    """How many processes make sense here: one for every processor this process may use."""
    if sys.platform != "linux":
        return 1
    return len(os.sched_getaffinity(0))


def in_order(tasks: Sequence[Callable[[], T]], sizes: Sequence[int], workers: int) -> Iterator[T]:
    """What each task returns, in the order of the tasks, each as soon as it is there.

    Args:
        tasks: functions that share nothing they change; what they return can be pickled.
        sizes: how long each takes, in any unit: the longest begin first.

    Raises:
        GoldenError: a process ended before its task did.
    """
    workers = min(workers, len(tasks))
    if workers < 2 or len(tasks) < WORTH:
        yield from (task() for task in tasks)
        return
    # What a fork inherits need not be pickled, and the tasks hold whole projects.
    global _tasks
    _tasks = tasks
    try:
        with ProcessPoolExecutor(workers, multiprocessing.get_context("fork")) as pool:
            longest_first = sorted(range(len(tasks)), key=lambda number: -sizes[number])
            with warnings.catch_warnings():
                # Python warns of any thread; the ones here, of numpy and pyarrow, know how to be forked.
                warnings.simplefilter("ignore", DeprecationWarning)
                running = {number: pool.submit(_run, number) for number in longest_first}
            for number in range(len(tasks)):
                yield running[number].result()  # type: ignore[misc]  # what task `number` returns
    except BrokenProcessPool:
        raise GoldenError(
            "a process that ran cases ended before they did", fix="Find the case that ends it: add --workers 1."
        ) from None
    finally:
        _tasks = ()


def _run(number: int) -> object:
    return _tasks[number]()
