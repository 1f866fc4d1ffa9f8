"""What every entry of `searcher.samplers.table.SAMPLERS` promises."""

from __future__ import annotations

from dataclasses import replace

import pytest

from searcher.allocation.budget import Budget
from searcher.samplers.base import Sampler, SamplerContext, Scored
from searcher.samplers.table import SAMPLERS, sampler
from storage.records.candidate import Candidate
from storage.records.latency import LatencyTable
from storage.records.space import FLOAT_BITS, SearchSpace
from tests.searcher.spaces import chain, dense_block, large_space, residual

BITS = large_space()
TINY = SearchSpace(BITS.sites[:1], (), 100, BITS.factors[:1])
SMALL = SearchSpace(BITS.sites[:2], (), 100, BITS.factors[:2])


def context(space: SearchSpace, latency: LatencyTable | None) -> SamplerContext:
    """Budgets of a sixth of the size, of two thirds of the MACs where channels can go, and of the latency if known."""
    dense = (0,) * len(space.sites)
    budgets = [Budget("size", space.size_bytes(dense) / 6)]
    if latency is not None:
        budgets += [Budget("macs", space.macs(dense) / 1.5), Budget("latency", latency.dense_ms / 1.5)]
    known = {Candidate(space.uniform_bits(bits), "library") for bits in (FLOAT_BITS, 8)}
    # As in a study: the baselines of other tools and of weights that are only rounded.
    known |= {Candidate((), "ort int8"), Candidate(space.uniform_bits(4), "library rounded")}
    return SamplerContext(space, "library", 7, tuple(budgets), frozenset(known), latency)


def macs_alone() -> SamplerContext:
    """A target that says nothing of what bits change."""
    given = context(*residual())
    return replace(given, budgets=tuple(budget for budget in given.budgets if budget.objective == "macs"))


CONTEXTS = {
    "bits": context(BITS, None),
    "chain": context(*chain()),
    "chain without latency": context(chain()[0], None),
    "residual": context(*residual()),
    "dense": context(*dense_block(3)),
    "macs alone": macs_alone(),
}


@pytest.fixture(params=sorted(SAMPLERS))
def name(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    return found


@pytest.fixture(params=sorted(CONTEXTS))
def given(request: pytest.FixtureRequest) -> SamplerContext:
    return CONTEXTS[request.param]


def told(given: SamplerContext, candidates: list[Candidate]) -> list[Scored]:
    """Scores that fall with the error; every seventh evaluation has failed."""
    space = given.space
    return [
        Scored(
            item,
            None if index % 7 == 6 else 90 - 100 * space.error(item.levels),
            space.size_bytes(item.levels),
            space.macs(item.levels),
            None if given.latency is None else given.latency.milliseconds(space, item.levels),
        )
        for index, item in enumerate(candidates)
    ]


def history(proposer: Sampler, given: SamplerContext, batches: int, size: int = 20) -> list[list[Candidate]]:
    found = []
    for _ in range(batches):
        asked = list(proposer.ask(size))
        found.append(asked)
        proposer.tell(told(given, asked))
    return found


def test_candidates_belong_to_the_space_and_to_the_library(name: str, given: SamplerContext) -> None:
    for batch in history(sampler(name, given), given, 3):
        assert len(batch) == 20
        for item in batch:
            assert given.space.contains(item.levels)
            assert all(type(level) is int for level in item.levels)
            assert item.weights == "library"


def test_no_candidate_is_proposed_twice(name: str, given: SamplerContext) -> None:
    found = [item for batch in history(sampler(name, given), given, 4) for item in batch]
    assert len(found) == len(set(found))
    assert given.known.isdisjoint(found)


def test_the_same_context_and_history_give_the_same_proposals(name: str, given: SamplerContext) -> None:
    first, second = sampler(name, given), sampler(name, given)
    assert history(first, given, 4) == history(second, given, 4)
    assert first.notes == second.notes


def test_a_sampler_that_is_made_again_goes_on_after_its_history(name: str, given: SamplerContext) -> None:
    whole = history(sampler(name, given), given, 4)
    again = sampler(name, given)
    for batch in whole[:2]:
        assert list(again.ask(len(batch))) == batch
        again.tell(told(given, batch))
    assert history(again, given, 2) == whole[2:]


def test_nothing_asked_is_nothing_given(name: str, given: SamplerContext) -> None:
    proposer = sampler(name, given)
    assert list(proposer.ask(0)) == []
    proposer.tell([])
    assert len(proposer.ask(5)) == 5


@pytest.mark.parametrize(("space", "plans", "size"), [(TINY, 6, 4), (SMALL, 36, 12)])
def test_a_space_that_is_used_up_ends_the_search(name: str, space: SearchSpace, plans: int, size: int) -> None:
    given = SamplerContext(space, "library", 0, ())
    proposer = sampler(name, given)
    found: list[Candidate] = []
    for _ in range(20):
        asked = list(proposer.ask(size))
        if not asked:
            break
        found += asked
        proposer.tell(told(given, asked))
    else:
        pytest.fail(f"the sampler goes on for ever in a space of {plans} candidates")
    assert len(found) == len(set(found)) == plans
