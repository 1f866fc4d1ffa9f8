"""How many candidates a sampler is asked for."""

from __future__ import annotations

from itertools import accumulate

import pytest

from searcher.samplers.base import LEARNING_BATCH, WIDE_BATCH, batch_size


def sizes(batch: int, count: int) -> list[int]:
    found: list[int] = []
    while len(found) < count:
        found.append(batch_size(sum(found), batch))
    return found


def test_those_that_learn_begin_small() -> None:
    assert sizes(LEARNING_BATCH, 9) == [8, 8, 8, 24, 24, 24, 48, 48, 48]


def test_those_that_do_not_learn_where_the_end_is_once() -> None:
    assert sizes(WIDE_BATCH, 4) == [24, 76, 100, 100]


@pytest.mark.parametrize("batch", [LEARNING_BATCH, WIDE_BATCH])
def test_a_batch_that_was_cut_short_is_filled_up(batch: int) -> None:
    ends = set(accumulate(sizes(batch, 12)))
    for done in range(300):
        assert done + batch_size(done, batch) in ends
