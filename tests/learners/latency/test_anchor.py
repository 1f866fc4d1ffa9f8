"""The table agrees with the whole models it is anchored to, and changes nothing where it agrees already."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace

import pytest

from learners.latency import anchor
from learners.latency.anchor import BOUNDARY_BOUNDS, LAYER_BOUNDS, Levels, WholePlan, WholeTimes, int8_levels
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
BOUNDARIES = (2,)  # factors
EVERY = tuple(itertools.product(range(2), range(3), range(3)))


def anchored(table: LatencyTable, space: SearchSpace, whole: WholeTimes, has_maps: bool) -> LatencyTable:
    return anchor.anchored(table, space, whole, has_maps, BOUNDARIES)


def whole(dense: float, unchanged: float, in_int8: float | None = None) -> WholeTimes:
    return WholeTimes(dense, unchanged, () if in_int8 is None else (WholePlan(INT8, in_int8),))


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
    return WholeTimes(
        of.dense_ms, of.dense_ms, tuple(WholePlan(levels, of.milliseconds(SPACE, levels)) for levels in plans)
    )


def off(table: LatencyTable, truth: LatencyTable) -> float:
    """The largest error of a speed-up."""
    return max(abs(table.speedup(SPACE, levels) / truth.speedup(SPACE, levels) - 1) for levels in EVERY)


FIRST, SECOND, BOUNDARY, POOL = TABLE.factors
WRONG: dict[str, dict[int, tuple[float, ...]]] = {
    "int8 layers": {0: (4.0, 2.3, 2.3, 2.0, 1.15, 1.15), 1: (3.0, 1.8, 1.8)},
    "float layers": {0: (4.6, 2.0, 2.0, 2.3, 1.0, 1.0), 1: (3.5, 1.5, 1.5)},
    "no boundaries": {2: (0.0,) * 9},
    "boundaries thrice": {2: tuple(3 * item for item in BOUNDARY.milliseconds)},
    "one layer": {0: (4.0, 2.0, 2.0, 2.0, 1.3, 1.3)},
}


@pytest.mark.parametrize("kind", list(WRONG))
def test_plans_find_what_is_off(kind: str) -> None:
    """From half of the plans, for all of them."""
    factors = tuple(
        replace(item, milliseconds=WRONG[kind].get(index, item.milliseconds))
        for index, item in enumerate(TABLE.factors)
    )
    dense = 1.0 + sum(item.milliseconds[0] for item in factors)
    truth = replace(TABLE, factors=factors, dense_ms=dense)
    found = anchored(TABLE, SPACE, timed(truth, EVERY[::2]), has_maps=True)
    assert off(TABLE, truth) > 0.04
    assert off(found, truth) < 0.02
    assert found.speedup(SPACE, DENSE) == pytest.approx(1, abs=0.002)


def test_a_boundary_beside_what_is_float_for_good_is_one() -> None:
    """One width decides on it; taken for a layer in int8 it would cost all of these."""
    one_sided = LatencyFactor("second to softmax", (2,), (0.0, 0.6, 0.6))
    table = replace(TABLE, factors=(FIRST, SECOND, one_sided), dense_ms=8.0)
    truth = replace(table, factors=(FIRST, SECOND, replace(one_sided, milliseconds=(0.0, 1.8, 1.8))))
    found = anchored(table, SPACE, timed(truth, EVERY[::2]), has_maps=True)
    assert off(found, truth) < 0.01
    assert found.factors[2].milliseconds[1] > 2.5 * 0.6
    mistaken = anchor.anchored(table, SPACE, timed(truth, EVERY[::2]), has_maps=True)
    assert off(mistaken, truth) > 0.03


def test_what_takes_less_than_nothing_is_scaled_likewise() -> None:
    """What follows the operation is smaller than what stands in its place in the small model."""
    saves = LatencyFactor("relu", (1,), (0.0, -0.5, -0.5))
    table = replace(TABLE, factors=(*TABLE.factors, saves))
    truth = replace(table, factors=(*TABLE.factors, replace(saves, milliseconds=(0.0, -0.7, -0.7))))
    found = anchored(table, SPACE, timed(truth, EVERY[::2]), has_maps=True)
    assert off(table, truth) > 0.03
    assert off(found, truth) < 0.02
    assert found.factors[4].milliseconds[0] == 0
    assert found.factors[4].milliseconds[1] == found.factors[4].milliseconds[2] < 0


def test_a_scale_that_is_not_known_says_nothing_of_what_is_missing() -> None:
    """The probe was disturbed: twice the time of all whole models is its, not theirs."""
    twice = WholeTimes(18.0, 18.0, (WholePlan(INT8, 11.0),), on_scale=False)
    close(anchored(TABLE, SPACE, twice, has_maps=True), TABLE)


def test_equal_layers_share_their_error() -> None:
    """A plan with one of them tells of the other."""
    layer = LatencyFactor("third", (0, 2), (3.0, 1.5, 1.7, 2.0, 1.1, 1.2))
    table = replace(TABLE, dense_ms=12.0, factors=(*TABLE.factors, layer))
    only = anchored(table, SPACE, WholeTimes(12.0, 12.0, (WholePlan((0, 0, 1), 8.7),)), has_maps=True)
    changes = [
        [now / before - 1 for now, before in zip(item.milliseconds, old.milliseconds, strict=True) if before]
        for item, old in zip(only.factors, table.factors, strict=True)
    ]
    assert changes[1][1] == pytest.approx(changes[4][1])  # both took 1.5 ms
    assert changes[4][1] < changes[4][2] < 0  # another one in int8 shares less


@pytest.mark.parametrize(("milliseconds", "scale"), [(90.0, LAYER_BOUNDS[1]), (0.1, LAYER_BOUNDS[0])])
def test_corrections_of_layers_have_bounds(milliseconds: float, scale: float) -> None:
    found = anchored(TABLE, SPACE, whole(9.0, 9.0, milliseconds), has_maps=True)
    ratios = [
        now / before
        for index in (0, 1, 3)
        for now, before in zip(found.factors[index].milliseconds, TABLE.factors[index].milliseconds, strict=True)
    ]
    assert (max if scale > 1 else min)(ratios) == pytest.approx(scale)


@pytest.mark.parametrize(("share", "scale"), [(9.0, BOUNDARY_BOUNDS[1]), (-3.0, BOUNDARY_BOUNDS[0])])
def test_corrections_of_boundaries_have_bounds(share: float, scale: float) -> None:
    wrong = replace(BOUNDARY, milliseconds=tuple(share * item for item in BOUNDARY.milliseconds))
    truth = replace(TABLE, factors=(FIRST, SECOND, wrong, POOL))
    found = anchored(TABLE, SPACE, timed(truth), has_maps=True)
    assert found.factors[2].milliseconds[1] == pytest.approx(scale * BOUNDARY.milliseconds[1])


def test_a_disturbed_plan_tells_less() -> None:
    """It is better than nothing: layers alone may be further off."""
    quiet, disturbed = (
        anchored(TABLE, SPACE, WholeTimes(9.0, 9.0, (WholePlan(INT8, 4.4, error),)), True).speedup(SPACE, INT8)
        for error in (0.0, 0.1)
    )
    assert TABLE.speedup(SPACE, INT8) * 1.02 < disturbed < quiet * 0.98


def test_layers_that_take_nothing_are_left() -> None:
    free = replace(TABLE, dense_ms=2.0, factors=(LatencyFactor("second", (2,), (1.0, 0.0, 0.0)),))
    assert anchored(free, SPACE, whole(2.0, 2.0, 1.5), has_maps=True).factors[0].milliseconds[1:] == (0.0, 0.0)
