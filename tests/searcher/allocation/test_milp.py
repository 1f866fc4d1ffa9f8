"""Allocation under several budgets: against all plans there are."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import searcher.allocation.milp
from searcher.allocation.budget import Budget, fits
from searcher.allocation.dual import solve_dual
from searcher.allocation.elimination import Elimination
from searcher.allocation.milp import RELATIVE_GAP, Allocator
from searcher.allocation.problem import ERROR, LATENCY, QUANTITIES, Problem, Values
from storage.records.latency import LatencyFactor
from storage.records.space import QUANT, SearchSpace
from storage.records.target import OBJECTIVES
from tests.searcher.spaces import FINE_SHARES, chain, coupled_spaces, dense_block, large_space, latency_tables, residual


def every_total(problem: Problem) -> Values:
    return problem.totals(np.array(list(itertools.product(*map(range, problem.counts))), np.int64))


@st.composite
def problems(draw: st.DrawFn) -> tuple[Problem, list[Budget]]:
    """Small problems with one to three budgets, from impossible to slack."""
    space = draw(coupled_spaces())
    problem = Problem.build(space, draw(latency_tables(space)))
    totals = every_total(problem)
    budgets = []
    for objective in draw(st.lists(st.sampled_from(OBJECTIVES), min_size=1, max_size=3, unique=True)):
        column = totals[:, QUANTITIES.index(objective)]
        share = draw(st.floats(-0.1, 1.1))
        exactly = draw(st.booleans())
        limit = float(column.min() + share * np.ptp(column))
        budgets.append(Budget(objective, float(draw(st.sampled_from(column.tolist()))) if exactly else limit))
    return problem, budgets


def test_no_plan_is_within_a_latency_below_the_least_prediction() -> None:
    """Cells below nothing, as conversions may have, add up to less than a call; no prediction is below it."""
    space, plain = chain()
    width = next(index for index, site in enumerate(space.sites) if site.learner == QUANT)
    count = len(space.sites[width].levels)
    gain = sum(max(factor.milliseconds) for factor in plain.factors) + plain.fixed_ms / 2
    odd = LatencyFactor("odd", (width,), (0.0, *(-gain,) * (count - 1)))
    table = replace(plain, factors=(*plain.factors, odd), is_floored=True)
    problem = Problem.build(space, table)
    plan = tuple(len(site.levels) - 1 for site in space.sites)
    assert problem.totals(np.array([plan]))[0, LATENCY] < table.fixed_ms
    assert problem.cost("latency", plan) == table.milliseconds(space, plan) == table.least_ms
    allocator = Allocator(Elimination(problem))
    assert allocator.solve([Budget("latency", 0.99 * table.least_ms)]) is None
    found = allocator.solve([Budget("latency", table.least_ms)])
    assert found is not None
    assert table.milliseconds(space, found.levels) <= table.least_ms
    assert problem.with_first_level([0]).least_ms == table.least_ms


@given(problems(), st.booleans())
@settings(max_examples=200, deadline=None)
def test_plans_are_the_best_within_all_budgets(given_: tuple[Problem, list[Budget]], is_exact: bool) -> None:
    problem, budgets = given_
    totals = every_total(problem)
    good = totals[fits(totals, budgets)]
    elimination = Elimination(problem) if is_exact else Elimination(problem, most_cells=1)
    found = Allocator(elimination).solve(budgets, relative_gap=0.0)
    if not len(good):
        assert found is None
        return
    assert found is not None
    total = problem.totals(np.array([found.levels]))
    assert fits(total, budgets).all()
    assert found.error == pytest.approx(total[0, ERROR])
    assert found.error == pytest.approx(good[:, ERROR].min(), rel=1e-6, abs=1e-9)
    assert found.gap <= 1e-6


@given(problems())
@settings(max_examples=100, deadline=None)
def test_the_dual_is_a_bound(given_: tuple[Problem, list[Budget]]) -> None:
    problem, budgets = given_
    totals = every_total(problem)
    good = totals[fits(totals, budgets)]
    dual = solve_dual(Elimination(problem), budgets)
    least = good[:, ERROR].min() if len(good) else np.inf
    assert dual.bound <= least + 1e-6 * max(1.0, least)
    assert dual.error >= least
    assert (dual.plan is None) == (dual.error == np.inf)


@pytest.mark.parametrize("shares", [{"size": 8.0}, {"size": 8.0, "latency": 2.0}, {"size": 6.0, "macs": 2.0}])
def test_a_residual_network_is_solved_to_its_gap_from_few_variables(shares: dict[str, float]) -> None:
    space, table = residual(3, 3, FINE_SHARES)
    problem = Problem.build(space, table)
    dense = (0,) * len(space.sites)
    budgets = [Budget(name, problem.cost(name, dense) / shares[name]) for name in OBJECTIVES if name in shares]
    allocator = Allocator(Elimination(problem))
    found = allocator.solve(budgets)
    assert found is not None
    assert fits(problem.totals(np.array([found.levels])), budgets).all()
    assert 0 <= found.gap <= RELATIVE_GAP
    assert found.variables < sum(term.cells for term in problem.terms) / 2
    assert found == allocator.solve(budgets) == Allocator(Elimination(problem)).solve(budgets)


def test_several_budgets_of_uncoupled_sites() -> None:
    space = large_space()
    problem = Problem.build(space)
    budgets = [Budget("size", 15_000.0), Budget("macs", 1e9)]
    found = Allocator(Elimination(problem)).solve(budgets, relative_gap=0.0)
    assert found is not None
    assert found == Allocator(Elimination(problem)).solve(budgets, relative_gap=0.0)
    assert Allocator(Elimination(problem)).solve([Budget("macs", 1.0)]) is None


def test_where_the_program_is_too_large_the_plan_of_the_dual_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(searcher.allocation.milp, "MOST_VARIABLES", 10)
    for space, table in (chain(), dense_block()):
        problem = Problem.build(space, table)
        budgets = [Budget("size", 0.2 * problem.cost("size", (0,) * len(space.sites)))]
        for elimination in (Elimination(problem), Elimination(problem, most_cells=50)):
            found = Allocator(elimination).solve(budgets, relative_gap=0.0)
            assert found is not None
            assert found.nodes == found.variables == 0
            plan = solve_dual(elimination, budgets).plan
            assert plan is not None
            assert found.levels == tuple(plan.tolist())
            assert 0 <= found.gap <= 1


def test_a_space_without_any_choice() -> None:
    space, _ = chain(3)
    problem = Problem.build(SearchSpace(space.sites, (), 10, ()))
    allocator = Allocator(Elimination(problem))
    found = allocator.solve([Budget("size", 10.0)])
    assert found is not None
    assert found.levels == (0,) * len(space.sites)
    assert found.gap == 0
    assert allocator.solve([Budget("size", 9.0)]) is None
    assert allocator.solve([]) == found
