"""Fronts beside each other, file by file."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.compare import FOLDS, Scores, answer, folds, judged
from objectives.workload.subsets import stratified_order

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
    """The first of two files is wrong once in the third fold and twice in the fourth, the second three times in the
    fifth: without the third or the fourth the first is the better one, without the fifth the second."""
    third, fourth, fifth = (slice(fold * IMAGES // FOLDS, (fold + 1) * IMAGES // FOLDS) for fold in (2, 3, 4))
    first = np.minimum(_wrong(slice(third.start, third.start + 1)), _wrong(slice(fourth.start, fourth.start + 2)))
    second = _wrong(slice(fifth.start, fifth.start + 3))
    found = answer([first, second])
    assert np.array_equal(found[fifth], second[fifth])
    found[fifth] = first[fifth]
    assert np.array_equal(found, first)


def test_every_class_has_its_share_of_every_fold() -> None:
    """A file that is right on one class alone is as good by each fold as by all: no fold is without that class."""
    labels = np.repeat(np.arange(10), IMAGES // 10)
    order = stratified_order(IMAGES, labels, seed=0)
    only = [(labels[order] == label).astype(np.float32) for label in range(10)]
    for fold in folds(IMAGES):
        assert [float(hits[fold].mean()) for hits in only] == pytest.approx([0.1] * 10, abs=0.011)
    better = np.maximum(only[0], only[1])
    for worse in only[2:]:
        assert np.array_equal(answer([worse, better]), better)


def test_the_answer_is_the_best_file_where_all_folds_agree() -> None:
    good, bad = _wrong(slice(0, None, 250)), _wrong(slice(0, None, 25))
    assert np.array_equal(answer([bad, good]), good)
    assert np.array_equal(answer([bad]), bad)
