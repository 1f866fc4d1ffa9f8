"""Exact allocation: for ever more budgets and pressures, the plan of least total error."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from types import MappingProxyType

import numpy as np

from searcher.allocation.elimination import Elimination
from searcher.allocation.gaps import Gaps
from searcher.allocation.knapsack import Frontier, solve
from searcher.allocation.milp import RELATIVE_GAP
from searcher.allocation.problem import ERROR, QUANTITIES, Levels, Problem, Values
from searcher.allocation.reach import Reach
from searcher.allocation.sequence import log_between, van_der_corput
from searcher.allocation.spread import START, TURNS, TURNS_FOR_SPEED, Start, spread
from searcher.allocation.targets import FOCUS_SHARES, focus
from searcher.allocation.variants import variants
from searcher.samplers.base import WIDE_BATCH, SamplerContext, Scored
from storage.records.candidate import Candidate
from storage.records.space import CHANNEL
from storage.slim import BYTE_BITS

MOST_MISSES = 64  # plans in a row that were not new, beside those known before, after which others are tried
SIZE = QUANTITIES.index("size")

Plan = tuple[int, ...]  # the level of every site
Plans = Sequence[Plan]


@dataclass(frozen=True)
class Effort:
    """How much is made of the targets, and where the spread begins."""

    shares: tuple[float, ...] = FOCUS_SHARES  # of the limits, each with a plan that keeps to them
    relative_gap: float = RELATIVE_GAP  # of the error, at which the search for it stops; from 1 on Lagrangian plans do
    start: Start = START

    @property
    def is_exact(self) -> bool:
        """Whether it is worth a knapsack."""
        return self.relative_gap < 1.0


EVERY_EFFORT = Effort()


class AllocationSampler:
    """Plans of all sizes and speeds, each the best one by the additive error (design section 4).

    First come plans that are exact for all budgets of the targets together, then plans spread over the logarithms of
    size and speed so that any number of candidates covers the range, then variants of what there was. Where sites are
    uncoupled and size is the only budget, a knapsack gives the exact plan of every size; otherwise targets are met by
    mixed-integer programs and the spread is Lagrangian.
    """

    batch = WIDE_BATCH
    origins: Mapping[Candidate, str] = MappingProxyType({})

    def __init__(self, context: SamplerContext, effort: Effort = EVERY_EFFORT) -> None:
        space = context.space
        self._effort = effort
        self._library = context.library
        self._problem = Problem.build(space, context.latency)
        self._eight = space.uniform_bits(BYTE_BITS)
        self._channels = [index for index, site in enumerate(space.sites) if site.learner == CHANNEL]
        self._reach, self._bits_reach = Reach(), Reach()
        self._best = -math.inf  # score so far
        self._known = sorted(item.levels for item in context.known if space.contains(item.levels))
        self._seen = set(self._known)
        self._order: list[Plan] = []  # all that was proposed
        by_size = Problem.build(space)  # latencies couple the widths of neighbours, sizes and errors do not
        separate = all(len(term.sites) == 1 for term in by_size.terms)
        if effort.is_exact and separate and all(budget.objective == "size" for budget in context.budgets):
            targets, plans = self._with_knapsack(by_size, [budget.limit for budget in context.budgets])
        else:
            targets, plans = self._with_prices(context)
        self._plans = self._sequence(targets, plans)

    def ask(self, count: int) -> Sequence[Candidate]:
        """See `Sampler.ask`."""
        return [Candidate(levels, self._library) for levels in islice(self._plans, count)]

    def tell(self, scored: Sequence[Scored]) -> None:
        """Plans of errors with which the first ones have failed are not proposed."""
        known = [(item.candidate.levels, item.score) for item in scored if item.score is not None]
        if not known:
            return
        errors = self._problem.predictions(np.array([levels for levels, _ in known], np.int64))[:, ERROR]
        found = [(levels, float(error), score) for (levels, score), error in zip(known, errors, strict=True)]
        self._best = max((self._best, *(score for _, _, score in found)))
        cut = [any(levels[site] for site in self._channels) for levels, _, _ in found]
        pairs = [((error, score), is_cut) for (_, error, score), is_cut in zip(found, cut, strict=True)]
        # Where no channels can go, every plan of the joint spread is one of bits.
        self._reach.learn([pair for pair, is_cut in pairs if is_cut or not self._channels], self._best)
        self._bits_reach.learn([pair for pair, is_cut in pairs if not is_cut], self._best)

    def totals(self, plans: Levels) -> Values:
        """Every quantity [plans, quantities] of plans [plans, sites], as the spread counts them."""
        return self._problem.totals(plans)

    def _sequence(self, targets: Plans, plans: Iterator[Plan]) -> Iterator[Plan]:
        """All plans of the space in the end, each once."""
        yield from filter(self._is_new, targets)
        misses = 0
        for levels in plans:
            misses += 1
            if self._is_new(levels):
                misses = 0
                yield levels
            if misses > MOST_MISSES + len(self._known):
                break
        dense = (0,) * len(self._problem.counts)
        if self._is_new(dense):
            yield dense
        yield from filter(self._is_new, variants(self._problem, [*self._order, *self._known]))

    def _is_new(self, levels: Plan) -> bool:
        """Notes that a plan is proposed, unless it was."""
        if levels in self._seen:
            return False
        self._seen.add(levels)
        self._order.append(levels)
        return True

    def _with_prices(self, context: SamplerContext) -> tuple[Plans, Iterator[Plan]]:
        """Plans for the targets, and the spread, of any problem."""
        problem, channels, effort = self._problem, self._channels, self._effort
        wanted = [budget.objective for budget in context.budgets]
        elimination = Elimination(problem)
        found = focus(elimination, context.budgets, effort.shares, effort.relative_gap)
        targets = list(found.plans)
        if channels:
            bits = Elimination(problem.with_first_level(channels))
            targets += focus(bits, context.budgets, effort.shares, effort.relative_gap).plans
        self.notes: tuple[str, ...] = (*elimination.notes, *found.notes)
        turns = TURNS_FOR_SPEED if wanted and "size" not in wanted else TURNS
        negligible = problem.cost("error", self._eight)
        plans = spread(elimination, channels, negligible, self._reach, self._bits_reach, wanted, turns, effort.start)
        return targets, plans

    def _with_knapsack(self, problem: Problem, limits: Sequence[float]) -> tuple[Plans, Iterator[Plan]]:
        """Plans for the targets, and the spread, where each cost and error depends on one site."""
        terms = problem.terms
        # A part of a byte counts as a byte, which keeps every plan within its budget.
        frontier = solve(
            [[math.ceil(size) for size in term.tables[SIZE]] for term in terms],
            [term.tables[ERROR].tolist() for term in terms],
        )
        self.notes = ()
        if not frontier.exact:
            self.notes = (
                f"plans are exact to {frontier.unit} bytes a layer: the exact table of this model is too large",
            )

        def plan(index: int) -> Plan:
            levels = [0] * len(problem.counts)
            for term, level in zip(terms, frontier.plan(index), strict=True):
                levels[term.sites[0]] = level
            return tuple(levels)

        fixed = math.ceil(problem.fixed[SIZE])
        within = [frontier.within(int(share * limit) - fixed) for limit in limits for share in self._effort.shares]
        middle = int(problem.cost("size", self._eight)) - fixed
        gaps = self._effort.start.gaps
        sizes = _sizes(frontier, middle) if gaps is None else self._sizes_between(gaps, frontier, fixed, middle)
        return [plan(index) for index in within if index is not None], map(plan, sizes)

    def _sizes_between(self, gaps: Gaps, frontier: Frontier, fixed: int, middle: int) -> Iterator[int]:
        """Indices into a frontier, each in the gap where most may be gained; then those that are left."""
        direction = np.zeros(len(QUANTITIES))
        direction[SIZE] = 1.0
        seen: set[int] = set()
        while True:
            useful = frontier.sizes[frontier.errors <= self._bits_reach.most_error]
            smallest = int(useful[0]) if len(useful) else int(frontier.sizes[-1])
            size = gaps.next(direction, smallest + fixed, middle + fixed)
            if size is None:
                break
            index = frontier.within(round(size) - fixed)
            if index is not None and index not in seen:
                seen.add(index)
                yield index
        yield from (index for index in _sizes(frontier, middle) if index not in seen)


def _sizes(frontier: Frontier, middle: int) -> Iterator[int]:
    """Indices into a frontier: its ends, sizes between them ever closer together, then all that are left by size."""
    smallest, largest = int(frontier.sizes[0]), int(frontier.sizes[-1])
    middle = min(max(middle, smallest), largest)
    yield 0
    yield len(frontier) - 1
    misses = 0
    seen = {0, len(frontier) - 1}
    step = 0
    while misses <= MOST_MISSES:
        step += 1
        size = math.exp(log_between(van_der_corput(step), *(max(size, 1) for size in (smallest, middle, largest))))
        index = frontier.within(round(size))
        if index is None or index in seen:
            misses += 1
            continue
        misses = 0
        seen.add(index)
        yield index
    yield from (index for index in range(len(frontier)) if index not in seen)
