"""The table agrees with the whole models it is anchored to, and changes nothing where it agrees already."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace

import pytest

from learners.latency.anchor import LEAST_SCALE, MOST_SCALE, Levels, WholeTimes, anchored, int8_levels
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
EVERY = tuple(itertools.product(range(2), range(3), range(3)))


def whole(dense: float, unchanged: float, in_int8: float | None = None) -> WholeTimes:
    return WholeTimes(dense, unchanged, () if in_int8 is None else ((INT8, in_int8),))


def test_int8_is_the_first_width_below_float_with_all_channels() -> None:
    assert int8_levels(SPACE) == INT8
    assert int8_levels(SearchSpace(SPACE.sites[:1], (), 0, ())) is None


def close(table: LatencyTable, other: LatencyTable) -> None:
    assert table.dense_ms == pytest.approx(other.dense_ms)
    assert table.fixed_ms == pytest.approx(other.fixed_ms)
    for factor, expected in zip(table.factors, other.factors, strict=True):
        assert factor.milliseconds == pytest.approx(expected.milliseconds)


def test_a_table_that_agrees_stays() -> None:
    close(anchored(TABLE, SPACE, whole(9.0, 9.0, 5.5), has_maps=True), TABLE)


def test_a_small_difference_is_noise() -> None:
    close(anchored(TABLE, SPACE, whole(9.5, 9.5, 5.5 * 9.5 / 9.0), has_maps=True), TABLE)


def test_operations_that_cannot_be_timed_are_fixed() -> None:
    found = anchored(TABLE, SPACE, whole(12.0, 12.0, 8.5), has_maps=True)
    assert found.dense_ms == pytest.approx(12)
    assert found.milliseconds(SPACE, DENSE) == pytest.approx(12)
    assert found.milliseconds(SPACE, INT8) == pytest.approx(8.5)
    close(replace(found, factors=()), replace(TABLE, factors=(), dense_ms=12.0, fixed_ms=4.0))


def test_dense_is_the_users_file() -> None:
    found = anchored(TABLE, SPACE, whole(10.0, 9.0, 5.5), has_maps=True)
    assert found.dense_ms == pytest.approx(10)
    assert found.milliseconds(SPACE, DENSE) == pytest.approx(9)


def test_without_index_maps_the_users_file_and_the_candidate_are_one() -> None:
    found = anchored(TABLE, SPACE, whole(9.3, 9.0, 5.5 * 9.3 / 9.0), has_maps=False)
    assert found.dense_ms == pytest.approx(9)
    close(found, TABLE)


def test_without_other_plans_layers_stay() -> None:
    assert anchored(TABLE, SPACE, whole(9.0, 9.0), has_maps=True) == TABLE


def test_one_plan_corrects_the_layers_that_it_has() -> None:
    """A file in int8 that is faster than its layers tells of int8, not of float."""
    found = anchored(TABLE, SPACE, whole(9.0, 9.0, 4.8), has_maps=True)
    assert found.speedup(SPACE, INT8) == pytest.approx(9 / 4.8, rel=0.02)
    assert found.speedup(SPACE, DENSE) == pytest.approx(1, rel=0.02)
    assert found.factors[1].milliseconds[1] < 0.9 * TABLE.factors[1].milliseconds[1]


def timed(of: LatencyTable, plans: Sequence[Levels] = EVERY) -> WholeTimes:
    """Whole models that take what a table says."""
    return WholeTimes(of.dense_ms, of.dense_ms, tuple((levels, of.milliseconds(SPACE, levels)) for levels in plans))


def off(table: LatencyTable, truth: LatencyTable) -> float:
    """The largest error of a speed-up."""
    return max(abs(table.speedup(SPACE, levels) / truth.speedup(SPACE, levels) - 1) for levels in EVERY)


@pytest.mark.parametrize("kind", ["int8", "boundary", "one layer"])
def test_plans_find_what_is_off(kind: str) -> None:
    """From half of the plans, for all of them."""
    first, layer, boundary, _ = TABLE.factors
    wrong = {
        "int8": (layer, replace(layer, milliseconds=(3.0, 1.8, 1.8))),
        "boundary": (boundary, replace(boundary, milliseconds=tuple(2 * item for item in boundary.milliseconds))),
        "one layer": (first, replace(first, milliseconds=(4.0, 2.0, 2.0, 2.0, 1.2, 1.2))),
    }[kind]
    truth = replace(TABLE, factors=tuple(wrong[1] if item == wrong[0] else item for item in TABLE.factors))
    found = anchored(TABLE, SPACE, timed(truth, EVERY[::2]), has_maps=True)
    assert off(TABLE, truth) > 0.03
    assert off(found, truth) < 0.02


def test_equal_layers_share_their_error() -> None:
    """A plan with one of them tells of the other."""
    layer = LatencyFactor("third", (0, 2), (3.0, 1.5, 1.7, 2.0, 1.1, 1.2))
    table = replace(TABLE, dense_ms=12.0, factors=(*TABLE.factors, layer))
    only = anchored(table, SPACE, WholeTimes(12.0, 12.0, (((0, 0, 1), 8.7),)), has_maps=True)
    changes = [
        [now / before - 1 for now, before in zip(item.milliseconds, old.milliseconds, strict=True) if before]
        for item, old in zip(only.factors, table.factors, strict=True)
    ]
    assert changes[1][1] == pytest.approx(changes[4][1])  # both took 1.5 ms
    assert changes[4][1] < changes[4][2] < 0  # another one in int8 shares less


@pytest.mark.parametrize(("milliseconds", "scale"), [(90.0, MOST_SCALE), (0.1, LEAST_SCALE)])
def test_corrections_have_bounds(milliseconds: float, scale: float) -> None:
    found = anchored(TABLE, SPACE, whole(9.0, 9.0, milliseconds), has_maps=True)
    ratios = [
        now / before
        for item, old in zip(found.factors, TABLE.factors, strict=True)
        for now, before in zip(item.milliseconds, old.milliseconds, strict=True)
        if before
    ]
    assert (max if scale > 1 else min)(ratios) == pytest.approx(scale)


def test_layers_that_take_nothing_are_left() -> None:
    free = replace(TABLE, dense_ms=2.0, factors=(LatencyFactor("second", (2,), (1.0, 0.0, 0.0)),))
    assert anchored(free, SPACE, whole(2.0, 2.0, 1.5), has_maps=True).factors[0].milliseconds[1:] == (0.0, 0.0)
