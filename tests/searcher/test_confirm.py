"""Which candidates are worth a confirmation."""

from __future__ import annotations

import math

from searcher.front import QUICK_OBJECTIVE, promising
from storage.records.measurement import Direction, Measurement, Result, Rung


def _result(number: int, size: float, score: float) -> Result:
    return Result(
        number=number,
        rung=Rung.QUICK,
        measurements=(
            Measurement(QUICK_OBJECTIVE, score, "%", Direction.MAXIMIZE, 256),
            Measurement("size", size, "bytes", Direction.MINIMIZE),
        ),
    )


RESULTS = [
    _result(1, 400.0, 89.0),
    _result(2, 100.0, 80.0),
    _result(3, 300.0, 86.0),  # three points below the smaller 4
    _result(4, 200.0, 89.0),
    _result(5, 300.0, 87.5),
    _result(6, 200.0, 60.0),
]


def test_what_is_clearly_worse_than_a_cheaper_one_is_left_out() -> None:
    assert [item.number for item in promising(RESULTS, "size", 2.0)] == [2, 4, 5, 1]


def test_without_a_limit_of_noise_all_come_by_cost() -> None:
    assert [item.number for item in promising(RESULTS, "size", math.inf)] == [2, 4, 6, 3, 5, 1]


def test_nothing_is_promising_of_nothing() -> None:
    assert promising([], "size", 2.0) == []
