"""Plans of all sizes and speeds: which costs they press on."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice

from searcher.allocation.elimination import Elimination
from searcher.allocation.problem import Problem
from searcher.allocation.reach import Reach
from searcher.allocation.spread import spread
from tests.searcher.spaces import chain

SPACE, TABLE = chain()
PLANS = 64
SHARES = (0.8, 0.6, 0.4, 0.2)


def least_errors(wanted: tuple[str, ...]) -> list[float]:
    """The least error of plans of at most so many of the dense model's MACs, where the first layer alone takes time."""
    problem = Problem.build(SPACE, replace(TABLE, factors=TABLE.factors[:1]))
    plans = list(islice(spread(Elimination(problem), (), 1e-3, Reach(), Reach(), wanted), PLANS))
    dense = problem.cost("macs", (0,) * len(problem.counts))
    return [
        min(problem.cost("error", plan) for plan in plans if problem.cost("macs", plan) <= share * dense)
        for share in SHARES
    ]


def test_macs_are_pressed_on_where_they_are_wanted() -> None:
    with_macs, without = least_errors(("macs",)), least_errors(())
    assert all(first <= second for first, second in zip(with_macs, without, strict=True))
    assert with_macs != without


def test_size_and_latency_alone_need_no_wish() -> None:
    problem = Problem.build(SPACE, TABLE)
    first, second = (
        list(islice(spread(Elimination(problem), (), 1e-3, Reach(), Reach(), wanted), PLANS))
        for wanted in ((), ("size", "latency"))
    )
    assert first == second
