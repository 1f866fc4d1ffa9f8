"""How many channels the levels keep."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import numpy as np
import pytest
from pydantic import TypeAdapter

from learners.analysis import analyse
from learners.base import LearnerOptions
from learners.channel.group_levels import GroupLevels
from learners.channel.groups import ChannelGroup
from learners.channel.learner import ChannelLearner
from learners.channel.levels import LEAST_CHANNELS, fewest_units, group_levels
from learners.device import single_thread
from learners.library.space import planned_space
from tests.learners.channel.odd import SHAPE, build_odd
from tests.learners.channel.traced import trace_channels
from tests.networks import NETWORKS, build

# Their units hold different numbers of channels, of one layer or of several.
UNEQUAL = (
    "channels added to some others", "depthwise that multiplies", "flattened and added", "joined and added",
    "split by sizes", "uneven chunks", "overlapping slices", "shufflenet",
)  # fmt: skip
GRID = 8  # of the runtime's kernels, and every multiple of 16 is one of it


def group(width: int, each: int = 1, staying: int = 0) -> ChannelGroup:
    """`width` channels, of which the first `staying` can never go, in units of `each`."""
    units = tuple(range(1, (width - staying) // each + 1))
    made = (0,) * staying + tuple(unit for unit in units for _ in range(each))
    return ChannelGroup("c", ("c",), units, made, (), (made,))


def unit_counts(of: ChannelGroup, round_to: int | None = None, min_channels: int | None = None) -> tuple[int, ...]:
    """Units that the levels keep where they go from the last to the first."""
    return group_levels(of, of.units[::-1], round_to, min_channels).counts


def layer_counts(levels: GroupLevels) -> Iterator[tuple[int, int]]:
    """Output channels of each layer at each level, all and those that are left."""
    for level in range(len(levels.counts)):
        removed = set(levels.removed(level))
        for made in levels.group.outputs:
            yield len(made), sum(unit not in removed for unit in made)


@cache
def unequal_groups(name: str) -> tuple[ChannelGroup, ...]:
    if name in NETWORKS:
        return trace_channels(build(name), NETWORKS[name].input).groups
    return trace_channels(build_odd(name), SHAPE).groups


@pytest.mark.parametrize(
    ("width", "counts"),
    [
        (2, (2,)),
        (3, (3, 2)),
        (4, (4, 3, 2)),
        (5, (5, 4, 3, 2)),
        (8, (8, 7, 6, 5, 4, 3, 2)),
        (12, (12, 10, 9, 8, 6, 4, 3)),
        (16, (16, 14, 12, 10, 8, 6, 4)),
        (24, (24, 20, 18, 16, 12, 8, 6)),
        (32, (32, 28, 24, 20, 16, 12, 8)),
        (64, (64, 56, 48, 40, 32, 24, 16)),
        (127, (127, 112, 96, 80, 64, 48, 32)),
        (128, (128, 112, 96, 92, 80, 64, 60, 48, 32)),
        (256, (256, 224, 192, 188, 160, 128, 124, 96, 64)),
        (1280, (1280, 1120, 960, 956, 800, 640, 636, 480, 320)),
    ],
)
def test_counts_of_widths(width: int, counts: tuple[int, ...]) -> None:
    assert unit_counts(group(width)) == counts


@pytest.mark.parametrize("width", range(32, 520, 8))
def test_the_runtimes_grid_and_the_original_are_among_them(width: int) -> None:
    counts = unit_counts(group(width))
    assert counts[0] == width
    assert len(counts) >= 4
    assert any(count % GRID == 0 for count in counts[1:])
    if width >= 128:
        finer = [count for count in counts[1:] if count % 16]
        assert len(finer) == 2
        assert all(count % GRID == 4 for count in finer)
    if width % 64 == 0:
        assert sum(count % 16 == 0 for count in counts) >= 4


@pytest.mark.parametrize("width", range(2, 200))
def test_counts_fall_and_leave_something(width: int) -> None:
    counts = unit_counts(group(width))
    assert counts[0] == width
    assert list(counts) == sorted(set(counts), reverse=True)
    assert counts[-1] >= min(width, LEAST_CHANNELS)


def test_units_of_several_channels_count_in_channels() -> None:
    assert unit_counts(group(16, each=4)) == (4, 3, 2, 1)
    assert unit_counts(group(16, each=8)) == (2, 1)
    assert unit_counts(group(64, each=4)) == (16, 14, 12, 10, 8, 6, 4)


def test_channels_that_never_go_are_counted_too() -> None:
    found = unit_counts(group(32, staying=16))
    assert found[0] == 16
    assert [count + 16 for count in found] == [32, 28, 24, 20]  # 16 of 32 would take them all


@pytest.mark.parametrize(
    ("options", "counts"),
    [
        ((16, None), (64, 48, 32, 16)),
        ((32, None), (64, 32)),
        ((64, None), (64,)),
        ((None, 40), (64, 56, 48, 40)),
        ((24, None), (64, 48, 24)),
        ((16, 33), (64, 48)),
        ((None, 100), (64,)),
    ],
)
def test_the_study_file_overrides_both(options: tuple[int | None, int | None], counts: tuple[int, ...]) -> None:
    assert unit_counts(group(64), *options) == counts


def test_levels_that_an_order_does_not_reach_are_left_out() -> None:
    found = GroupLevels.of(group(8), (8, 7, 6), (8, 6, 5, 4, 2))
    assert found.counts == (8, 6, 5)
    assert found.removed(0) == ()
    assert found.removed(2) == (8, 7, 6)
    assert [found.width(level) for level in range(3)] == [8, 6, 5]


def test_levels_of_equal_width_are_one() -> None:
    """Units that the layer of the group's name does not make leave its width as it is."""
    units = (1, 2, 3, 4, 5)
    uneven = ChannelGroup("c", ("c", "d"), units, (1, 1, 2, 3), ())
    found = GroupLevels.of(uneven, (5, 4, 1, 3, 2), (5, 4, 3, 2, 1))
    assert [found.width(level) for level in range(len(found.counts))] == [4, 2, 1]
    assert found.counts == (5, 2, 1)


