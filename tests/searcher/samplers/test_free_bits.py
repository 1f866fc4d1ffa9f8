"""Search for channels alone where no target wants what bits change."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import pytest

from searcher.allocation.budget import Budget
from searcher.samplers.base import Sampler, SamplerContext, Scored
from searcher.samplers.free_bits import FreeBitsSampler, bits_are_free
from searcher.samplers.table import sampler
from storage.records.candidate import Candidate
from storage.records.latency import LatencyTable
from storage.records.space import QUANT, SearchSpace
from tests.searcher.spaces import chain, large_space, residual

Levels = tuple[int, ...]

SPACE, TABLE = residual()
ALONE, ALONE_TABLE = residual(widths=(32,))  # the same sites, those of bits with one level
BITS = [index for index, site in enumerate(SPACE.sites) if site.learner == QUANT]
DENSE_MACS = SPACE.macs((0,) * len(SPACE.sites))
DENSE = Candidate((0,) * len(SPACE.sites), "library")


def context(space: SearchSpace, table: LatencyTable | None) -> SamplerContext:
    return SamplerContext(space, "library", 3, (Budget("macs", DENSE_MACS / 2),), latency=table)


def bare(levels: Levels) -> Levels:
    return tuple(0 if site in BITS else level for site, level in enumerate(levels))


def history(proposer: Sampler, space: SearchSpace, batches: Sequence[int]) -> list[Levels]:
    """All proposals, with scores that depend on channels alone, not as the errors say."""
    found: list[Levels] = []
    for size in batches:
        asked = proposer.ask(size)
        found += [item.levels for item in asked]
        proposer.tell(
            [
                Scored(
                    item,
                    90 - 40 * ALONE.error(bare(item.levels)) ** 2 - sum(bare(item.levels)[:2]),
                    space.size_bytes(item.levels),
                    space.macs(item.levels),
                )
                for item in asked
            ]
        )
    return found


def test_bits_are_free_where_channels_and_bits_are_searched_for_macs_alone() -> None:
    assert bits_are_free(context(SPACE, TABLE))
    assert not bits_are_free(context(ALONE, ALONE_TABLE))  # there are none
    assert not bits_are_free(SamplerContext(SPACE, "library", 0, ()))
    assert not bits_are_free(SamplerContext(SPACE, "library", 0, (Budget("size", 100.0), Budget("macs", 100.0))))
    assert not bits_are_free(SamplerContext(large_space(), "library", 0, (Budget("macs", 100.0),)))  # no channels


@pytest.mark.parametrize("name", ["auto", "corrected", "mutation", "random", "tpe"])
def test_the_channels_are_those_of_a_search_without_bits(name: str) -> None:
    batches = (8, 8, 8, 24)
    joint = history(sampler(name, context(SPACE, TABLE)), SPACE, batches)
    assert [bare(levels) for levels in joint] == history(sampler(name, context(ALONE, None)), ALONE, batches)
    for levels in joint:
        assert SPACE.size_bytes(levels) - SPACE.fixed_bytes < (SPACE.size_bytes(bare(levels)) - SPACE.fixed_bytes) / 2


def test_known_plans_are_not_proposed_and_others_of_their_channels_are() -> None:
    given = context(SPACE, TABLE)
    first = sampler("allocation", given).ask(2)
    again = SamplerContext(SPACE, "library", 3, given.budgets, frozenset({DENSE, first[0]}), TABLE)
    found = sampler("allocation", again).ask(60)
    assert first[0] not in found
    assert bare(DENSE.levels) in [bare(item.levels) for item in found]


def test_when_all_channels_are_proposed_the_search_goes_on_with_bits() -> None:
    space, table = chain()
    channels = [index for index, site in enumerate(space.sites) if site.learner != QUANT]
    plans = prod(len(space.sites[index].levels) for index in channels)
    given = SamplerContext(
        space, "library", 0, (Budget("macs", space.macs((0,) * len(space.sites)) / 2),), latency=table
    )
    proposer = sampler("auto", given)
    assert isinstance(proposer, FreeBitsSampler)
    found: list[Candidate] = []
    while len(found) < plans + 40:
        asked = proposer.ask(48)
        assert len(asked) == 48
        found += asked
        costs = [(item, space.size_bytes(item.levels), space.macs(item.levels)) for item in asked]
        proposer.tell([Scored(item, 90 - space.error(item.levels), size, macs) for item, size, macs in costs])
    assert len(set(found)) == len(found)
    of_channels = [tuple(item.levels[index] for index in channels) for item in found[:plans]]
    assert len(set(of_channels)) == plans
    assert all(proposer.origins[item] in ("allocation", "mutation", "corrected") for item in found)
