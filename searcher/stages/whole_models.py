"""The whole models that a latency table learns from: how layers add up, and what no single layer tells."""

from __future__ import annotations

import time

import numpy as np

from learners.latency.anchor import Levels, WholePlan, WholeTimes, int8_levels
from learners.library.library import Library
from objectives.latency import (
    BURST,
    MILLISECONDS_PER_SECOND,
    NANOSECONDS_PER_MILLISECOND,
    WARM_UP,
    Model,
    Reference,
    measure,
)
from objectives.runtimes.table import runtime
from searcher.latency_plans import KINDS, load_plan, random_plans
from searcher.stages.prepare import dense_file
from storage.errors import GiveUpError
from storage.records.config import RuntimeConfig

SECONDS = 12.0  # at most, for all of them, but for slow models
# Random ones of each kind at most: more would tell more, and take longer to load than to be timed.
PLANS = 20
SEED = 2  # of no check: what a table was fitted to would flatter it
DENSE, UNCHANGED, INT8, PROBE = "dense", "unchanged", "int8", "probe"


class WholeModels:
    """The dense model, the unchanged candidate, the one in int8, and random plans, of slow models fewer. Only the dense
    one is loaded all the time."""

    def __init__(self, library: Library, config: RuntimeConfig) -> None:
        """GiveUpError if the runtime refuses the dense model."""
        self._library = library
        self._config = config
        self._sample = np.zeros((config.batch, *library.analysis.input_shape), np.float32)
        dense = runtime(config.name).session(dense_file(library), config.threads)
        seconds = []
        for _ in range(1 + WARM_UP):
            started = time.perf_counter()
            dense(self._sample)
            seconds.append(time.perf_counter() - started)
        self.dense_ms = MILLISECONDS_PER_SECOND * min(seconds[1:])  # roughly
        self.reference = Reference(dense)
        self.quiet_ms: float | None = None  # of a call of the user's file, once it was timed in quiet
        space = library.space
        self._plans: dict[str, Levels] = {UNCHANGED: (0,) * len(space.sites)}
        if (in_int8 := int8_levels(space)) is not None:
            self._plans[INT8] = in_int8
        round_ms = (WARM_UP + 2 * BURST) * len(KINDS) * self.dense_ms  # of a plan of each kind
        each = min(PLANS, int(SECONDS * MILLISECONDS_PER_SECOND / round_ms))
        self._plans |= {str(number): plan.levels for number, plan in enumerate(random_plans(space, each, SEED))}

    def times(self, probe: Model, probe_ms: float) -> WholeTimes:
        """Their times on the scale on which `probe` takes `probe_ms`, with how well they are known.

        GiveUpError if the runtime refuses the unchanged candidate; other plans that it refuses tell nothing.
        """
        models = {DENSE: self.reference.model, PROBE: probe, **self._load()}
        # Beside the dense model, as they are compared with it. One round of slow models takes long enough.
        figures = measure(self.reference, models, self._sample, seconds=SECONDS, fewest=1)
        if figures[DENSE].is_quiet:
            self.quiet_ms = self.reference.quiet_ns / NANOSECONDS_PER_MILLISECOND
        dense_ms = probe_ms * figures[PROBE].speedup
        plans = (name for name in figures if name in self._plans and name != UNCHANGED)
        return WholeTimes(
            dense_ms,
            dense_ms / figures[UNCHANGED].speedup,
            tuple(
                WholePlan(self._plans[name], dense_ms / figures[name].speedup, figures[name].error) for name in plans
            ),
            on_scale=figures[PROBE].is_known and figures[UNCHANGED].is_known,
        )

    def _load(self) -> dict[str, Model]:
        found: dict[str, Model] = {}
        for name, levels in self._plans.items():
            try:
                found[name] = load_plan(self._library, self._config, levels)
                found[name](self._sample)
            except GiveUpError:
                if name == UNCHANGED:
                    raise
                found.pop(name, None)
        return found
