"""The allocation sampler: the exact plans, spread over all sizes, those of the target first."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings

from searcher.knapsack import solve
from searcher.samplers.allocation import FOCUS_SHARES, AllocationSampler, van_der_corput
from searcher.samplers.base import SamplerContext
from storage.records.candidate import Candidate
from storage.records.space import SearchSpace
from tests.searcher.spaces import large_space, spaces


def sampler(space: SearchSpace, focus: tuple[int, ...] = ()) -> AllocationSampler:
    return AllocationSampler(SamplerContext(space, "library", 0, focus))


def frontier_plans(space: SearchSpace) -> set[tuple[int, ...]]:
    frontier = solve(
        [[level.size_bytes for level in site.levels] for site in space.sites],
        [[level.error for level in site.levels] for site in space.sites],
    )
    return {frontier.plan(index) for index in range(len(frontier))}


@given(spaces())
@settings(max_examples=60)
def test_a_small_space_is_exhausted_and_nothing_else_proposed(space: SearchSpace) -> None:
    proposer = sampler(space, (space.fixed_bytes + 50, 0, 10**9))
    found: list[Candidate] = []
    while batch := proposer.ask(7):
        found += batch
    assert {item.levels for item in found} == frontier_plans(space)
    assert len(found) == len(set(found))
    assert all(space.contains(item.levels) and item.weights == "library" for item in found)
    assert list(proposer.ask(5)) == []


def test_nothing_asked_is_nothing_given() -> None:
    proposer = sampler(large_space())
    assert list(proposer.ask(0)) == []
    assert len(proposer.ask(3)) == 3


def test_proposals_do_not_depend_on_how_they_are_asked_for() -> None:
    space = large_space()
    whole = list(sampler(space, (9000,)).ask(60))
    parts = sampler(space, (9000,))
    pieces = [item for count in (1, 0, 20, 39) for item in parts.ask(count)]
    assert whole == pieces
    assert len(set(whole)) == 60


def test_the_targets_sizes_come_first() -> None:
    space = large_space()
    target = 15_000
    first = sampler(space, (target,)).ask(len(FOCUS_SHARES))
    sizes = [space.size_bytes(item.levels) for item in first]
    for share, size in zip(FOCUS_SHARES, sizes, strict=True):
        assert 0.99 * share * target < size <= share * target


@pytest.mark.parametrize("count", [8, 40, 150])
def test_any_number_of_candidates_covers_the_range(count: int) -> None:
    space = large_space()
    found = sampler(space).ask(count)
    sizes = sorted(space.size_bytes(item.levels) - space.fixed_bytes for item in found)
    smallest = sum(min(level.size_bytes for level in site.levels) for site in space.sites)
    eight = sum(site.levels[1].size_bytes for site in space.sites)
    assert sizes[0] == smallest
    low = [math.log(size) for size in sizes if size <= eight]
    assert len(low) >= 0.75 * count
    gaps = np.diff([*low, math.log(eight)])
    assert gaps.max() < 3.2 * (math.log(eight) - math.log(smallest)) / len(low)


def test_van_der_corput_halves_the_gaps_again_and_again() -> None:
    assert [van_der_corput(index) for index in range(8)] == [0, 1 / 2, 1 / 4, 3 / 4, 1 / 8, 5 / 8, 3 / 8, 7 / 8]
