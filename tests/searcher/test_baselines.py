"""The baselines that every study has."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from learners.library.library import Library
from searcher.allocation.budget import Budget
from searcher.baselines import (
    AT_TARGET,
    DENSE,
    ORT_INT8,
    baseline_proposals,
    uniform_channels,
    uniform_within,
)
from storage.records.space import Level, SearchSpace, Site
from tests.built import Built
from tests.searcher.spaces import large_space


def test_they_come_in_a_fixed_order_and_belong_to_the_library(built: Callable[[str], Built]) -> None:
    library = built("plain").library
    found = baseline_proposals(library)
    assert [item.baseline for item in found] == [
        DENSE,
        ORT_INT8,
        *(f"uniform w{bits}" for bits in (8, 6, 4, 3, 2)),
        "uniform c75",
        "uniform c50",
        "rounded w4",
    ]
    assert {item.origin for item in found} == {"baseline"}
    assert len({item.candidate for item in found}) == len(found)
    for item in found:
        if item.baseline != ORT_INT8:
            assert library.space.contains(item.candidate.levels)
            library.choose(item.candidate.levels, item.candidate.weights)
    groups = len(library.groups)
    assert {level.name for level in library.space.choose(found[2].candidate.levels)[groups:]} == {"w8"}
    assert {level.name for level in library.space.choose(found[0].candidate.levels)[groups:]} == {"fp32"}
    for place in (0, 2, 3):
        assert not any(found[place].candidate.levels[:groups])


def test_uniform_channels_keep_the_nearest_share_at_8_bits(built: Callable[[str], Built]) -> None:
    library = built("resnet-pad").library
    for share in (0.75, 0.5):
        levels = library.space.choose(uniform_channels(library.space, share))
        for site, level in zip(library.space.sites, levels, strict=True):
            if site.learner == "channel":
                widths = [item.channels or 0 for item in site.levels]
                assert abs((level.channels or 0) / widths[0] - share) == min(abs(w / widths[0] - share) for w in widths)
            else:
                assert level.name == "w8"


def test_a_study_of_channels_alone_has_no_baselines_of_bits() -> None:
    found = [item.baseline for item in baseline_proposals(cast(Library, _ChannelsAlone()))]
    assert found == [DENSE, ORT_INT8, "uniform c75", "uniform c50"]


def test_the_best_uniform_plan_within_the_costs(built: Callable[[str], Built]) -> None:
    library = built("resnet-pad").library
    space = library.space
    groups = len(library.groups)
    halved = (*uniform_channels(space, 0.5)[:groups], *space.uniform_bits(4)[groups:])
    # A byte more: sizes are predicted to parts of one, and rounded to be shown.
    budgets = [Budget("size", space.size_bytes(halved) + 1), Budget("macs", space.macs(halved))]
    last = baseline_proposals(library, budgets)[-1]
    assert last.baseline == AT_TARGET
    levels = last.candidate.levels
    assert space.size_bytes(levels) <= budgets[0].limit
    assert space.macs(levels) <= budgets[1].limit
    assert space.error(levels) <= space.error(halved)
    assert len({level.name for level in space.choose(levels)[groups:]}) == 1  # one width for all layers
    assert any(levels[:groups])
    wider = uniform_within(space, budgets[:1], None)
    assert wider is not None
    assert space.error(wider) <= space.error(levels)


def test_no_uniform_plan_within_the_costs_is_no_baseline(built: Callable[[str], Built]) -> None:
    library = built("plain").library
    assert uniform_within(library.space, [], None) is None
    assert uniform_within(library.space, [Budget("size", 1.0)], None) is None
    assert uniform_within(library.space, [Budget("latency", 1.0)], None) is None  # nothing predicts it
    assert AT_TARGET not in {item.baseline for item in baseline_proposals(library, [Budget("size", 1.0)])}


def test_a_uniform_plan_that_is_a_baseline_already_does_not_come_twice(built: Callable[[str], Built]) -> None:
    library = built("plain").library
    space = library.space
    limit = Budget("size", space.size_bytes(space.uniform_bits(8)))
    found = baseline_proposals(library, [limit, Budget("macs", space.macs((0,) * len(space.sites)))])
    assert len({item.candidate for item in found}) == len(found)


def test_where_no_channel_can_go_fewer_channels_are_no_baseline() -> None:
    found = [item.baseline for item in baseline_proposals(cast(Library, _NoChannelGoes()))]
    assert [name for name in found if name is not None and name.startswith("uniform")] == ["uniform w8", "uniform w4"]


class _NoChannelGoes:
    id, rounded_id = "library", "rounded"
    space = SearchSpace(
        (
            Site("a", "channel", "channels", 1, 1, (Level("c8", channels=8),)),
            Site("b", "quant", "bits", 1, 1, (Level("fp32", bits=32), Level("w8", bits=8), Level("w4", bits=4))),
        ),
        (),
        0,
        (),
    )


class _ChannelsAlone:
    id, rounded_id = "library", "rounded"
    space = SearchSpace(
        (Site("a", "channel", "channels", 1, 1, tuple(Level(f"c{count}", channels=count) for count in (8, 6, 4))),),
        (),
        0,
        (),
    )


def test_a_site_without_the_width_stays_as_it_is() -> None:
    space = large_space(2)
    assert space.uniform_bits(3) == (4, 4)
    assert space.uniform_bits(5) == (0, 0)
    assert SearchSpace((), (), 0, ()).uniform_bits(8) == ()
