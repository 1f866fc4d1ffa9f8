"""Search spaces: legality, costs, round trip, and the form that version 0.1 wrote."""

from __future__ import annotations

import dataclasses
import itertools
import json
from math import prod

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.records.space import (
    CHANNEL,
    FORMAT_VERSION,
    QUANT,
    Factor,
    LayerShape,
    Level,
    Protected,
    SearchSpace,
    Site,
)

# Two layers: "a" makes 4 or 2 channels, which "b" reads; each has one weight for every pair of channels.
CHANNELS = (Level("c4", channels=4), Level("c2", channels=2, method="obs"))
BITS = (Level("fp32"), Level("w8", bits=8, method="gptq"), Level("w4", bits=4, method="gptq"))
SPACE = SearchSpace(
    sites=(
        Site("a", CHANNEL, "channels", 40, 4, CHANNELS, ("a",)),
        Site("a", QUANT, "convolution", 40, 4, BITS, ("a",)),
        Site("b", QUANT, "linear", 8, 8, BITS[:2], ("b",)),
    ),
    protected=(Protected("c", "kept"),),
    fixed_bytes=7,
    factors=(
        Factor("a", (0, 1), (16.0, 4.0, 2.0, 8.0, 2.0, 1.0), (40.0,) * 3 + (20.0,) * 3, (0.0, 0.1, 0.2, 0.0, 0.1, 0.3)),
        Factor("b", (0,), (0.5, 0.0), (8.0, 4.0), (0.0, 0.4)),
        Factor("b", (2,), (32.0, 8.0), (0.0, 0.0), (0.0, 0.05)),
    ),
    fixed_macs=100,
    kept_channels=(Protected("b", "the model's output"),),
    layers=(LayerShape("a", "convolution", 4, 40, 0, (4, 2)), LayerShape("b", "linear", 8, 8, None, (2,))),
)


def test_costs_are_a_fixed_part_and_one_entry_of_each_factor() -> None:
    assert SPACE.size_bytes((0, 0, 0)) == round(7 + 16 + 0.5 + 32)
    assert SPACE.size_bytes((1, 2, 1)) == 7 + 1 + 0 + 8
    assert SPACE.macs((0, 0, 0)) == 148
    assert SPACE.macs((1, 2, 1)) == 124
    assert SPACE.error((0, 0, 0)) == 0
    assert SPACE.error((1, 2, 1)) == pytest.approx(0.3 + 0.4 + 0.05)
    assert [level.name for level in SPACE.choose((1, 0, 1))] == ["c2", "fp32", "w8"]
    assert SPACE.smallest_bytes == 16
    assert SPACE.with_rest(9, ()).smallest_bytes == 18


def test_figures_of_a_layer_are_the_sum_of_its_factors() -> None:
    found = SPACE.layer_figures((1, 1, 1))
    assert list(found) == ["a", "b"]
    assert (found["a"].size_bytes, found["a"].macs, found["a"].error) == (2.0, 20.0, 0.1)
    assert (found["b"].size_bytes, found["b"].macs) == (8.0, 4.0)
    assert found["b"].error == pytest.approx(0.45)


def test_cells_are_row_major_in_the_order_of_the_sites() -> None:
    cells = [SPACE.cell((0, 1), (group, width, 0)) for group, width in itertools.product(range(2), range(3))]
    assert cells == list(range(6))
    assert SPACE.cell((2, 0), (1, 0, 1)) == 3
    assert SPACE.cell((), (1, 0, 1)) == 0


@pytest.mark.parametrize("levels", [(), (0,), (0, 0, 0, 0), (2, 0, 0), (0, 3, 0), (0, 0, 2), (-1, 0, 0)])
def test_what_is_not_of_the_space(levels: tuple[int, ...]) -> None:
    assert not SPACE.contains(levels)
    for method in (SPACE.choose, SPACE.size_bytes, SPACE.macs, SPACE.error, SPACE.layer_figures):
        with pytest.raises(ValueError, match="not a candidate of this space of 3 sites"):
            method(levels)


def test_uniform_bits_where_there_are_such() -> None:
    assert SPACE.uniform_bits(8) == (0, 1, 1)
    assert SPACE.uniform_bits(4) == (0, 2, 0)
    assert SPACE.uniform_bits(3) == (0, 0, 0)
    assert SPACE.sites[1].level_index("w4") == 2
    with pytest.raises(ValueError, match="site b has no level w4"):
        SPACE.sites[2].level_index("w4")


def test_wrong_sites_and_tables_are_refused() -> None:
    with pytest.raises(ValueError, match="no levels"):
        dataclasses.replace(SPACE.sites[0], levels=())
    with pytest.raises(ValueError, match="twice"):
        dataclasses.replace(SPACE.sites[0], levels=CHANNELS[:1] * 2)
    short = Factor("a", (0, 1), (1.0,) * 5, (1.0,) * 5, (0.0,) * 5)
    with pytest.raises(ValueError, match="tables of layer a do not have 6 entries"):
        dataclasses.replace(SPACE, factors=(short,))


def test_json_states_its_version() -> None:
    assert json.loads(SPACE.to_json())["version"] == FORMAT_VERSION


