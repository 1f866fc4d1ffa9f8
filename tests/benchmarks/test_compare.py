"""Fronts beside each other, file by file."""

from __future__ import annotations

import numpy as np

from benchmarks.compare import judged
from objectives.paired import pack_scores
from storage.records.measurement import Result, Rung

IMAGES = 1000


def _result(number: int, wrong: int) -> Result:
    """A file that is wrong on the first images."""
    hits = np.ones(IMAGES, np.float32)
    hits[:wrong] = 0.0
    return Result(number, Rung.CONFIRMED, (), pack_scores(hits))


def test_a_file_is_worse_by_itself_and_by_the_bound_of_all() -> None:
    """Four images that one of two gets wrong alone are more than chance, but not where it is one of twenty files."""
    perfect, close, far = _result(1, 0), _result(2, 4), _result(3, 40)
    pairs = [(perfect, perfect), (perfect, close), (perfect, far), (far, perfect)]
    found = judged("ours", "other", "size", pairs, 20, 1.0)
    assert (found.files, found.unanswered, found.worse, found.worse_of_all) == (20, 16, 2, 1)
    assert found.largest_gap == 4.0
    assert 2.5 < found.largest_gap_lower < 4.0


def test_of_one_file_both_bounds_are_the_same() -> None:
    found = judged("ours", "other", "size", [(_result(1, 0), _result(2, 4))], 1, 1.0)
    assert (found.worse, found.worse_of_all) == (1, 1)


def test_nothing_to_answer_is_no_gap() -> None:
    found = judged("ours", "other", "size", [], 3, 1.0)
    assert (found.unanswered, found.worse, found.worse_of_all, found.largest_gap) == (3, 0, 0, 0.0)
