"""Who gets a second score."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

from searcher.contenders import ALONG_TARGET, MOST_CONTENDERS, TIE_POINTS, contenders, deciding_scores
from storage.memory import MemoryStore
from storage.records.candidate import Candidate, Proposal
from storage.records.measurement import Result, Rung
from tests.searcher.test_front import result


def numbers(*found: tuple[float, int, float | None], keep: tuple[int, ...] = ()) -> list[int]:
    results = [result(n, score, size, Rung.QUICK, speed) for n, (score, size, speed) in enumerate(found, 1)]
    return [item.number for item in contenders(results, keep)]


def test_near_ties_contend_and_what_is_beaten_clearly_does_not() -> None:
    assert numbers((80.0, 100, None), (80.0 - TIE_POINTS / 2, 100, None), (80.0 - 2 * TIE_POINTS, 100, None)) == [1, 2]


def test_nothing_is_beaten_by_what_costs_more() -> None:
    assert numbers((80.0, 100, None), (60.0, 99, None), (90.0, 101, None)) == [1, 2, 3]


def test_what_is_faster_is_beaten_by_nothing_slower() -> None:
    assert numbers((80.0, 100, 1.0), (60.0, 100, 1.5), (60.0, 100, 1.0)) == [1, 2]


def test_of_many_those_contend_that_are_beaten_by_least() -> None:
    """The front goes before near ties."""
    found = [(50.0 + size / 100, size, None) for size in range(1000, 1000 + 10 * (MOST_CONTENDERS - 1), 10)]
    ties = [(score - TIE_POINTS * share, size, None) for share in (0.9, 0.1) for score, size, _ in found]
    kept = numbers(*found, *ties)
    assert len(kept) == MOST_CONTENDERS
    assert kept[:-1] == list(range(1, MOST_CONTENDERS))
    assert kept[-1] > len(found) * 2  # a near tie that is beaten by a tenth, not by nine tenths


def test_of_a_larger_front_those_contend_that_span_it_and_those_to_keep() -> None:
    found = [(50.0 + size / 100, size, None) for size in range(1000, 1000 + 10 * 2 * MOST_CONTENDERS, 10)]
    kept = numbers(*found, keep=(2, 4))
    assert len(kept) == MOST_CONTENDERS
    assert {1, 2, 4, len(found)} <= set(kept)
    assert max(later - earlier for earlier, later in pairwise(kept)) <= 4


def test_what_the_target_limits_goes_before_all_other_costs() -> None:
    """Of a front by two costs that is larger than all contenders, those contend that lead by one, and near ties."""
    leading = [(50.0 + size / 100, size, None) for size in range(1000, 1300, 10)]
    others = [(59.0 - step / 100, 1300 + step, 1.0 + step / 10) for step in range(2 * MOST_CONTENDERS)]
    ties = [(score - TIE_POINTS / 2, size, None) for score, size, _ in leading]
    results = [
        result(n, score, size, Rung.QUICK, speed or 1.0)
        for n, (score, size, speed) in enumerate((*leading, *ties, *others), 1)
    ]
    by_all = [item.number for item in contenders(results)]
    by_size = [item.number for item in contenders(results, along=("size",))]
    assert len(by_all) == len(by_size) == MOST_CONTENDERS
    near = len(leading) + len(ties)
    assert sum(number <= near for number in by_all) < ALONG_TARGET
    assert set(range(1, len(leading) + 1)) <= set(by_size)
    assert sum(number <= near for number in by_size) >= ALONG_TARGET


def test_what_lies_between_the_best_along_a_cost_contends_though_it_is_beaten() -> None:
    """By more than near ties are, but not by more than chance."""
    found = [(90.0, 4000, None), (90.2, 1000, None), (90.2 - 3 * TIE_POINTS, 2000, None), (85.0, 2000, None)]
    results = [result(n, score, size, Rung.QUICK, speed) for n, (score, size, speed) in enumerate(found, 1)]
    assert [item.number for item in contenders(results)] == [1, 2]
    assert [item.number for item in contenders(results, along=("size",))] == [1, 2, 3]
    assert [item.number for item in contenders(results, macs=True, along=("size", "macs"))] == [1, 2, 3]


def test_of_equally_good_ones_those_go_before_that_cost_less() -> None:
    """What is on the front is a contender, however many are as good and dearer."""
    found = [(80.0, 100, None)] + [(80.0, 200, None)] * MOST_CONTENDERS + [(70.0, 50, None)]
    assert {1, len(found)} <= set(numbers(*found))


def test_no_results_have_no_contenders() -> None:
    assert contenders([]) == []


def test_two_scores_count_by_their_images_and_what_has_no_second_one_is_left_out() -> None:
    store = MemoryStore()
    store.create_study("study", "{}")
    store.add_trials("study", 1, [Proposal(Candidate((level,), "w"), "auto") for level in range(2)])

    def scored(number: int, rung: Rung, accuracy: float, images: int) -> Result:
        measured = result(number, accuracy, 100, rung).measurements
        counted = (replace(item, samples=images) if item.unit == "%" else item for item in measured)
        return Result(number, rung, tuple(counted))

    store.record_batch("study", [scored(1, Rung.QUICK, 80.0, 100), scored(2, Rung.QUICK, 70.0, 100)])
    first = deciding_scores(store, "study")
    assert [(number, item.value("accuracy")) for number, item in first.items()] == [(1, 80), (2, 70)]
    store.record_batch("study", [scored(1, Rung.RESCORED, 76.0, 300)])
    decided = deciding_scores(store, "study")
    assert list(decided) == [1]
    assert (decided[1].value("accuracy"), decided[1].value("soft_accuracy"), decided[1].value("size")) == (77, 77, 100)
    measured = decided[1].get("soft_accuracy")
    assert measured is not None
    assert measured.samples == 400
