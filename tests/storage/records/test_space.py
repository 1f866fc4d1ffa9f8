"""Search spaces: legality, costs, round trip."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.records.space import Level, Protected, SearchSpace, Site


def site(name: str, sizes: tuple[int, ...]) -> Site:
    levels = tuple(
        Level(name=f"w{index}", bits=8, size_bytes=size, error=index / 8, method="gptq")
        for index, size in enumerate(sizes)
    )
    return Site(name=name, learner="quant", kind="convolution", macs=10, weights=20, levels=levels)


SPACE = SearchSpace(
    sites=(site("a", (400, 100, 50)), site("b", (200, 20))),
    protected=(Protected("c", "kept"),),
    fixed_bytes=7,
)


def test_costs_are_sums_over_the_chosen_levels() -> None:
    assert SPACE.size_bytes((0, 0)) == 607
    assert SPACE.size_bytes((2, 1)) == 77
    assert SPACE.error((0, 0)) == 0
    assert SPACE.error((2, 1)) == pytest.approx(2 / 8 + 1 / 8)
    assert [level.size_bytes for level in SPACE.choose((1, 0))] == [100, 200]


@pytest.mark.parametrize("levels", [(), (0,), (0, 0, 0), (3, 0), (0, 2), (-1, 0)])
def test_what_is_not_of_the_space(levels: tuple[int, ...]) -> None:
    assert not SPACE.contains(levels)
    for method in (SPACE.choose, SPACE.size_bytes, SPACE.error):
        with pytest.raises(ValueError, match="not a candidate of this space of 2 sites"):
            method(levels)


def test_uniform_takes_levels_by_name() -> None:
    assert SPACE.uniform("w1") == (1, 1)
    with pytest.raises(ValueError, match="site b has no level w2"):
        SPACE.uniform("w2")


def test_wrong_sites_are_refused() -> None:
    with pytest.raises(ValueError, match="no levels"):
        site("a", ())
    with pytest.raises(ValueError, match="twice"):
        dataclasses.replace(SPACE.sites[0], levels=SPACE.sites[0].levels[:1] * 2)


names = st.text(min_size=1, max_size=8)
levels_strategy = st.lists(
    st.builds(
        Level,
        name=names,
        bits=st.integers(1, 32),
        size_bytes=st.integers(0, 2**40),
        error=st.floats(0, 1e9),
        method=st.text(),
    ),
    min_size=1,
    max_size=4,
    unique_by=lambda level: level.name,
).map(tuple)
spaces = st.builds(
    SearchSpace,
    sites=st.lists(
        st.builds(
            Site,
            name=names,
            learner=names,
            kind=names,
            macs=st.integers(0, 2**50),
            weights=st.integers(0, 2**40),
            levels=levels_strategy,
        ),
        max_size=4,
    ).map(tuple),
    protected=st.lists(st.builds(Protected, name=names, reason=st.text()), max_size=3).map(tuple),
    fixed_bytes=st.integers(0, 2**40),
)


@given(spaces)
def test_json_round_trip(space: SearchSpace) -> None:
    text = space.to_json()
    assert SearchSpace.from_json(text) == space
    assert len(text.splitlines()) == 1


@given(spaces, st.data())
def test_every_choice_of_levels_is_legal_and_no_other(space: SearchSpace, data: st.DataObject) -> None:
    chosen = tuple(data.draw(st.integers(0, len(site.levels) - 1)) for site in space.sites)
    assert space.contains(chosen)
    assert space.size_bytes(chosen) >= space.fixed_bytes
    assert not space.contains((*chosen, 0))
    for index, one in enumerate(space.sites):
        assert not space.contains((*chosen[:index], len(one.levels), *chosen[index + 1 :]))
