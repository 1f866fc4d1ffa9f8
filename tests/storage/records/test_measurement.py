"""Measurements and results."""

from __future__ import annotations

import math

import pytest

from storage.records.measurement import Direction, Measurement, Result, Rung


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_measurement_is_finite(value: float) -> None:
    with pytest.raises(ValueError, match=r"accuracy is .*must be finite"):
        Measurement("accuracy", value, "%", Direction.MAXIMIZE)


def test_rungs_rise_in_order() -> None:
    assert Rung.ALLOCATED.order == 0
    rising = [Rung.ALLOCATED, Rung.QUICK, Rung.CONFIRMED, Rung.TUNED, Rung.FINAL, Rung.TESTED]
    assert sorted(rising, key=lambda rung: rung.order) == rising
    assert list(Rung)[-1] is Rung.TESTED
    assert len({rung.order for rung in Rung}) == len(Rung)
    assert Rung("quick") is Rung.QUICK


def test_results_find_measurements_by_objective() -> None:
    accuracy = Measurement("accuracy", 88.5, "%", Direction.MAXIMIZE, samples=4000, low=87.0, high=89.0)
    size = Measurement("size", 1000, "bytes", Direction.MINIMIZE)
    result = Result(number=3, rung=Rung.CONFIRMED, measurements=(accuracy, size))
    assert result.get("size") is size
    assert result.value("accuracy") == 88.5
    assert result.get("latency") is None
    with pytest.raises(KeyError, match="latency"):
        result.value("latency")
