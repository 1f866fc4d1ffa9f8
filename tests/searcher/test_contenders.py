"""Who gets a second score."""

from __future__ import annotations

from searcher.contenders import MOST, NOISE, contenders
from storage.records.measurement import Rung
from tests.searcher.test_front import result


def numbers(*found: tuple[float, int, float | None]) -> list[int]:
    results = [result(n, score, size, Rung.QUICK, speed) for n, (score, size, speed) in enumerate(found, 1)]
    return [item.number for item in contenders(results)]


def test_near_ties_contend_and_what_is_beaten_clearly_does_not() -> None:
    assert numbers((80.0, 100, None), (80.0 - NOISE / 2, 100, None), (80.0 - 2 * NOISE, 100, None)) == [1, 2]


def test_nothing_is_beaten_by_what_costs_more() -> None:
    assert numbers((80.0, 100, None), (60.0, 99, None), (90.0, 101, None)) == [1, 2, 3]


def test_what_is_faster_is_beaten_by_nothing_slower() -> None:
    assert numbers((80.0, 100, 1.0), (60.0, 100, 1.5), (60.0, 100, 1.0)) == [1, 2]


def test_of_many_those_contend_that_are_beaten_by_least() -> None:
    """The front goes before near ties."""
    found = [(50.0 + size / 100, size, None) for size in range(1000, 1000 + 10 * (MOST - 1), 10)]
    ties = [(score - NOISE * share, size, None) for share in (0.9, 0.1) for score, size, _ in found]
    kept = numbers(*found, *ties)
    assert len(kept) == MOST
    assert kept[:-1] == list(range(1, MOST))
    assert kept[-1] > len(found) * 2  # a near tie that is beaten by a tenth, not by nine tenths


def test_no_results_have_no_contenders() -> None:
    assert contenders([]) == []
