"""The problem: what the space and the latency table say of every plan."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from searcher.allocation.problem import QUANTITIES, Problem
from storage.records.latency import LatencyTable
from storage.records.space import Factor, SearchSpace
from tests.searcher.spaces import FINE_SHARES, chain, coupled_spaces, latency_tables, residual


def plans(space: SearchSpace) -> list[tuple[int, ...]]:
    return list(itertools.product(*(range(len(site.levels)) for site in space.sites)))


def expected(space: SearchSpace, table: LatencyTable | None, levels: tuple[int, ...]) -> list[float]:
    latency = 0.0 if table is None else table.milliseconds(space, levels)
    return [space.error(levels), space.size_bytes(levels), space.macs(levels), latency]


@given(st.data())
@settings(max_examples=60)
def test_totals_are_those_of_the_space(data: st.DataObject) -> None:
    space = data.draw(coupled_spaces())
    table = data.draw(st.none() | latency_tables(space))
    problem = Problem.build(space, table)
    every = plans(space)
    wanted = [expected(space, table, levels) for levels in every]
    np.testing.assert_allclose(problem.totals(np.array(every)), wanted, rtol=1e-12)
    for column, name in enumerate(QUANTITIES):
        assert problem.cost(name, every[-1]) == pytest.approx(wanted[-1][column])


@given(coupled_spaces())
def test_no_term_is_part_of_another(space: SearchSpace) -> None:
    problem = Problem.build(space)
    for first, second in itertools.permutations(problem.terms, 2):
        assert not set(first.sites) <= set(second.sites)
    for term in problem.terms:
        assert list(term.sites) == sorted(term.sites)
        assert all(problem.counts[site] > 1 for site in term.sites)
        assert term.tables.shape == (len(QUANTITIES), *(problem.counts[site] for site in term.sites))


@given(coupled_spaces())
def test_extremes_enclose_every_plan(space: SearchSpace) -> None:
    problem = Problem.build(space)
    low, high = problem.extremes()
    totals = problem.totals(np.array(plans(space)))
    assert (totals >= low).all()
    assert (totals <= high).all()


@given(coupled_spaces(), st.data())
def test_sites_can_be_held_at_their_first_level(space: SearchSpace, data: st.DataObject) -> None:
    held = data.draw(st.sets(st.integers(0, len(space.sites) - 1)))
    problem = Problem.build(space)
    fewer = problem.with_first_level(held)
    assert all(fewer.counts[site] == 1 for site in held)
    every = np.array([levels for levels in plans(space) if all(levels[site] == 0 for site in held)])
    np.testing.assert_allclose(fewer.totals(every), problem.totals(every), rtol=1e-12)


def test_a_layers_tables_become_one_term() -> None:
    space, table = residual(blocks=9, stages=3)
    problem = Problem.build(space, table)
    assert len(problem.terms) == 56
    assert sum(term.cells for term in problem.terms) == sum(len(factor.error) for factor in space.factors)


def test_what_does_not_fit_is_refused() -> None:
    space, _ = chain(4)
    _, table = chain(4, FINE_SHARES)
    with pytest.raises(ValueError, match="does not fit"):
        Problem.build(space, table)
    factor = space.factors[0]
    endless = Factor(factor.layer, factor.sites, factor.size_bytes, factor.macs, (float("inf"),) * len(factor.error))
    with pytest.raises(ValueError, match="not a finite number"):
        Problem.build(SearchSpace(space.sites, (), 0, (endless,)))
