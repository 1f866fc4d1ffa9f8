"""Exact allocation: for ever more budgets, the plan of least total error that fits."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from searcher.knapsack import solve
from searcher.samplers.base import SamplerContext, Scored
from storage.records.candidate import Candidate

# Where the file of a target's exact plan would miss it by the few bytes that compression varies.
FOCUS_SHARES = (0.998, 0.99, 0.97, 0.94, 1.03)
BYTE_BITS = 8
# Share of the budgets above the size of uniform 8 bits, where nothing is left to gain in accuracy.
LARGE_SHARE = 1 / 16
MOST_MISSES = 64  # budgets in a row that gave nothing new, after which the rest of the plans come by size


class AllocationSampler:
    """Plans over the whole range of sizes, each the best one for its budget by the additive error (design section 4).

    First come the sizes that the targets name, then budgets spread evenly over the logarithm of the size, the gaps
    halved again and again (a van der Corput sequence), so that any number of candidates covers the range.
    """

    def __init__(self, context: SamplerContext) -> None:
        space = context.space
        self._library = context.library
        self._fixed = space.fixed_bytes
        self._frontier = solve(
            [[level.size_bytes for level in site.levels] for site in space.sites],
            [[level.error for level in site.levels] for site in space.sites],
        )
        self._byte_size = sum(
            next(
                (level.size_bytes for level in site.levels if level.bits == BYTE_BITS),
                site.levels[-1].size_bytes,
            )
            for site in space.sites
        )
        self._focus = context.focus_bytes
        self._known = context.known
        self.notes: tuple[str, ...] = ()
        if not self._frontier.exact:
            self.notes = (
                f"plans are exact to {self._frontier.unit} bytes a layer: the exact table of this model is too large",
            )
        self._seen: set[int] = set()
        self._budgets = self._sequence()

    def ask(self, count: int) -> Sequence[Candidate]:
        """See `Sampler.ask`."""
        found: list[Candidate] = []
        while len(found) < count and len(self._seen) < len(self._frontier):
            index = self._frontier.within(next(self._budgets))
            if index is not None and index not in self._seen:
                self._seen.add(index)
                candidate = Candidate(self._frontier.plan(index), self._library)
                if candidate not in self._known:
                    found.append(candidate)
        return found

    def tell(self, scored: Sequence[Scored]) -> None:
        """The plans do not depend on scores."""

    def _sequence(self) -> Iterator[int]:
        """Budgets in bytes for the sites together; comes by every plan of the frontier in the end."""
        for size in self._focus:
            for share in FOCUS_SHARES:
                yield int(size * share) - self._fixed
        smallest, largest = int(self._frontier.sizes[0]), int(self._frontier.sizes[-1])
        middle = min(max(self._byte_size, smallest), largest)
        yield smallest
        yield largest
        misses = 0
        for step in range(1, 2**62):
            before = len(self._seen)
            yield _budget(van_der_corput(step), smallest, middle, largest)
            misses = misses + 1 if len(self._seen) == before else 0
            if misses > MOST_MISSES:
                break
        for size in self._frontier.sizes:
            yield int(size)


def _budget(share: float, smallest: int, middle: int, largest: int) -> int:
    """A size between smallest and largest: most of [0, 1) lies below `middle`, evenly in the logarithm."""
    if share < 1 - LARGE_SHARE:
        low, high, part = smallest, middle, share / (1 - LARGE_SHARE)
    else:
        low, high, part = middle, largest, (share - (1 - LARGE_SHARE)) / LARGE_SHARE
    low, high = max(low, 1), max(high, 1)
    return round(math.exp(math.log(low) + part * (math.log(high) - math.log(low))))


def van_der_corput(index: int) -> float:
    """The binary digits of `index` mirrored behind the point: 1/2, 1/4, 3/4, 1/8, 5/8, ..."""
    value, unit = 0.0, 0.5
    while index:
        value += unit * (index & 1)
        index >>= 1
        unit /= 2
    return value
