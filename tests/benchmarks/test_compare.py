"""Fronts beside each other, file by file."""

from __future__ import annotations

import numpy as np

from benchmarks.compare import FOLDS, Scores, answer, judged

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


def test_no_image_judges_what_it_has_chosen() -> None:
    """The first of two files is wrong once in the third fold and else twice in the fourth, the second three times in
    the fifth: without the third and the fourth the first is better everywhere, without the fifth the second."""
    first = np.minimum(_wrong(slice(2, 3)), _wrong(slice(3, 23, FOLDS)))
    second = _wrong(slice(4, 34, FOLDS))
    found = answer([first, second])
    fifth = slice(4, None, FOLDS)
    assert np.array_equal(found[fifth], second[fifth])
    found[fifth] = first[fifth]
    assert np.array_equal(found, first)


def test_the_answer_is_the_best_file_where_all_folds_agree() -> None:
    good, bad = _wrong(slice(4)), _wrong(slice(40))
    assert np.array_equal(answer([bad, good]), good)
    assert np.array_equal(answer([bad]), bad)
