"""The table agrees with the whole models it is anchored to, and changes nothing where it agrees already."""

from __future__ import annotations

from dataclasses import replace

import pytest

from learners.latency.anchor import LEAST_SCALE, MOST_SCALE, WholeTimes, anchored, int8_levels
from storage.records.latency import LatencyFactor, LatencyTable
from storage.records.space import Level, SearchSpace, Site

BITS = (Level("fp32"), Level("w8", bits=8), Level("w4", bits=4))
CHANNELS = (Level("c8", channels=8), Level("c4", channels=4))
SPACE = SearchSpace(
    (
        Site("group", "channel", "channels", 1, 1, CHANNELS),
        Site("first", "quant", "convolution", 1, 1, BITS),
        Site("second", "quant", "convolution", 1, 1, BITS),
    ),
    (),
    0,
    (),
)
# A call; a layer over channels and its width; one over its width; a boundary; a pool that only channels decide on.
TABLE = LatencyTable(
    "onnxruntime",
    "machine",
    1.0,
    9.0,
    (
        LatencyFactor("first", (0, 1), (4.0, 2.0, 2.0, 2.0, 1.0, 1.0)),
        LatencyFactor("second", (2,), (3.0, 1.5, 1.5)),
        LatencyFactor("first to second", (1, 2), (0.0, 0.4, 0.4, 0.4, 0.0, 0.0, 0.4, 0.0, 0.0)),
        LatencyFactor("pool", (0,), (1.0, 0.5)),
    ),
)
DENSE, INT8 = (0, 0, 0), (0, 1, 1)
AGREES = WholeTimes(9.0, 9.0, 5.5)


def test_int8_is_the_first_width_below_float_with_all_channels() -> None:
    assert int8_levels(SPACE) == INT8
    assert int8_levels(SearchSpace(SPACE.sites[:1], (), 0, ())) is None


def test_a_table_that_agrees_stays() -> None:
    assert anchored(TABLE, SPACE, AGREES, has_maps=True) == TABLE


def test_a_small_difference_is_noise() -> None:
    assert anchored(TABLE, SPACE, WholeTimes(9.5, 9.5, 5.5 * 9.5 / 9.0), has_maps=True) == TABLE


def test_operations_that_cannot_be_timed_are_fixed() -> None:
    found = anchored(TABLE, SPACE, WholeTimes(12.0, 12.0, 8.5), has_maps=True)
    assert found.dense_ms == pytest.approx(12)
    assert found.milliseconds(SPACE, DENSE) == pytest.approx(12)
    assert found.milliseconds(SPACE, INT8) == pytest.approx(8.5)
    assert found.factors == TABLE.factors


def test_dense_is_the_users_file() -> None:
    found = anchored(TABLE, SPACE, WholeTimes(10.0, 9.0, 5.5), has_maps=True)
    assert found.dense_ms == pytest.approx(10)
    assert found.milliseconds(SPACE, DENSE) == pytest.approx(9)


def test_int8_layers_are_scaled_together() -> None:
    found = anchored(TABLE, SPACE, WholeTimes(9.0, 9.0, 4.8), has_maps=True)
    assert found.speedup(SPACE, INT8) == pytest.approx(9 / 4.8)
    assert found.milliseconds(SPACE, DENSE) == pytest.approx(9)
    assert found.factors[0].milliseconds == pytest.approx((4.0, 1.6, 1.6, 2.0, 0.8, 0.8))
    assert found.factors[1].milliseconds == pytest.approx((3.0, 1.2, 1.2))
    assert found.factors[2:] == TABLE.factors[2:]


def test_the_scale_has_bounds() -> None:
    found = anchored(TABLE, SPACE, WholeTimes(9.0, 9.0, 90.0), has_maps=True)
    assert found.factors[1].milliseconds == pytest.approx((3.0, 1.5 * MOST_SCALE, 1.5 * MOST_SCALE))


def test_without_an_int8_model_layers_stay() -> None:
    assert anchored(TABLE, SPACE, WholeTimes(9.0, 9.0, None), has_maps=True) == TABLE


def test_without_index_maps_the_users_file_and_the_candidate_are_one() -> None:
    found = anchored(TABLE, SPACE, WholeTimes(9.3, 9.0, 5.5), has_maps=False)
    assert found.dense_ms == pytest.approx(9)


def test_int8_layers_that_take_nothing_are_left() -> None:
    free = replace(TABLE, dense_ms=2.0, factors=(LatencyFactor("second", (2,), (1.0, 0.0, 0.0)),))
    assert anchored(free, SPACE, WholeTimes(2.0, 2.0, 1.5), has_maps=True) == free


def test_the_scale_has_a_lower_bound_too() -> None:
    found = anchored(TABLE, SPACE, WholeTimes(9.0, 9.0, 2.1), has_maps=True)
    assert found.factors[1].milliseconds == pytest.approx((3.0, 1.5 * LEAST_SCALE, 1.5 * LEAST_SCALE))
