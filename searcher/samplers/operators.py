"""How a plan is made from others of the front."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import MappingProxyType

import numpy as np

from searcher.allocation.problem import ERROR, Problem

Levels = tuple[int, ...]
Operator = Callable[[Problem, Sequence[Levels], int, np.random.Generator], Levels]

STEP_SHARE = 0.75  # of switches, that go one level up or down; the others go anywhere
MORE_SITES = 0.5  # probability of changing another site, again and again
SWAPS = 48  # tried at a time: the best of many random ones, so that few are wasted on the quick images
MOST_GIVEN = 3  # sites that pay for one that gets better
NEAR = 3  # places on the front between the parents of a crossover: plans of other sizes have little in common
CROSSED = (0.1, 0.5)  # share of the sites that come from the second parent
COSTS = slice(ERROR + 1, None)  # of the axis over quantities


def switch(problem: Problem, front: Sequence[Levels], place: int, generator: np.random.Generator) -> Levels:
    """The plan at `place` of the front with one or a few sites at another level."""
    plan = list(front[place])
    sites = [site for site, count in enumerate(problem.counts) if count > 1]
    generator.shuffle(sites)
    for site in sites:
        plan[site] = _other(plan[site], problem.counts[site], generator)
        if generator.random() >= MORE_SITES:
            break
    return tuple(plan)


def swap(problem: Problem, front: Sequence[Levels], place: int, generator: np.random.Generator) -> Levels:
    """The plan at `place` with one site better and others worse, so that no cost rises: of many such, the one of least
    additive error. A switch where none is found."""
    parent = np.array(front[place], np.int64)
    counts = np.array(problem.counts)
    up, down = np.flatnonzero(parent > 0), np.flatnonzero(parent < counts - 1)
    if not len(up) or len(down) < 2:
        return switch(problem, front, place, generator)
    plans = np.repeat(parent[None, :], SWAPS, axis=0)
    for plan in plans:
        better = int(generator.choice(up))
        plan[better] -= 1
        given = generator.choice(down, size=min(int(generator.integers(1, MOST_GIVEN + 1)), len(down)), replace=False)
        worse = given[given != better]
        plan[worse] += 1
    before = problem.totals(parent[None, :])[0]
    totals = problem.totals(plans)
    allowed = (totals[:, COSTS] <= before[COSTS]).all(axis=1) & (plans != parent).any(axis=1)
    if not allowed.any():
        return switch(problem, front, place, generator)
    chosen = np.where(allowed, totals[:, ERROR], np.inf).argmin()
    return _levels(plans[chosen])


def cross(problem: Problem, front: Sequence[Levels], place: int, generator: np.random.Generator) -> Levels:
    """Each site from the plan at `place` or from one of its neighbours on the front. A switch where it has none."""
    low, high = max(0, place - NEAR), min(len(front), place + NEAR + 1)
    others = [index for index in range(low, high) if index != place]
    if not others:
        return switch(problem, front, place, generator)
    parent, other = np.array(front[place]), np.array(front[int(generator.choice(others))])
    share = generator.uniform(*CROSSED)
    return _levels(np.where(generator.random(len(parent)) < share, other, parent))


OPERATORS: MappingProxyType[str, Operator] = MappingProxyType({"switch": switch, "swap": swap, "cross": cross})


def _other(level: int, count: int, generator: np.random.Generator) -> int:
    """Another of `count` >= 2 levels, mostly the next one."""
    steps = [other for other in (level - 1, level + 1) if 0 <= other < count]
    choices = steps if generator.random() < STEP_SHARE else [other for other in range(count) if other != level]
    return int(generator.choice(choices))


def _levels(plan: np.ndarray[tuple[int, ...], np.dtype[np.int64]]) -> Levels:
    return tuple(int(level) for level in plan)
