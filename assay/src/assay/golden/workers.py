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

from assay.errors import GoldenError

T = TypeVar("T")

WORTH = 4
"""Fewer tasks than this are done before a second process has begun."""

_tasks: Sequence[Callable[[], object]] = ()


def processors() -> int:
    """How many processes make sense here: one for every processor this process may use."""
    if sys.platform != "linux":
        return 1
    return len(os.sched_getaffinity(0))


def in_order(
    tasks: Sequence[Callable[[], T]], sizes: Sequence[int], workers: int, alike: Sequence[bool] = ()
) -> Iterator[T]:
    """What each task returns, in the order of the tasks, each as soon as it and those it was done with are there.

    Args:
        tasks: functions that share nothing they change; what they return can be pickled.
        sizes: how long each takes, in any unit: the longest begin first.
        alike: whether a task needs what others need as well and is slow to load; one process does these.

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
            shares = shared_out(sizes, alike, workers)
            with warnings.catch_warnings():
                # Python warns of any thread; the ones here, of numpy and pyarrow, know how to be forked.
                warnings.simplefilter("ignore", DeprecationWarning)
                running = [(share, pool.submit(_run, share)) for share in shares]
            done = {number: (share, future) for share, future in running for number in share}
            for number in range(len(tasks)):
                share, future = done[number]
                yield future.result()[share.index(number)]  # type: ignore[misc]  # what task `number` returns
    except BrokenProcessPool:
        raise GoldenError(
            "a process that ran cases ended before they did", fix="Find the case that ends it: add --workers 1."
        ) from None
    finally:
        _tasks = ()


def shared_out(sizes: Sequence[int], alike: Sequence[bool], workers: int) -> list[list[int]]:
    """The numbers of the tasks in shares, the largest first: those that are alike together, up to one worker's part."""
    part = sum(sizes) / workers
    shares = [[number] for number in range(len(sizes)) if not (alike and alike[number])]
    together: list[int] = []
    for number in (number for number, found in enumerate(alike) if found):
        if together and sum(sizes[other] for other in together) + sizes[number] > part:
            shares.append(together)
            together = []
        together.append(number)
    shares += [together] if together else []
    return sorted(shares, key=lambda share: -sum(sizes[number] for number in share))


def _run(numbers: Sequence[int]) -> list[object]:
    return [_tasks[number]() for number in numbers]
