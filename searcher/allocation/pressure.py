"""Plans along one direction of costs, from the dense model to the smallest."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from searcher.allocation.elimination import Elimination
from searcher.allocation.gaps import LEAST_COST, Gaps
from searcher.allocation.problem import ERROR, QUANTITIES, Values
from searcher.allocation.reach import Reach
from searcher.allocation.sequence import log_between, van_der_corput

# Prices tried first, as powers of 2 of the error's range over the cost's; then as many again where plans change.
COARSE = np.arange(-40.0, 21.0)
FINE = 64
AT_ONCE = 4  # plans made at a time; what is learnt meanwhile counts for the next ones


class Pressure:
    """Lagrangian plans at ever more prices of one weighted cost, evenly over its logarithm or where gaps are."""

    def __init__(self, elimination: Elimination, direction: Values, negligible: float, reach: Reach) -> None:
        """`direction` [quantities] weighs the costs; plans of an error up to `negligible` are as good as dense, those
        beyond `reach` of no use."""
        self._elimination = elimination
        self._reach = reach
        self._direction = direction
        low, high = elimination.problem.extremes()
        self._unit = max((high - low)[ERROR], LEAST_COST) / max(float(direction @ (high - low)), LEAST_COST)
        prices = self._unit * 2.0**COARSE
        costs, errors = self._curve(prices)
        fine = errors > negligible
        first = max(int(fine.argmax()) - 1, 0) if fine.any() else 0
        last = int((costs <= costs[-1]).argmax())
        if last > first:
            more = np.setdiff1d(np.geomspace(prices[first], prices[last], FINE), prices)
            more_costs, more_errors = self._curve(more)
            places = np.searchsorted(prices, more)
            prices = np.insert(prices, places, more)
            costs, errors = np.insert(costs, places, more_costs), np.insert(errors, places, more_errors)
        small = errors <= negligible
        # Rising costs, each with the middle of the prices at which it is the best.
        self._costs, first_places, inverse = np.unique(costs, return_index=True, return_inverse=True)
        self._errors = errors[first_places]
        logs = np.log(prices)
        self._logs = np.bincount(inverse, logs) / np.bincount(inverse)
        self._middle = float(costs[small].min()) if small.any() else float(costs.max())
        self.negligible_price = float(prices[small].max()) if small.any() else 0.0  # the highest of such a plan

    def plans(self, offset: float) -> Iterator[tuple[int, ...]]:
        """Plans without end, at first those of the smallest cost, the gaps between them halved again and again.

        `offset` in [0, 1) shifts the sequence, so that two directions do not try the same places.
        """
        index = 0
        while True:
            shares = [(van_der_corput(index + step) + offset) % 1.0 for step in range(AT_ONCE)]
            index += AT_ONCE
            smallest, middle, largest = self._range()
            yield from self._at([log_between(share, smallest, middle, largest) for share in shares])

    def plans_between(self, gaps: Gaps) -> Iterator[tuple[int, ...]]:
        """Plans until no gap is left, each in the one where most may be gained."""
        while True:
            smallest, middle, _ = self._range()
            cost = gaps.next(self._direction, smallest, middle)
            if cost is None:
                return
            yield from self._at([np.log(cost)])

    def _range(self) -> tuple[float, float, float]:
        """The smallest cost of use, the smallest one of negligible error, and the largest one."""
        within = self._costs[self._errors <= self._reach.most_error]
        largest = float(self._costs[-1])
        smallest = float(within[0]) if len(within) else largest
        return smallest, max(self._middle, smallest), largest

    def _at(self, logs: Sequence[float]) -> Iterator[tuple[int, ...]]:
        """The plans at these logarithms of the cost."""
        prices = np.exp(np.interp(logs, np.log(self._costs), self._logs))
        for plan in self._elimination.solve(self._weights(prices)):
            yield tuple(int(level) for level in plan)

    def _curve(self, prices: Values) -> tuple[Values, Values]:
        """The cost and the error of the best plan at each price."""
        totals = self._elimination.problem.totals(self._elimination.solve(self._weights(prices)))
        return np.maximum(totals @ self._direction, LEAST_COST), totals[:, ERROR]

    def _weights(self, prices: Values) -> Values:
        weights = prices[:, None] * self._direction[None, :]
        weights[:, QUANTITIES.index("error")] = 1.0
        return weights
