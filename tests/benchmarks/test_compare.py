"""Fronts beside each other, file by file."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from benchmarks.compare import File, Scores, Side, answered, judged
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


def test_what_answers_is_chosen_by_the_scores_of_the_search() -> None:
    """Not by the images that judge it, on which the second file is the best one."""
    confirmed = [result(number, accuracy, 100, Rung.CONFIRMED) for number, accuracy in enumerate((88.0, 89.0, 87.0), 1)]
    scores = {number: result(number, soft, 100, Rung.RESCORED) for number, soft in enumerate((80.0, 79.0, 80.0), 1)}
    assert best_by(scores, confirmed).number == 1
    assert best_by(scores, confirmed[1:]).number == 3


def test_a_study_beside_itself_is_nowhere_worse() -> None:
    """Also where the best by the scores is not the best by the confirmation, and where a smaller one is better."""
    sizes = {1: 400, 2: 300, 3: 200, 4: 100}
    files = [
        replace(
            result(number, 90.0 - number, size, Rung.CONFIRMED),
            per_image=pack_scores(_wrong(slice((number * 7) % 5 * 20))),
        )
        for number, size in sizes.items()
    ]
    scores = {
        number: result(number, soft, 100, Rung.RESCORED) for number, soft in zip(sizes, (80, 82, 81, 70), strict=True)
    }
    side = Side("study", files, scores)

    def size(_: File, item: Result) -> float:
        return item.value("size")

    pairs = answered(side, side, size, 1.0)
    assert len(pairs) == len(files)
    assert all(np.array_equal(theirs, own) for theirs, own in pairs)
    smaller = replace(side, files=files[:3])
    assert len(answered(side, smaller, size, 1.0)) == 3
    assert len(answered(side, smaller, size, 2.0)) == 4
    assert judged("ours", "other", "size", pairs, len(files), 1.0).largest_gap == 0.0


def test_equal_files_are_worse_as_often_as_the_bound_says() -> None:
    """However many there are to choose from: chosen by the images that judge it, none ever is."""
    generator = np.random.default_rng(0)
    dense = generator.random(IMAGES) < 0.9

    def equal() -> Scores:
        return (dense ^ (generator.random(IMAGES) < 0.02)).astype(np.float32)

    pairs = []
    for _ in range(1000):
        files = [equal() for _ in range(5)]
        confirmed = [result(number, float(hits.mean()), 100, Rung.CONFIRMED) for number, hits in enumerate(files)]
        scores = {item.number: result(item.number, generator.random(), 100, Rung.RESCORED) for item in confirmed}
        pairs.append((equal(), files[best_by(scores, confirmed).number]))
    found = judged("ours", "other", "size", pairs, len(pairs), 1.0)
    assert 0.03 < found.worse / found.files < 0.07
    assert found.worse_of_all <= 1
