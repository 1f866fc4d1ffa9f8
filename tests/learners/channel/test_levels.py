"""How many channels the levels keep."""

from __future__ import annotations

import pytest

from learners.channel.groups import ChannelGroup
from learners.channel.levels import LEAST_CHANNELS, unit_counts
from learners.channel.plan import GroupLevels

GRID = 8  # of the runtime's kernels, and every multiple of 16 is one of it


def group(width: int, each: int = 1, staying: int = 0) -> ChannelGroup:
    """`width` channels, of which the first `staying` can never go, in units of `each`."""
    units = tuple(range(1, (width - staying) // each + 1))
    made = (0,) * staying + tuple(unit for unit in units for _ in range(each))
    return ChannelGroup("c", ("c",), units, made, each, ())


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
        (128, (128, 112, 96, 80, 64, 48, 32)),
        (256, (256, 224, 192, 160, 128, 96, 64)),
        (1280, (1280, 1120, 960, 800, 640, 480, 320)),
    ],
)
def test_counts_of_widths(width: int, counts: tuple[int, ...]) -> None:
    assert unit_counts(group(width), None, None) == counts


@pytest.mark.parametrize("width", range(32, 520, 8))
def test_the_runtimes_grid_and_the_original_are_among_them(width: int) -> None:
    counts = unit_counts(group(width), None, None)
    assert counts[0] == width
    assert len(counts) >= 4
    assert any(count % GRID == 0 for count in counts[1:])
    if width >= 128:
        assert all(count % 16 == 0 for count in counts[1:])
    if width % 64 == 0:
        assert sum(count % 16 == 0 for count in counts) >= 4


@pytest.mark.parametrize("width", range(2, 200))
def test_counts_fall_and_leave_something(width: int) -> None:
    counts = unit_counts(group(width), None, None)
    assert counts[0] == width
    assert list(counts) == sorted(set(counts), reverse=True)
    assert counts[-1] >= min(width, LEAST_CHANNELS)


def test_units_of_several_channels_count_in_channels() -> None:
    assert unit_counts(group(16, each=4), None, None) == (4, 3, 2, 1)
    assert unit_counts(group(16, each=8), None, None) == (2, 1)
    assert unit_counts(group(64, each=4), None, None) == (16, 14, 12, 10, 8, 6, 4)


def test_channels_that_never_go_are_counted_too() -> None:
    found = unit_counts(group(32, staying=16), None, None)
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
    uneven = ChannelGroup("c", ("c", "d"), units, (1, 1, 2, 3), 2, ())
    found = GroupLevels.of(uneven, (5, 4, 1, 3, 2), (5, 4, 3, 2, 1))
    assert [found.width(level) for level in range(len(found.counts))] == [4, 2, 1]
    assert found.counts == (5, 2, 1)
