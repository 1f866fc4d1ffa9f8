"""Allocation under one budget: against all plans there are."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import searcher.allocation.knapsack
from searcher.allocation.knapsack import Frontier, solve

levels = st.lists(st.tuples(st.integers(0, 60), st.floats(0, 1)), min_size=1, max_size=4)
instances = st.lists(levels, min_size=1, max_size=5)


def solved(instance: list[list[tuple[int, float]]]) -> Frontier:
    return solve([[size for size, _ in site] for site in instance], [[error for _, error in site] for site in instance])


def best(instance: list[list[tuple[int, float]]], budget: int) -> float | None:
    """The least error of all plans within a budget."""
    plans = itertools.product(*instance)
    errors = [sum(error for _, error in plan) for plan in plans if sum(size for size, _ in plan) <= budget]
    return min(errors, default=None)


def total(instance: list[list[tuple[int, float]]], plan: tuple[int, ...]) -> tuple[int, float]:
    chosen = [site[level] for site, level in zip(instance, plan, strict=True)]
    return sum(size for size, _ in chosen), sum(error for _, error in chosen)


@given(instances)
@settings(max_examples=200)
def test_every_budget_gets_the_best_plan_there_is(instance: list[list[tuple[int, float]]]) -> None:
    frontier = solved(instance)
    assert frontier.exact
    reach = sum(max(size for size, _ in site) for site in instance)
    for budget in range(-1, reach + 2, max(1, reach // 40)):
        wanted, index = best(instance, budget), frontier.within(budget)
        if wanted is None:
            assert index is None
            continue
        assert index is not None
        assert frontier.errors[index] == pytest.approx(wanted, abs=1e-12)
        size, error = total(instance, frontier.plan(index))
        assert size <= budget
        assert error == pytest.approx(wanted, abs=1e-12)


@given(instances)
def test_the_frontier_is_monotone_and_its_plans_are_what_it_says(instance: list[list[tuple[int, float]]]) -> None:
    frontier = solved(instance)
    assert len(frontier) >= 1
    assert (np.diff(frontier.sizes) > 0).all()
    assert (np.diff(frontier.errors) < 0).all()
    for index in range(len(frontier)):
        size, error = total(instance, frontier.plan(index))
        assert size == frontier.sizes[index]
        assert error == pytest.approx(frontier.errors[index], abs=1e-12)
        assert frontier.within(int(frontier.sizes[index])) == index
    assert frontier.sizes[0] == sum(min(size for size, _ in site) for site in instance)


@given(instances)
def test_a_coarser_table_keeps_within_its_budgets(instance: list[list[tuple[int, float]]]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(searcher.allocation.knapsack, "MOST_CELLS", 20)
        frontier = solved(instance)
    reach = sum(max(size for size, _ in site) - min(size for size, _ in site) for site in instance)
    assert frontier.unit * 20 >= reach
    sites = len(instance)
    for index in range(len(frontier)):
        size, error = total(instance, frontier.plan(index))
        assert size <= frontier.sizes[index]
        assert error == pytest.approx(frontier.errors[index], abs=1e-12)
        # The plan is at least as good as the best of a budget that is smaller by what rounding up may cost.
        easier = best(instance, int(frontier.sizes[index]) - frontier.unit * sites)
        assert easier is None or error <= easier + 1e-12


def test_ties_go_to_the_earlier_level() -> None:
    frontier = solve([[4, 4, 4]], [[0.5, 0.5, 0.1]])
    assert frontier.plan(0) == (2,)
    assert solve([[4, 4]], [[0.5, 0.5]]).plan(0) == (0,)
    assert len(solve([[8, 4]], [[0.5, 0.5]])) == 1


def test_sizes_of_a_real_network_are_solved_exactly_and_fast() -> None:
    generator = np.random.default_rng(0)
    weights = [int(generator.integers(100, 4000)) * 8 for _ in range(22)]
    sizes = [[weight * bits // 8 for bits in (32, 8, 6, 4, 3, 2)] for weight in weights]
    errors = [[0.0, *(4.0**-bits * float(generator.uniform(0.5, 2)) for bits in (8, 6, 4, 3, 2))] for _ in weights]
    frontier = solve(sizes, errors)
    assert frontier.exact
    for share in (0.1, 0.2, 0.5):
        budget = int(share * sum(site[0] for site in sizes))
        index = frontier.within(budget)
        assert index is not None
        size = sum(site[level] for site, level in zip(sizes, frontier.plan(index), strict=True))
        assert 0.98 * budget < size <= budget
