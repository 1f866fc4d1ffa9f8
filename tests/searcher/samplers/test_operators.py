"""Plans made from others: always of the space, and swaps at no cost."""

from __future__ import annotations

import numpy as np
import pytest

from searcher.allocation.problem import ERROR, Problem
from searcher.samplers.operators import OPERATORS, cross, swap, switch
from tests.searcher.spaces import residual

SPACE, TABLE = residual(2, 2)
PROBLEM = Problem.build(SPACE, TABLE)
FRONT = [SPACE.uniform_bits(bits) for bits in (2, 3, 4, 6, 8)]


def differing(first: tuple[int, ...], second: tuple[int, ...]) -> int:
    return sum(a != b for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize("name", sorted(OPERATORS))
@pytest.mark.parametrize("place", [0, 2, 4])
def test_children_belong_to_the_space_and_depend_on_the_generator_alone(name: str, place: int) -> None:
    for seed in range(20):
        first, again = (OPERATORS[name](PROBLEM, FRONT, place, np.random.default_rng(seed)) for _ in range(2))
        assert first == again
        assert SPACE.contains(first)
        assert all(type(level) is int for level in first)


def test_a_switch_changes_a_few_sites() -> None:
    changed = [differing(switch(PROBLEM, FRONT, 2, np.random.default_rng(seed)), FRONT[2]) for seed in range(200)]
    assert min(changed) == 1
    assert 1.5 < np.mean(changed) < 3


def test_a_swap_raises_no_cost() -> None:
    parent = FRONT[2]
    before = PROBLEM.totals(np.array([parent]))[0]
    swapped = 0
    for seed in range(50):
        child = swap(PROBLEM, FRONT, 2, np.random.default_rng(seed))
        after = PROBLEM.totals(np.array([child]))[0]
        costs = [index for index in range(len(after)) if index != ERROR]
        assert child != parent
        better = any(ours < theirs for ours, theirs in zip(child, parent, strict=True))
        worse = any(ours > theirs for ours, theirs in zip(child, parent, strict=True))
        if better and worse:
            swapped += bool((after[costs] <= before[costs]).all())
    assert swapped > 25


def test_a_swap_of_a_plan_that_cannot_get_better_is_a_switch() -> None:
    dense = (0,) * len(SPACE.sites)
    assert differing(swap(PROBLEM, [dense], 0, np.random.default_rng(0)), dense) >= 1


def test_a_crossover_mixes_neighbours_of_the_front() -> None:
    for seed in range(50):
        child = cross(PROBLEM, FRONT, 0, np.random.default_rng(seed))
        sources = [
            {other for other in FRONT[:4] if other[site] == level} | {FRONT[0]} for site, level in enumerate(child)
        ]
        assert all(child[site] in {plan[site] for plan in found} for site, found in enumerate(sources))
    assert differing(cross(PROBLEM, FRONT[:1], 0, np.random.default_rng(0)), FRONT[0]) >= 1  # has no neighbour
