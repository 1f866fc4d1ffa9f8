"""Plans for the budgets that a target names: the best there are, a hair within them and more."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations

from searcher.allocation.budget import Budget
from searcher.allocation.elimination import Elimination
from searcher.allocation.milp import RELATIVE_GAP, Allocation, Allocator

# Shares of the limits: the file of the exact plan would miss its target by the few bytes that compression varies.
FOCUS_SHARES = (0.998, 0.99, 0.97, 0.94, 1.03)
LARGEST_GAP = 0.5  # that is worth telling
UNITS = {"size": (1e3, "KB"), "macs": (1e6, "M"), "latency": (1.0, "ms")}


@dataclass(frozen=True)
class Focus:
    """Plans of least error for shares of the budgets, all budgets at once."""

    plans: tuple[tuple[int, ...], ...]
    notes: tuple[str, ...]


def focus(
    elimination: Elimination,
    budgets: Sequence[Budget],
    shares: Sequence[float] = FOCUS_SHARES,
    relative_gap: float = RELATIVE_GAP,
) -> Focus:
    """The plans of `shares` of the limits, without those that no plan meets, and how near to the optimum they are.

    Where no plan meets all budgets together, those that meet as many of them as can be met: each budget is left out in
    turn, then each two.
    """
    if not budgets or not shares:
        return Focus((), ())
    allocator = Allocator(elimination)
    notes: tuple[str, ...] = ()
    for count in range(len(budgets), 0, -1):
        parts = [
            _together(elimination, partial(allocator.solve, relative_gap=relative_gap), chosen, shares)
            for chosen in combinations(budgets, count)
        ]
        # That some of the budgets do not go together either tells nothing new.
        notes += tuple(note for part in parts if part.plans or count == len(budgets) for note in part.notes)
        if any(part.plans for part in parts):
            plans = tuple(dict.fromkeys(plan for part in parts for plan in part.plans))
            return Focus(plans, notes)
    return Focus((), notes)


def _together(
    elimination: Elimination,
    solve: Callable[[Sequence[Budget]], Allocation | None],
    budgets: Sequence[Budget],
    shares: Sequence[float],
) -> Focus:
    """The plans for all of `budgets` at once."""
    text = " and ".join(describe(budget) for budget in budgets)
    found: list[Allocation] = []
    for share in shares:
        plan = solve([Budget(budget.objective, share * budget.limit) for budget in budgets])
        if plan is not None:
            found.append(plan)
    plans = tuple(plan.levels for plan in found)
    gap = max((plan.gap for plan in found), default=0.0)
    if not found:
        note = f"no plan within {text} was found" + (
            ", and by the tables there is none" if elimination.is_exact else ""
        )
    elif gap > LARGEST_GAP:
        note = f"plans for {text} are Lagrangian: how near they are to the optimum is not known"
    else:
        by = "HiGHS" if any(plan.variables for plan in found) else "Lagrangian bound"
        note = f"{by}: plans for {text} within {100 * gap:.2f} % of the optimum"
    return Focus(plans, (note,))


def describe(budget: Budget) -> str:
    """A budget for people, such as "size 106 KB"."""
    divisor, unit = UNITS[budget.objective]
    return f"{budget.objective} {budget.limit / divisor:.4g} {unit}"
