"""What every entry of `searcher.samplers.table.SAMPLERS` promises."""

from __future__ import annotations

import pytest

from searcher.samplers.base import Sampler, SamplerContext, Scored
from searcher.samplers.table import SAMPLERS, sampler
from storage.records.candidate import Candidate
from storage.records.space import SearchSpace
from tests.searcher.spaces import large_space

SPACE = large_space()
TINY = SearchSpace(SPACE.sites[:1], (), 100)
CONTEXT = SamplerContext(SPACE, "library", 7, (20_000,))


@pytest.fixture(params=sorted(SAMPLERS))
def name(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    return found


def told(candidates: list[Candidate]) -> list[Scored]:
    """Scores that fall with the error; every seventh evaluation has failed."""
    return [
        Scored(item, None if index % 7 == 6 else 90 - 100 * SPACE.error(item.levels), SPACE.size_bytes(item.levels))
        for index, item in enumerate(candidates)
    ]


def history(proposer: Sampler, batches: int, size: int = 20) -> list[list[Candidate]]:
    found = []
    for _ in range(batches):
        asked = list(proposer.ask(size))
        found.append(asked)
        proposer.tell(told(asked))
    return found


def test_candidates_belong_to_the_space_and_to_the_library(name: str) -> None:
    for batch in history(sampler(name, CONTEXT), 3):
        assert len(batch) == 20
        for item in batch:
            assert SPACE.contains(item.levels)
            assert item.weights == "library"


def test_no_candidate_is_proposed_twice(name: str) -> None:
    found = [item for batch in history(sampler(name, CONTEXT), 4) for item in batch]
    assert len(found) == len(set(found))


def test_the_same_context_and_history_give_the_same_proposals(name: str) -> None:
    assert history(sampler(name, CONTEXT), 4) == history(sampler(name, CONTEXT), 4)


def test_a_sampler_that_is_made_again_goes_on_after_its_history(name: str) -> None:
    whole = history(sampler(name, CONTEXT), 4)
    again = sampler(name, CONTEXT)
    for batch in whole[:2]:
        assert list(again.ask(len(batch))) == batch
        again.tell(told(batch))
    assert history(again, 2) == whole[2:]


def test_nothing_asked_is_nothing_given(name: str) -> None:
    proposer = sampler(name, CONTEXT)
    assert list(proposer.ask(0)) == []
    proposer.tell([])
    assert len(proposer.ask(5)) == 5


def test_a_space_that_is_used_up_ends_the_search(name: str) -> None:
    proposer = sampler(name, SamplerContext(TINY, "library", 0, ()))
    found: list[Candidate] = []
    for _ in range(20):
        asked = list(proposer.ask(4))
        if not asked:
            break
        found += asked
        proposer.tell([Scored(item, 50.0, TINY.size_bytes(item.levels)) for item in asked])
    else:
        pytest.fail("the sampler goes on for ever in a space of six candidates")
    assert 1 <= len(found) == len(set(found)) <= 6
