"""How well a latency table predicts whole models: random plans, predicted and measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from learners.export.packing import assemble_onnx, pack_candidate
from learners.library.library import Library
from objectives.latency import FEWEST_TURNS, TURNS, Reference, measure
from objectives.prediction import PredictionError, compare
from objectives.runtimes.table import runtime
from searcher.stages.prepare import dense_file
from storage.errors import RetryError
from storage.records.config import RuntimeConfig
from storage.records.latency import LatencyTable
from storage.records.space import CHANNEL, FLOAT_BITS, SearchSpace, Site
from storage.slim import InputContract

PLANS = 12  # of each kind, at least
SPARE_PLANS = 3  # of each kind, for those that find no quiet moment
RUNTIME_GRID = 8  # channels: the kernels of ONNX Runtime and OpenVINO work in blocks of it
ALL = "all"  # kinds together
KINDS = ("runtime's grid", "finer grid")
SECONDS = 60.0
# Before the seed of those who judge a table: plans that its own check, which may have chosen it, has not seen.
UNSEEN = 1
# What the layers of a random plan run in: mostly int8 as the plans of a search do, some float, some both.
PRECISIONS = ("int8", "int8", "int8", "int8", "float", "mixed")


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
    `seconds` but for slow ones, each `fewest` times at least, and compares those that were timed in quiet. `quiet_ms`
    is what the dense model takes then, where that is known.

    Raises RetryError where something slowed the processor, so that fewer than `plans` of a kind were.
    """
    generator = np.random.default_rng(seed)
    space, shape = library.space, library.analysis.input_shape
    contract = InputContract(shape, (0.0,), (1.0,))
    chosen = [
        (kind, _random_plan(space, kind, PRECISIONS[index % len(PRECISIONS)], generator))
        for kind in KINDS
        for index in range(plans + SPARE_PLANS)
    ]
    engine = runtime(config.name)
    sessions = {}
    for index, (_, levels) in enumerate(chosen):
        packed = pack_candidate(library.analysis, library.choose(levels, library.id), library.ranges, contract)
        sessions[str(index)] = engine.session(assemble_onnx(packed), config.threads)
    dense = engine.session(dense_file(library), config.threads)
    sample = np.zeros((config.batch, *shape), np.float32)
    figures = measure(Reference(dense, quiet_ms), sessions, sample, TURNS, seconds, fewest)
    checked = tuple(
        CheckedPlan(kind, levels, table.speedup(space, levels), figures[str(index)].speedup)
        for index, (kind, levels) in enumerate(chosen)
        if figures[str(index)].is_quiet
    )
    for kind in KINDS:
        count = sum(plan.kind == kind for plan in checked)
        if count < plans:
            raise RetryError(
                f"only {count} of {plans + SPARE_PLANS} random plans on the {kind} found a quiet moment, and {plans} "
                "are needed: something else slowed the processor; `slimfront doctor --latency` tries again"
            )
    errors = {kind: _error([plan for plan in checked if plan.kind == kind]) for kind in KINDS}
    return LatencyCheck(checked, {**errors, ALL: _error(checked)})


def _error(plans: Sequence[CheckedPlan]) -> PredictionError:
    return compare([plan.predicted_speedup for plan in plans], [plan.speedup for plan in plans])


def _random_plan(space: SearchSpace, kind: str, precision: str, generator: np.random.Generator) -> tuple[int, ...]:
    return tuple(
        int(generator.choice(_channels(site, kind) if site.learner == CHANNEL else _widths(site, precision)))
        for site in space.sites
    )


def _channels(site: Site, kind: str) -> list[int]:
    on_grid = [index for index, level in enumerate(site.levels) if (level.channels or 0) % RUNTIME_GRID == 0]
    return on_grid if kind == KINDS[0] and on_grid else list(range(len(site.levels)))


def _widths(site: Site, precision: str) -> list[int]:
    wanted = {"int8": (False,), "float": (True,), "mixed": (False, True)}[precision]
    found = [index for index, level in enumerate(site.levels) if (level.bits == FLOAT_BITS) in wanted]
    return found or list(range(len(site.levels)))
