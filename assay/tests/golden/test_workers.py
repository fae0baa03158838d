"""Cases in several processes: the same results in the same order, and no process lost silently."""

from __future__ import annotations

import dataclasses
import os
import sys
from collections.abc import Callable
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.errors import GoldenError
from assay.golden.result import GoldenResult
from assay.golden.runner import run_golden
from assay.golden.workers import in_order, processors, shared_out
from tests.golden.tree import FIVE_ORDERS, Tree

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="cases share no processes where forking is not safe")


def whose(number: int) -> tuple[int, int]:
    return number, os.getpid()


def tasks(count: int) -> list[Callable[[], tuple[int, int]]]:
    return [partial(whose, number) for number in range(count)]


def test_results_come_in_order_from_other_processes() -> None:
    found = list(in_order(tasks(8), [1, 5, 2, 8, 3, 4, 7, 6], workers=2))
    assert [number for number, _ in found] == list(range(8))
    assert os.getpid() not in {process for _, process in found}


def test_tasks_that_are_alike_share_a_process() -> None:
    alike = [number in (1, 4, 6) for number in range(8)]
    found = list(in_order(tasks(8), [1] * 8, workers=2, alike=alike))
    assert [number for number, _ in found] == list(range(8))
    assert len({process for number, process in found if alike[number]}) == 1


@given(
    st.lists(st.tuples(st.integers(1, 20), st.booleans()), min_size=1, max_size=30),
    st.integers(min_value=2, max_value=6),
)
def test_every_task_is_in_one_share_and_none_is_more_than_one_processs_part(
    given_tasks: list[tuple[int, bool]], workers: int
) -> None:
    sizes, alike = [size for size, _ in given_tasks], [found for _, found in given_tasks]
    shares = shared_out(sizes, alike, workers)
    assert sorted(number for share in shares for number in share) == list(range(len(sizes)))
    for share in shares:
        assert len(share) == 1 or (
            all(alike[number] for number in share) and sum(sizes[number] for number in share) * workers <= sum(sizes)
        )
    together = [sum(sizes[number] for number in share) for share in shares]
    assert together == sorted(together, reverse=True)


@pytest.mark.parametrize(("count", "workers"), [(8, 1), (3, 2), (0, 2)])
def test_few_tasks_stay_here(count: int, workers: int) -> None:
    found = list(in_order(tasks(count), [1] * count, workers=workers))
    assert found == [(number, os.getpid()) for number in range(count)]


def test_a_process_that_ends_is_told() -> None:
    with pytest.raises(GoldenError, match="ended before they did"):
        list(in_order([*tasks(4), partial(os._exit, 9)], [1] * 5, workers=2))


def test_an_error_of_a_task_arrives_here() -> None:
    def fails() -> tuple[int, int]:
        raise ZeroDivisionError("told")

    with pytest.raises(ZeroDivisionError, match="told"):
        list(in_order([*tasks(4), fails], [1] * 5, workers=2))


def test_there_is_at_least_one_processor() -> None:
    assert 1 <= processors() <= (os.cpu_count() or 1)


@pytest.mark.slow
def test_a_suite_gives_the_same_with_two_processes(tree: Tree) -> None:
    tree.accepted("equal")
    tree.case("new", FIVE_ORDERS)
    tree.case("wrong", {**FIVE_ORDERS, "inputs/tables/order.csv": ""})
    tree.accepted("zz-other")
    tree.write("zz-other/inputs/shop_files/orders.csv", "order_id,email,ordered_on,amount\n")
    seen: list[str] = []
    two = run_golden(tree.project, keep=tree.store, on_case=lambda case: seen.append(case.name), workers=2)
    assert seen == ["equal", "new", "wrong", "zz-other"]
    assert tree.store.names() == [
        *(("new", name) for name in ("daily_sales", "orders", "orders.rejects")),
        *(("zz-other", name) for name in ("daily_sales", "orders", "orders.rejects")),
    ]
    assert timeless(two) == timeless(run_golden(tree.project, keep=tree.store))


def timeless(result: GoldenResult) -> GoldenResult:
    """The result without times."""
    cases = tuple(
        dataclasses.replace(
            case, seconds=0.0, tables=tuple(dataclasses.replace(table, seconds=0.0) for table in case.tables)
        )
        for case in result.cases
    )
    return dataclasses.replace(result, cases=cases, seconds=0.0)


def test_the_command_takes_the_number_of_processes(tree: Tree) -> None:
    for number in range(4):
        tree.accepted(f"case{number}")
    assert tree.cli("--workers", "2").exit_code == 0
    assert tree.cli("--workers", "0").exit_code == 2
