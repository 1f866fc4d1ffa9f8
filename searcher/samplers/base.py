"""What every sampler does: proposes candidates in batches and is told how they did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from searcher.allocation.budget import Budget
from storage.records.candidate import Candidate
from storage.records.latency import LatencyTable
from storage.records.space import SearchSpace


@dataclass(frozen=True)
class Scored:
    """A candidate with what rung 1 has found of it; the score is None where its evaluation failed."""

    candidate: Candidate
    score: float | None  # soft accuracy in percent, higher is better
    size_bytes: int  # predicted, as are the other costs
    macs: float
    latency_ms: float | None = None  # None without a latency table


def slowness(item: Scored, budgets: Sequence[Budget]) -> float:
    """What counts against a candidate's speed: its predicted latency, or its MACs where nothing is known of that or the
    budgets name MACs and no latency."""
    wanted = {budget.objective for budget in budgets}
    by_macs = "macs" in wanted and "latency" not in wanted
    return item.macs if by_macs or item.latency_ms is None else item.latency_ms


@dataclass(frozen=True)
class SamplerContext:
    """All that a sampler may know: the same context and the same history give the same proposals."""

    space: SearchSpace
    library: str  # id of the weights that candidates start from
    seed: int
    budgets: tuple[Budget, ...]  # what the targets allow, worth plans that are exact for all of them together
    known: frozenset[Candidate] = frozenset()  # the baselines: scored anyway, not worth proposing
    latency: LatencyTable | None = None  # None where nothing is known of latency

    def __post_init__(self) -> None:
        objectives = [budget.objective for budget in self.budgets]
        if len(set(objectives)) != len(objectives):
            raise ValueError("two budgets limit one objective")
        if self.latency is None and "latency" in objectives:
            raise ValueError("a budget of latency needs a latency table")


# Candidates of one ask; fixed, because what a sampler proposes depends on it. On ResNet-20, 100 allocations share so
# many first layers that a score costs 0.57 of a whole pass (0.69 in batches of 50, 0.41 in one of 300); those that
# learn do not wait that long.
WIDE_BATCH = 100
LEARNING_BATCH = 48
# At first fewer, until so many candidates: of the first plans many are of no use, and the next ones need not go there;
# what errors cost is learnt in ever larger steps.
EARLY_BATCHES = ((24, 8), (96, 24))
EARLY_WIDE_BATCHES = ((24, 24),)  # of those that learn nothing but where to stop
FIRST_BATCH = EARLY_BATCHES[0][1]


def batch_size(done: int, batch: int) -> int:
    """How many candidates to ask for after `done`, of a sampler that takes `batch` at a time."""
    early = EARLY_BATCHES if batch < WIDE_BATCH else EARLY_WIDE_BATCHES
    size = next((size for until, size in early if done < until), batch)
    return size - done % size


class Sampler(Protocol):
    """Proposes candidates.

    The controller makes one sampler for a study (again after a resume), and then calls `ask` and `tell` in turn: `tell`
    with everything that was asked, in the order of the asks. Proposals depend on (context, history) alone. Every
    candidate belongs to the space; no candidate is proposed twice.
    """

    notes: tuple[str, ...]  # what a user should know of its proposals, a line each
    batch: int  # how many candidates are asked for at a time

    def __init__(self, context: SamplerContext) -> None: ...

    @property
    def origins(self) -> Mapping[Candidate, str]:
        """Who has made a candidate, by the names of the table, where it was another sampler."""
        ...

    def ask(self, count: int) -> Sequence[Candidate]:
        """At most `count` new candidates; fewer, or none, when there is nothing left to propose."""
        ...

    def tell(self, scored: Sequence[Scored]) -> None:
        """What became of the candidates of the last `ask`."""
        ...
