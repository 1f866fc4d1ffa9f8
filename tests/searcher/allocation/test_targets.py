"""Plans for budgets that go together, and for those that do not."""

from __future__ import annotations

import numpy as np

from searcher.allocation.budget import Budget
from searcher.allocation.elimination import Elimination
from searcher.allocation.problem import Problem
from searcher.allocation.targets import FOCUS_SHARES, focus
from tests.searcher.spaces import chain

SPACE, TABLE = chain()
PROBLEM = Problem.build(SPACE, TABLE)
DENSE = (0,) * len(SPACE.sites)
SIZE = Budget("size", SPACE.size_bytes(DENSE) / 4)
MACS = Budget("macs", SPACE.macs(DENSE) / 1.5)
IMPOSSIBLE = Budget("latency", TABLE.dense_ms / 1e6)


def within(plans: tuple[tuple[int, ...], ...], budgets: list[Budget]) -> list[bool]:
    """Which plans are within the budgets, as far as the largest share goes."""
    costs = [[PROBLEM.cost(budget.objective, plan) for budget in budgets] for plan in plans]
    limits = np.array([max(FOCUS_SHARES) * budget.limit for budget in budgets])
    return [bool((np.array(row) <= limits).all()) for row in costs]


def test_budgets_that_go_together_are_met_together() -> None:
    found = focus(Elimination(PROBLEM), [SIZE, MACS])
    assert found.plans
    assert all(within(found.plans, [SIZE, MACS]))
    assert len(found.notes) == 1


def test_of_budgets_that_do_not_go_together_as_many_as_can_be_are_met() -> None:
    found = focus(Elimination(PROBLEM), [SIZE, IMPOSSIBLE, MACS])
    assert found.plans == focus(Elimination(PROBLEM), [SIZE, MACS]).plans
    assert not any(within(found.plans, [IMPOSSIBLE]))
    assert "latency" in found.notes[0]
    assert "there is none" in found.notes[0]
    assert "latency" not in found.notes[1]


def test_each_budget_alone_where_no_two_go_together() -> None:
    found = focus(Elimination(PROBLEM), [Budget("macs", 1e-9), IMPOSSIBLE, SIZE])
    assert found.plans == focus(Elimination(PROBLEM), [SIZE]).plans


def test_budgets_none_of_which_can_be_met_have_no_plans() -> None:
    found = focus(Elimination(PROBLEM), [IMPOSSIBLE, Budget("macs", 1e-9)])
    assert found.plans == ()
    assert len(found.notes) == 1
    assert focus(Elimination(PROBLEM), []).plans == ()
