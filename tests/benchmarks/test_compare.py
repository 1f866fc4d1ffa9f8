"""Fronts beside each other, cost by cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pytest

from benchmarks.compare import Comparison, File, Scores, Side, judged
from benchmarks.study import best_by
from objectives.paired import pack_scores
from storage.records.measurement import Result, Rung
from tests.searcher.test_front import result

IMAGES = 1000


def _wrong(images: slice) -> Scores:
    """A file that is wrong on these images."""
    hits = np.ones(IMAGES, np.float32)
    hits[images] = 0.0
    return hits


def _side(study: str, files: Mapping[int, Scores], soft: Sequence[float] | None = None) -> Side:
    """Files by size, numbered from 1, with the scores of the search, which rise with the size if not given."""
    found = [
        replace(result(number, 100 * float(hits.mean()), size, Rung.CONFIRMED), per_image=pack_scores(hits))
        for number, (size, hits) in enumerate(files.items(), 1)
    ]
    scores = soft or [float(size) for size in files]
    return Side(
        study,
        found,
        {item.number: result(item.number, score, 1, Rung.RESCORED) for item, score in zip(found, scores, strict=True)},
    )


def _size(_: File, item: Result) -> float:
    return item.value("size")


def _compared(ours: Side, other: Side, tolerance: float = 1.0) -> Comparison:
    return judged("size", ours, other, _size, [item.value("size") for item in other.files], tolerance)


def test_a_file_is_worse_by_itself_and_by_the_bound_of_all() -> None:
    """Four images that one of two gets wrong alone are more than chance, but not where it is one of three pairs."""
    perfect, close, far = _wrong(slice(0)), _wrong(slice(4)), _wrong(slice(40))
    other = _side("other", {100: perfect, 200: perfect, 300: perfect, 50: perfect})
    found = _compared(_side("ours", {100: perfect, 200: close, 300: far}), other)
    assert (found.costs, found.unanswered, found.pairs, found.worse, found.worse_of_all) == (4, 1, 3, 2, 1)
    assert found.largest_gap == 4.0
    assert 2.5 < found.largest_gap_lower < 4.0


def test_of_one_pair_both_bounds_are_the_same() -> None:
    found = _compared(_side("ours", {100: _wrong(slice(4))}), _side("other", {100: _wrong(slice(0))}))
    assert (found.pairs, found.worse, found.worse_of_all) == (1, 1, 1)


def test_a_pair_that_answers_several_costs_counts_once() -> None:
    """Both searches take their smallest file for every cost."""
    sizes = (400, 300, 200, 100)
    ours = _side("ours", {size: _wrong(slice(40)) for size in sizes}, [1.0, 2.0, 3.0, 4.0])
    other = _side("other", {size: _wrong(slice(0)) for size in sizes}, [1.0, 2.0, 3.0, 4.0])
    found = _compared(ours, other)
    assert (found.costs, found.pairs, found.worse, found.worse_of_all) == (4, 1, 1, 1)


def test_nothing_to_answer_is_no_gap() -> None:
    found = _compared(_side("ours", {200: _wrong(slice(0))}), _side("other", {100: _wrong(slice(0))}))
    assert (found.unanswered, found.pairs, found.worse, found.worse_of_all, found.largest_gap) == (1, 0, 0, 0, 0.0)


@pytest.mark.parametrize("tolerance", [1.0, 2.0])
def test_what_is_dearer_by_no_more_than_the_tolerance_answers(tolerance: float) -> None:
    found = _compared(_side("ours", {200: _wrong(slice(0))}), _side("other", {100: _wrong(slice(0))}), tolerance)
    assert found.unanswered == (tolerance < 2.0)


def test_a_study_beside_itself_is_nowhere_worse() -> None:
    """Also where the best by the scores is not the best by the confirmation, and where a smaller one is better."""
    files = {400: _wrong(slice(20)), 300: _wrong(slice(80)), 200: _wrong(slice(0)), 100: _wrong(slice(60))}
    side = _side("study", files, [80.0, 82.0, 81.0, 70.0])
    found = _compared(side, side)
    assert (found.costs, found.unanswered, found.pairs) == (4, 0, 3)
    assert (found.worse, found.largest_gap) == (0, 0.0)
    assert found.largest_gap_lower < 0.0


def test_what_answers_is_chosen_by_the_scores_of_the_search() -> None:
    """Not by the images that judge it, on which the second file is the best one."""
    confirmed = [result(number, accuracy, 100, Rung.CONFIRMED) for number, accuracy in enumerate((88.0, 89.0, 87.0), 1)]
    scores = {number: result(number, soft, 100, Rung.RESCORED) for number, soft in enumerate((80.0, 79.0, 80.0), 1)}
    assert best_by(scores, confirmed).number == 1
    assert best_by(scores, confirmed[1:]).number == 3


def test_equal_files_are_worse_as_often_as_the_bound_says() -> None:
    """However many there are to choose from: chosen by the images that judge it, hardly one is."""
    generator = np.random.default_rng(0)
    dense = generator.random(IMAGES) < 0.9
    files = 5

    def side(study: str) -> Side:
        hits = [dense ^ (generator.random(IMAGES) < 0.02) for _ in range(files)]
        scores = generator.random(files).tolist()
        return _side(study, {100 + number: item.astype(np.float32) for number, item in enumerate(hits)}, scores)

    limit = [200.0]
    found = [judged("size", side("ours"), side("other"), _size, limit, 1.0) for _ in range(1000)]
    assert 30 < sum(item.worse for item in found) < 70
