"""The baselines that every study has."""

from __future__ import annotations

from collections.abc import Callable

from searcher.baselines import DENSE, ORT_INT8, baseline_proposals, uniform
from storage.records.space import SearchSpace
from tests.built import Built
from tests.searcher.spaces import large_space


def test_they_come_in_a_fixed_order_and_belong_to_the_library(built: Callable[[str], Built]) -> None:
    library = built("plain").library
    found = baseline_proposals(library)
    assert [item.baseline for item in found] == [
        DENSE,
        ORT_INT8,
        *(f"uniform w{bits}" for bits in (8, 6, 4, 3, 2)),
        "rounded w4",
    ]
    assert {item.origin for item in found} == {"baseline"}
    assert len({item.candidate for item in found}) == len(found)
    for item in found:
        if item.baseline != ORT_INT8:
            assert library.space.contains(item.candidate.levels)
            library.choose(item.candidate.levels, item.candidate.weights)
    assert {level.name for level in library.space.choose(found[2].candidate.levels)} == {"w8"}
    assert {level.name for level in library.space.choose(found[0].candidate.levels)} == {"fp32"}


def test_a_site_without_the_width_stays_as_it_is() -> None:
    space = large_space(2)
    assert uniform(space, 3) == (4, 4)
    assert uniform(space, 5) == (0, 0)
    assert uniform(SearchSpace((), (), 0), 8) == ()
