"""How well a latency table predicts whole models: random plans, predicted and measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from learners.library.library import Library
from objectives.latency import FEWEST_TURNS, KNOWN_ERROR, TURNS, Reference, measure
from objectives.prediction import PredictionError, compare
from objectives.runtimes.table import runtime
from searcher.latency_plans import KINDS, load_plan, random_plans
from searcher.stages.prepare import dense_file
from storage.errors import RetryError
from storage.records.config import RuntimeConfig
from storage.records.latency import LatencyTable

PLANS = 12  # of each kind, at least
SPARE_PLANS = 3  # of each kind, for those whose speed cannot be told
ALL = "all"  # kinds together
SECONDS = 60.0  # more than a table gives to its whole models: what judges is to be surer than what is judged
# Before the seed of those who judge a table: plans that its own check, which may have chosen it, has not seen.
UNSEEN = 1


@dataclass(frozen=True)
class CheckedPlan:
    """One random plan."""

    kind: str  # of KINDS
    levels: tuple[int, ...]
    predicted_speedup: float
    speedup: float


@dataclass(frozen=True)
class LatencyCheck:
    """All plans, and how far predictions are off on each kind and on all together."""

    plans: tuple[CheckedPlan, ...]
    errors: dict[str, PredictionError]  # by kind, and of all together


def check_table(
    library: Library,
    table: LatencyTable,
    config: RuntimeConfig,
    seed: int | tuple[int, ...],
    plans: int = PLANS,
    seconds: float = SECONDS,
    fewest: int = FEWEST_TURNS,
    quiet_ms: float | None = None,
) -> LatencyCheck:
    """Measures `plans` random plans of each kind, and some to spare, in turn with the dense model, in at most
    `seconds` but for slow ones, each `fewest` times at least, and compares those whose speed in quiet is known then.
    `quiet_ms` is what the dense model takes in quiet, where that is known.

    Raises RetryError where something slowed the processor, so that those are fewer than `plans` of a kind.
    """
    space = library.space
    chosen = random_plans(space, plans + SPARE_PLANS, seed)
    sessions = {str(index): load_plan(library, config, plan.levels) for index, plan in enumerate(chosen)}
    dense = runtime(config.name).session(dense_file(library), config.threads)
    sample = np.zeros((config.batch, *library.analysis.input_shape), np.float32)
    figures = measure(Reference(dense, quiet_ms), sessions, sample, TURNS, seconds, fewest)
    checked = tuple(
        CheckedPlan(plan.kind, plan.levels, table.speedup(space, plan.levels), figures[str(index)].speedup)
        for index, plan in enumerate(chosen)
        if figures[str(index)].is_known
    )
    for kind in KINDS:
        count = sum(plan.kind == kind for plan in checked)
        if count < plans:
            raise RetryError(
                f"the speed-ups of only {count} of {plans + SPARE_PLANS} random plans on the {kind} could be measured "
                f"with a standard error of {100 * KNOWN_ERROR:.0f} %, and {plans} are needed: the processor had too "
                "few quiet moments; `slimfront doctor --latency` tries again"
            )
    errors = {kind: _error([plan for plan in checked if plan.kind == kind]) for kind in KINDS}
    return LatencyCheck(checked, {**errors, ALL: _error(checked)})


def _error(plans: Sequence[CheckedPlan]) -> PredictionError:
    return compare([plan.predicted_speedup for plan in plans], [plan.speedup for plan in plans])
