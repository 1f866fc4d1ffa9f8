"""The allocation sampler: the target's plans first, then all sizes and speeds, then everything else, once each."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import given, settings

from searcher.allocation.budget import Budget
from searcher.allocation.gaps import Gaps
from searcher.allocation.knapsack import solve
from searcher.allocation.problem import QUANTITIES
from searcher.allocation.sequence import van_der_corput
from searcher.allocation.spread import Start
from searcher.allocation.targets import FOCUS_SHARES
from searcher.samplers.allocation import AllocationSampler, Effort
from searcher.samplers.base import SamplerContext, Scored
from storage.records.candidate import Candidate
from storage.records.latency import LatencyTable
from storage.records.space import CHANNEL, FLOAT_BITS, SearchSpace
from storage.records.target import Objective
from tests.searcher.spaces import FINE_SHARES, chain, coupled_spaces, dense_block, large_space, residual, spaces

SIZE_ALONE = np.array([float(name == "size") for name in QUANTITIES])


def sampler(
    space: SearchSpace, budgets: Sequence[Budget] = (), latency: LatencyTable | None = None, known: Sequence[int] = ()
) -> AllocationSampler:
    baselines = frozenset(Candidate(space.uniform_bits(bits), "library") for bits in known)
    return AllocationSampler(SamplerContext(space, "library", 0, tuple(budgets), baselines, latency))


def frontier_plans(space: SearchSpace) -> set[tuple[int, ...]]:
    frontier = solve(
        [[int(size) for size in factor.size_bytes] for factor in space.factors],
        [factor.error for factor in space.factors],
    )
    return {frontier.plan(index) for index in range(len(frontier))}


def everything(proposer: AllocationSampler, batch: int = 7) -> list[Candidate]:
    found: list[Candidate] = []
    while asked := proposer.ask(batch):
        found += asked
    return found


def is_bits_only(space: SearchSpace, levels: Sequence[int]) -> bool:
    return all(level == 0 for level, site in zip(levels, space.sites, strict=True) if site.learner == CHANNEL)


@given(spaces())
@settings(max_examples=60)
def test_a_small_space_of_bits_is_exhausted_its_front_first(space: SearchSpace) -> None:
    proposer = sampler(space, [Budget("size", space.fixed_bytes + 50)])
    found = [item.levels for item in everything(proposer)]
    front = frontier_plans(space)
    assert set(found[: len(front)]) == front
    assert set(found) == set(itertools.product(*(range(len(site.levels)) for site in space.sites)))
    assert len(found) == len(set(found))
    assert list(proposer.ask(5)) == []


@given(coupled_spaces(most_sites=4))
@settings(max_examples=60, deadline=None)
def test_a_small_coupled_space_is_exhausted_too(space: SearchSpace) -> None:
    proposer = sampler(space, [Budget("size", space.fixed_bytes + 200.0), Budget("macs", 500.0)])
    found = [item.levels for item in everything(proposer)]
    assert set(found) == set(itertools.product(*(range(len(site.levels)) for site in space.sites)))
    assert len(found) == len(set(found))


def test_nothing_asked_is_nothing_given() -> None:
    proposer = sampler(large_space())
    assert list(proposer.ask(0)) == []
    assert len(proposer.ask(3)) == 3


@pytest.mark.parametrize("made", [lambda: (large_space(), None), chain, residual, dense_block])
def test_proposals_do_not_depend_on_how_they_are_asked_for(made: object) -> None:
    assert callable(made)
    space, latency = made()
    budgets = [Budget("size", space.size_bytes((0,) * len(space.sites)) / 5)]
    whole = list(sampler(space, budgets, latency).ask(60))
    parts = sampler(space, budgets, latency)
    pieces = [item for count in (1, 0, 20, 39) for item in parts.ask(count)]
    assert whole == pieces
    assert len(set(whole)) == 60
    assert all(space.contains(item.levels) and item.weights == "library" for item in whole)


def test_the_targets_sizes_come_first() -> None:
    space = large_space()
    target = 15_000
    first = sampler(space, [Budget("size", target)]).ask(len(FOCUS_SHARES))
    sizes = [space.size_bytes(item.levels) for item in first]
    for share, size in zip(FOCUS_SHARES, sizes, strict=True):
        assert 0.99 * share * target < size <= share * target


def test_the_targets_plans_keep_to_all_budgets_and_say_how_good_they_are() -> None:
    space, latency = residual(3, 3, FINE_SHARES)
    dense = (0,) * len(space.sites)
    limits = {"size": space.size_bytes(dense) / 8, "latency": latency.dense_ms / 2, "macs": space.macs(dense) / 2}
    budgets = [Budget("size", limits["size"]), Budget("latency", limits["latency"]), Budget("macs", limits["macs"])]
    proposer = sampler(space, budgets, latency)
    assert any("HiGHS: plans for size" in note and "of the optimum" in note for note in proposer.notes)
    for share, item in zip(FOCUS_SHARES, proposer.ask(len(FOCUS_SHARES)), strict=True):
        assert space.size_bytes(item.levels) <= share * limits["size"]
        assert latency.milliseconds(space, item.levels) <= share * limits["latency"] * (1 + 1e-9)
        assert space.macs(item.levels) <= share * limits["macs"]


def test_budgets_that_nothing_meets_are_named() -> None:
    space, latency = residual()
    proposer = sampler(space, [Budget("latency", latency.dense_ms / 1000)], latency)
    assert any("no plan within latency" in note and "there is none" in note for note in proposer.notes)
    assert len(proposer.ask(50)) == 50


def test_bits_alone_meet_the_target_too_where_they_can() -> None:
    space, latency = residual(3, 3)
    budget = space.size_bytes((0,) * len(space.sites)) / 8
    first = sampler(space, [Budget("size", budget)], latency).ask(2 * len(FOCUS_SHARES))
    alone = [item.levels for item in first[len(FOCUS_SHARES) :]]
    assert all(is_bits_only(space, levels) for levels in alone)
    for share, levels in zip(FOCUS_SHARES, alone, strict=True):
        assert 0.9 * share * budget < space.size_bytes(levels) <= share * budget


@pytest.mark.parametrize("count", [8, 40, 150])
def test_any_number_of_candidates_covers_the_sizes_of_bits(count: int) -> None:
    space = large_space()
    found = sampler(space).ask(count)
    sizes = sorted(space.size_bytes(item.levels) - space.fixed_bytes for item in found)
    smallest = sum(min(factor.size_bytes) for factor in space.factors)
    eight = space.size_bytes(space.uniform_bits(8)) - space.fixed_bytes
    assert sizes[0] == smallest
    low = [math.log(size) for size in sizes if size <= eight]
    assert len(low) >= 0.75 * count
    gaps = np.diff([*low, math.log(eight)])
    assert gaps.max() < 3.2 * (math.log(eight) - math.log(smallest)) / len(low)


@pytest.mark.parametrize("count", [40, 120])
@pytest.mark.parametrize("has_latency", [True, False])
def test_any_number_of_candidates_covers_sizes_and_speeds(count: int, has_latency: bool) -> None:
    space, table = residual(5, 3, FINE_SHARES)
    found = [item.levels for item in sampler(space, (), table if has_latency else None).ask(count)]
    ends = tuple(len(site.levels) - 1 for site in space.sites)
    eight = space.uniform_bits(8)
    sizes = np.log([space.size_bytes(levels) for levels in found])
    low, high = math.log(space.size_bytes(ends)), math.log(space.size_bytes(eight))
    assert sizes.min() == pytest.approx(low)
    counts, _ = np.histogram(sizes, bins=6, range=(low, high))
    assert counts.min() >= count / 30
    speeds = np.log([table.milliseconds(space, levels) for levels in found])
    counts, _ = np.histogram(
        speeds, bins=5, range=(math.log(table.milliseconds(space, ends)), math.log(table.milliseconds(space, eight)))
    )
    assert counts.min() >= count / 30
    alone = sum(is_bits_only(space, levels) for levels in found)
    assert 0.2 * count <= alone <= 0.6 * count


def test_sizes_of_bits_are_covered_also_when_no_gap_is_left() -> None:
    """After more plans than gaps hold, the next ones are not the smallest of the frontier one after the other."""
    space = large_space()
    gaps = Gaps()
    while gaps.next(SIZE_ALONE, 1.0, 1e9) is not None:
        pass
    context = SamplerContext(space, "library", 0, (Budget("size", 15_000),))
    found = AllocationSampler(context, Effort(start=Start(gaps=gaps))).ask(120)
    sizes = np.log([space.size_bytes(item.levels) for item in found])
    counts, _ = np.histogram(sizes, bins=6, range=(sizes.min(), math.log(space.size_bytes(space.uniform_bits(8)))))
    assert counts.min() >= 8


def test_most_of_the_spread_is_for_what_the_target_wants() -> None:
    """Among as many plans, those within a latency are better where latency is wanted, and in size where that is."""
    space, table = residual(5, 3, FINE_SHARES)
    dense = (0,) * len(space.sites)
    ends = tuple(len(site.levels) - 1 for site in space.sites)
    costs: dict[Objective, Callable[[tuple[int, ...]], float]] = {
        "latency": lambda levels: table.milliseconds(space, levels),
        "size": space.size_bytes,
    }
    least: dict[tuple[str, str], list[float]] = {}
    for wanted, of_wanted in costs.items():
        # The target itself is out of the way: what is compared is the spread.
        budget = Budget(wanted, 1.01 * of_wanted(ends))
        found = [item.levels for item in sampler(space, [budget], table).ask(48)]
        for cost, of_cost in costs.items():
            limits = np.geomspace(of_cost(ends), of_cost(dense), 12)[1:-1]
            least[wanted, cost] = [
                min(space.error(levels) for levels in found if of_cost(levels) <= limit) for limit in limits
            ]
    assert np.mean(least["latency", "latency"]) < np.mean(least["size", "latency"])
    assert np.mean(least["size", "size"]) < np.mean(least["latency", "size"])


def test_bits_go_as_far_as_they_are_of_use_where_channels_fail_early() -> None:
    """An error by lost channels costs more accuracy than an equal one by lost bits."""
    space, table = residual(5, 3, FINE_SHARES)
    proposer = sampler(space, (), table, [8, 6, 4, 3, 2])
    found = []
    for _ in range(24):
        asked = [item.levels for item in proposer.ask(5)]
        proposer.tell([_scored(space, levels, 90.0 if is_bits_only(space, levels) else 20.0) for levels in asked])
        found += asked
    sizes = np.log(sorted(space.size_bytes(levels) for levels in found if is_bits_only(space, levels)))
    low, high = math.log(space.size_bytes(space.uniform_bits(2))), math.log(space.size_bytes(space.uniform_bits(8)))
    counts, _ = np.histogram(sizes, bins=6, range=(low, high))
    assert counts.min() >= 2


def _scored(space: SearchSpace, levels: tuple[int, ...], score: float) -> Scored:
    return Scored(Candidate(levels, "library"), score, int(space.size_bytes(levels)), space.macs(levels))


def test_no_plan_of_the_spread_is_beaten_by_another() -> None:
    space, table = residual(3, 3)
    found = [item.levels for item in sampler(space, (), table).ask(60) if not is_bits_only(space, item.levels)]
    figures = np.array([(space.error(item), space.size_bytes(item), table.milliseconds(space, item)) for item in found])
    beaten = [
        ((figures <= figure).all(axis=1) & (figures < figure * (1 - 1e-9)).any(axis=1)).any() for figure in figures
    ]
    assert np.mean(beaten) == 0


def test_baselines_are_not_proposed() -> None:
    space, table = chain(3)
    known = (8, 4, FLOAT_BITS)
    found = {item.levels for item in everything(sampler(space, (), table, known))}
    assert found.isdisjoint(space.uniform_bits(bits) for bits in known)
    assert len(found) == math.prod(len(site.levels) for site in space.sites) - len(known)


def test_dense_couplings_are_told() -> None:
    space, table = dense_block(12, FINE_SHARES)
    budget = Budget("size", space.size_bytes((0,) * len(space.sites)) / 4)
    notes = sampler(space, [budget], table).notes
    assert "local search" in notes[0]
    assert "not known" in notes[1]


def test_budgets_are_checked() -> None:
    space, _ = chain()
    with pytest.raises(ValueError, match="needs a latency table"):
        SamplerContext(space, "library", 0, (Budget("latency", 1.0),))
    with pytest.raises(ValueError, match="two budgets"):
        SamplerContext(space, "library", 0, (Budget("size", 1.0), Budget("size", 2.0)))


def test_van_der_corput_halves_the_gaps_again_and_again() -> None:
    assert [van_der_corput(index) for index in range(8)] == [0, 1 / 2, 1 / 4, 3 / 4, 1 / 8, 5 / 8, 3 / 8, 7 / 8]
