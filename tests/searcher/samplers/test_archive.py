"""The front of what has been scored."""

from __future__ import annotations

from searcher.allocation.budget import Budget
from searcher.samplers.archive import Archive
from searcher.samplers.base import Scored
from storage.records.candidate import Candidate


def scored(level: int, score: float | None, size: int, macs: float = 1.0, latency: float | None = None) -> Scored:
    return Scored(Candidate((level,), "library"), score, size, macs, latency)


def levels(found: tuple[Scored, ...]) -> list[int]:
    return [item.candidate.levels[0] for item in found]


def test_the_front_holds_what_no_other_beats_the_smallest_first() -> None:
    archive = Archive()
    assert archive.front == ()
    archive.add([scored(0, 90.0, 100), scored(1, 88.0, 50), scored(2, 87.0, 60)])
    assert levels(archive.front) == [1, 0]
    archive.add([scored(3, 89.0, 40)])
    assert levels(archive.front) == [3, 0]


def test_speed_counts_too_by_latency_where_it_is_known() -> None:
    archive = Archive()
    archive.add([scored(0, 90.0, 50, 5.0), scored(1, 89.0, 60, 4.0), scored(2, 88.0, 60, 4.5)])
    assert levels(archive.front) == [0, 1]
    archive = Archive()
    archive.add([scored(0, 90.0, 50, 5.0, 1.0), scored(1, 89.0, 60, 4.0, 2.0)])
    assert levels(archive.front) == [0]


def test_failures_and_useless_plans_are_not_on_it() -> None:
    archive = Archive()
    archive.add([scored(0, None, 10)])
    assert archive.front == ()
    archive.add([scored(1, 90.0, 100), scored(2, 79.0, 20), scored(3, 81.0, 30)])
    assert levels(archive.front) == [3, 1]


def test_the_nearest_to_the_budgets_come_first() -> None:
    archive = Archive([Budget("size", 60.0)])
    archive.add([scored(0, 90.0, 100), scored(1, 89.0, 64), scored(2, 88.0, 50), scored(3, 87.0, 20)])
    assert levels(archive.nearest(4)) == [2, 3, 1, 0]
    assert levels(archive.nearest(1)) == [2]


def test_macs_count_as_speed_where_the_budgets_name_only_them() -> None:
    items = [scored(0, 90.0, 50, 5.0, 1.0), scored(1, 89.0, 60, 4.0, 2.0)]
    archive = Archive([Budget("macs", 4.5)])
    archive.add(items)
    assert levels(archive.front) == [0, 1]
    archive = Archive([Budget("macs", 4.5), Budget("latency", 1.0)])
    archive.add(items)
    assert levels(archive.front) == [0]