# As version 0.1 stored it: every level has its own size and error, and there are no factors.
FIRST_VERSION = {
    "sites": [
        {
            "name": name,
            "learner": "quant",
            "kind": "convolution",
            "macs": 10,
            "weights": 20,
            "levels": [
                {"name": "fp32", "bits": 32, "size_bytes": 400, "error": 0.0, "method": "unchanged"},
                {"name": "w8", "bits": 8, "size_bytes": 100 + place, "error": 0.125, "method": "gptq"},
            ],
        }
        for place, name in enumerate(("a", "b"))
    ],
    "protected": [{"name": "c", "reason": "named in [search] keep"}],
    "fixed_bytes": 7,
}


def test_the_form_of_version_0_1_is_read() -> None:
    space = SearchSpace.from_json(json.dumps(FIRST_VERSION))
    assert [(site.name, site.learner, site.layers) for site in space.sites] == [
        ("a", QUANT, ("a",)),
        ("b", QUANT, ("b",)),
    ]
    assert space.sites[0].levels[1] == Level("w8", 8, None, "gptq")
    assert space.size_bytes((1, 1)) == 7 + 100 + 101
    assert space.error((1, 0)) == 0.125
    assert space.macs((1, 1)) == 20
    assert space.layers == tuple(LayerShape(name, "convolution", 20, 10) for name in ("a", "b"))
    assert (space.fixed_macs, space.kept_channels) == (0, ())
    assert SearchSpace.from_json(space.to_json()) == space


names = st.text(min_size=1, max_size=8)
levels_strategy = st.lists(
    st.builds(
        Level,
        name=names,
        bits=st.integers(1, 32),
        channels=st.none() | st.integers(1, 2**20),
        method=st.text(),
    ),
    min_size=1,
    max_size=4,
    unique_by=lambda level: level.name,
).map(tuple)
sites_strategy = st.builds(
    Site,
    name=names,
    learner=names,
    kind=names,
    macs=st.integers(0, 2**50),
    weights=st.integers(0, 2**40),
    levels=levels_strategy,
    layers=st.lists(names, max_size=3).map(tuple),
)
shapes = st.builds(
    LayerShape,
    name=names,
    kind=names,
    weights=st.integers(0, 2**40),
    macs=st.integers(0, 2**50),
    group=st.none() | st.integers(0, 3),
    channels=st.lists(st.integers(1, 2**20), max_size=4).map(tuple),
)
reasons = st.lists(st.builds(Protected, name=names, reason=st.text()), max_size=3).map(tuple)


@st.composite
def spaces(draw: st.DrawFn) -> SearchSpace:
    sites = draw(st.lists(sites_strategy, max_size=4).map(tuple))
    factors = []
    for _ in range(draw(st.integers(0, 3))):
        own = draw(st.lists(st.integers(0, len(sites) - 1), unique=True, max_size=3)) if sites else []
        cells = prod(len(sites[site].levels) for site in own)
        tables = (
            tuple(draw(st.lists(st.floats(0, 1e9), min_size=cells, max_size=cells))) for _ in ("size", "macs", "error")
        )
        factors.append(Factor(draw(names), tuple(own), *tables))
    return SearchSpace(
        sites=sites,
        protected=draw(reasons),
        fixed_bytes=draw(st.integers(0, 2**40)),
        factors=tuple(factors),
        fixed_macs=draw(st.integers(0, 2**40)),
        kept_channels=draw(reasons),
        layers=draw(st.lists(shapes, max_size=3).map(tuple)),
    )


@given(spaces())
def test_json_round_trip(space: SearchSpace) -> None:
    text = space.to_json()
    assert SearchSpace.from_json(text) == space
    assert len(text.splitlines()) == 1


@given(spaces(), st.data())
def test_every_choice_of_levels_is_legal_and_no_other(space: SearchSpace, data: st.DataObject) -> None:
    chosen = tuple(data.draw(st.integers(0, len(site.levels) - 1)) for site in space.sites)
    assert space.contains(chosen)
    assert space.size_bytes(chosen) >= space.fixed_bytes
    assert space.macs(chosen) >= space.fixed_macs
    figures = space.layer_figures(chosen).values()
    assert sum(item.error for item in figures) == pytest.approx(space.error(chosen))
    assert not space.contains((*chosen, 0))
    for index, one in enumerate(space.sites):
        assert not space.contains((*chosen[:index], len(one.levels), *chosen[index + 1 :]))


@given(spaces(), st.data())
def test_with_first_levels_alone_costs_stay(space: SearchSpace, data: st.DataObject) -> None:
    fixed = data.draw(st.sets(st.sampled_from(range(len(space.sites))))) if space.sites else set()
    fewer = space.with_first_level(fixed)
    assert all(len(fewer.sites[index].levels) == 1 for index in fixed)
    chosen = tuple(data.draw(st.integers(0, len(site.levels) - 1)) for site in fewer.sites)
    assert fewer.contains(chosen)
    assert fewer.layer_figures(chosen) == space.layer_figures(chosen)
    assert fewer.size_bytes(chosen) == space.size_bytes(chosen)
