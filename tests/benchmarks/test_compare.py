"""Fronts beside each other, file by file."""

from __future__ import annotations

import numpy as np

from benchmarks.compare import Scores, answer, judged
from storage.records.measurement import Rung
from tests.searcher.test_front import result

IMAGES = 1000


def _wrong(images: slice) -> Scores:
    """A file that is wrong on these images."""
    hits = np.ones(IMAGES, np.float32)
    hits[images] = 0.0
    return hits


def test_a_file_is_worse_by_itself_and_by_the_bound_of_all() -> None:
    """Four images that one of two gets wrong alone are more than chance, but not where it is one of twenty files."""
    perfect, close, far = _wrong(slice(0)), _wrong(slice(4)), _wrong(slice(40))
    pairs = [(perfect, perfect), (perfect, close), (perfect, far), (far, perfect)]
    found = judged("ours", "other", "size", pairs, 20, 1.0)
    assert (found.files, found.unanswered, found.worse, found.worse_of_all) == (20, 16, 2, 1)
    assert found.largest_gap == 4.0
    assert 2.5 < found.largest_gap_lower < 4.0


def test_of_one_file_both_bounds_are_the_same() -> None:
    found = judged("ours", "other", "size", [(_wrong(slice(0)), _wrong(slice(4)))], 1, 1.0)
    assert (found.worse, found.worse_of_all) == (1, 1)


def test_nothing_to_answer_is_no_gap() -> None:
    found = judged("ours", "other", "size", [], 3, 1.0)
    assert (found.unanswered, found.worse, found.worse_of_all, found.largest_gap) == (3, 0, 0, 0.0)


def test_the_answer_is_chosen_by_the_scores_of_the_search() -> None:
    """Not by the images that judge it, on which the second file is the best one."""
    confirmed = [result(number, accuracy, 100, Rung.CONFIRMED) for number, accuracy in enumerate((88.0, 89.0, 87.0), 1)]
    scores = {number: result(number, soft, 100, Rung.RESCORED) for number, soft in enumerate((80.0, 79.0, 80.0), 1)}
    assert answer(confirmed, scores).number == 1
    assert answer(confirmed[1:], scores).number == 3


def test_equal_files_are_worse_as_often_as_the_bound_says() -> None:
    """Of any number of files, as one of them was chosen elsewhere."""
    generator = np.random.default_rng(0)
    dense = generator.random(IMAGES) < 0.9

    def equal() -> Scores:
        return (dense ^ (generator.random(IMAGES) < 0.02)).astype(np.float32)

    pairs = [(equal(), equal()) for _ in range(1000)]
    found = judged("ours", "other", "size", pairs, len(pairs), 1.0)
    assert 0.03 < found.worse / found.files < 0.07
    assert found.worse_of_all <= 1