@pytest.mark.parametrize("name", UNEQUAL)
@pytest.mark.parametrize(("round_to", "min_channels"), [(2, None), (4, None), (3, 5), (None, 6), (4, 7)])
def test_every_layer_obeys_where_units_hold_unequal_numbers_of_channels(
    name: str, round_to: int | None, min_channels: int | None
) -> None:
    for of in unequal_groups(name):
        for seed in range(4):
            order = np.random.default_rng(seed).permutation(of.units)[: len(of.units) - 1].tolist()
            levels = group_levels(of, order, round_to, min_channels)
            assert levels.counts[0] == len(of.units)
            assert set(levels.order) <= set(order)
            for every, left in layer_counts(levels):
                assert left == every or left % (round_to or 1) == 0
                assert left == every or left >= (min_channels or LEAST_CHANNELS)


@pytest.mark.parametrize(
    ("name", "group_name", "options", "widths"),
    [
        ("flattened and added", "a", (None, None), [16, 14, 12, 10, 8, 6, 4]),
        ("flattened and added", "a", (4, None), [16, 12, 8, 4]),
        ("joined and added", "c", (None, None), [32, 28, 24, 20, 16, 12, 8]),
        ("joined and added", "c", (8, None), [32, 24, 16]),
        ("joined and added", "c", (None, 8), [32, 28, 24, 20, 16]),
        ("depthwise that multiplies", "a", (None, None), [8, 7, 6, 5, 4, 3, 2]),
        ("depthwise that multiplies", "a", (4, None), [8, 4]),
    ],
)
def test_widths_of_unequal_groups(
    name: str, group_name: str, options: tuple[int | None, int | None], widths: list[int]
) -> None:
    of = {item.name: item for item in unequal_groups(name)}[group_name]
    for seed in range(4):
        order = np.random.default_rng(seed).permutation(of.units)[: len(of.units) - 1].tolist()
        levels = group_levels(of, order, *options)
        assert [levels.width(level) for level in range(len(levels.counts))] == widths


@pytest.mark.parametrize("width", [24, 64, 128, 200])
def test_the_order_is_the_criterions_where_all_units_are_alike(width: int) -> None:
    of = group(width)
    order = tuple(np.random.default_rng(0).permutation(of.units)[: width - 4].tolist())
    levels = group_levels(of, order, None, None)
    assert levels.order == order[: len(levels.order)]
    assert levels.counts == unit_counts(of)


@pytest.mark.parametrize("width", range(2, 300, 7))
def test_the_fewest_units_are_those_of_the_smallest_level(width: int) -> None:
    for of in (group(width), group(width, staying=width // 3), group(4 * width, each=4)):
        assert 1 <= fewest_units(of, None, None) <= unit_counts(of)[-1]
    assert fewest_units(group(width), None, None) == unit_counts(group(width))[-1]


@pytest.mark.parametrize("name", ["joined and added", "flattened and added", "split by sizes"])
def test_the_planned_channels_of_every_layer_obey_the_study_file(name: str) -> None:
    with single_thread():
        analysis = analyse(build_odd(name), SHAPE, (), 0)
    space = planned_space(analysis, (ChannelLearner(LearnerOptions(round_to=4, min_channels=6)),))
    assert any(len(layer.channels) > 1 for layer in space.layers)
    for layer in space.layers:
        assert all(left == layer.channels[0] or (left % 4 == 0 and left >= 6) for left in layer.channels)


def test_groups_of_libraries_of_before_are_read() -> None:
    """They hold the width of a unit, and no outputs of the other layers."""
    group = {"name": "c", "layers": ["c", "d"], "units": [1, 2], "made": [1, 2], "width_of_unit": 1, "together": [[1]]}
    found = TypeAdapter(GroupLevels).validate_python({"group": group, "order": [2], "counts": [2, 1]})
    assert [found.width(level) for level in range(2)] == [2, 1]
    assert found.group.outputs == ()
