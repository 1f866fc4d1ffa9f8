"""Elimination: against all plans there are, and its structure on networks."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from searcher.allocation.elimination import MOST_CELLS, Elimination, elimination_order
from searcher.allocation.problem import QUANTITIES, Levels, Problem, Values
from storage.records.space import SearchSpace
from tests.searcher.spaces import FINE_SHARES, chain, coupled_spaces, dense_block, residual

weights_of = st.lists(st.floats(0, 10), min_size=len(QUANTITIES), max_size=len(QUANTITIES)).map(np.array)


def every_plan(problem: Problem) -> Levels:
    return np.array(list(itertools.product(*map(range, problem.counts))), np.int64)


@given(coupled_spaces(), st.lists(weights_of, min_size=1, max_size=4))
@settings(max_examples=150)
def test_plans_are_the_best_there_are(space: SearchSpace, weights: list[Values]) -> None:
    problem = Problem.build(space)
    elimination = Elimination(problem)
    assert elimination.is_exact
    assert elimination.notes == ()
    stacked = np.array(weights)
    found = elimination.solve(stacked)
    assert found.shape == (len(weights), len(space.sites))
    assert all(space.contains(tuple(levels)) for levels in found)
    least = (problem.totals(every_plan(problem)) @ stacked.T).min(axis=0)
    np.testing.assert_allclose((problem.totals(found) * stacked).sum(axis=1), least, rtol=1e-9, atol=1e-9)


@given(coupled_spaces(), weights_of)
@settings(max_examples=100)
def test_the_least_cost_of_every_cell_is_that_of_the_best_plan_through_it(space: SearchSpace, weights: Values) -> None:
    problem = Problem.build(space)
    plans = every_plan(problem)
    costs = problem.totals(plans) @ weights
    found = Elimination(problem).least_with(weights)
    for term, least in zip(problem.terms, found, strict=True):
        assert least.shape == term.tables.shape[1:]
        wanted = np.full(least.shape, np.inf)
        np.minimum.at(wanted, tuple(plans[:, term.sites].T), costs)
        np.testing.assert_allclose(least, wanted, rtol=1e-9, atol=1e-9)


@given(coupled_spaces(), st.lists(weights_of, min_size=1, max_size=3), st.integers(1, 12))
@settings(max_examples=100)
def test_where_tables_are_too_large_plans_are_local_optima(
    space: SearchSpace, weights: list[Values], most_cells: int
) -> None:
    problem = Problem.build(space)
    elimination = Elimination(problem, most_cells)
    stacked = np.array(weights)
    found = elimination.solve(stacked)
    for levels, weight in zip(found, stacked, strict=True):
        best = float((problem.totals(levels[None])[0]) @ weight)
        for site, count in enumerate(problem.counts):
            others = np.repeat(levels[None], count, axis=0)
            others[:, site] = range(count)
            assert (problem.totals(others) @ weight).min() >= best - 1e-9 * max(1.0, abs(best))
    if not elimination.is_exact:
        assert "local search" in elimination.notes[0]
        with pytest.raises(ValueError, match="exact"):
            elimination.least_with(stacked[0])


def test_rows_do_not_depend_on_each_other() -> None:
    space, table = residual(3, 3)
    elimination = Elimination(Problem.build(space, table))
    weights = np.geomspace(1e-6, 1e3, 40)[:, None] * np.array([0.0, 1e-5, 1e-9, 1.0]) + np.array([1.0, 0, 0, 0])
    together = elimination.solve(weights)
    assert (together == np.concatenate([elimination.solve(row) for row in weights])).all()
    assert (together == Elimination(Problem.build(space, table)).solve(weights)).all()


def test_a_residual_network_needs_tables_of_one_layer() -> None:
    space, table = residual(9, 3, FINE_SHARES)
    problem = Problem.build(space, table)
    order, core = elimination_order(problem, len(FINE_SHARES) ** 2 * 6)
    assert core == ()
    assert sorted(order) == list(range(len(space.sites)))


def test_sites_without_any_cost_keep_their_first_level() -> None:
    space, _ = chain(3)
    bare = SearchSpace(space.sites, (), 10, ())
    elimination = Elimination(Problem.build(bare))
    assert elimination.solve(np.ones((2, len(QUANTITIES)))).tolist() == [[0] * len(space.sites)] * 2
    assert elimination.solve(np.ones((0, len(QUANTITIES)))).shape == (0, len(space.sites))


def test_a_dense_block_eliminates_its_precisions_and_searches_the_rest() -> None:
    space, table = dense_block(12, FINE_SHARES)
    problem = Problem.build(space, table)
    order, core = elimination_order(problem, MOST_CELLS)
    assert len(core) >= 12
    assert len(order) + len(core) == len(space.sites)
    weights = np.array([1.0, 1e-5, 0.0, 1.0])
    plan = Elimination(problem).solve(weights)
    ends = problem.totals(np.array([[0] * len(space.sites), [len(site.levels) - 1 for site in space.sites]]))
    assert float((problem.totals(plan) @ weights)[0]) <= (ends @ weights).min()
