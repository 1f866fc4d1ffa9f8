"""The whole models that a latency table learns from: how layers add up, and what no single layer tells."""

from __future__ import annotations

import time

import numpy as np

from learners.latency.anchor import Levels, WholeTimes, int8_levels
from learners.library.library import Library
from objectives.latency import BURST, WARM_UP, Model, Reference, measure
from objectives.runtimes.table import runtime
from searcher.latency_plans import KINDS, load_plan, random_plans
from searcher.stages.prepare import dense_file
from storage.records.config import RuntimeConfig

SECONDS = 20.0  # at most, for all of them, but for slow models
# Random ones of each kind. By 60 other plans of ResNet-56, a table made beside other programs is off by 6.5 % without
# them, 5 % with 12 of both kinds, 4 % with 20 and 3.4 % with 40.
PLANS = 10
SEED = 2  # of no check: what a table was fitted to would flatter it
MILLISECONDS = 1e3  # of a second
DENSE, UNCHANGED, INT8, PROBE = "dense", "unchanged", "int8", "probe"


class WholeModels:
    """The dense model, the unchanged candidate, the one in int8, and random plans where a round of them does not take
    longer than all may."""

    def __init__(self, library: Library, config: RuntimeConfig) -> None:
        """GiveUpError if the runtime refuses one."""
        space = library.space
        dense = runtime(config.name).session(dense_file(library), config.threads)
        self._sample = np.zeros((config.batch, *library.analysis.input_shape), np.float32)
        self._models: dict[str, Model] = {DENSE: dense}
        self._plans: dict[str, Levels] = {}
        dense(self._sample)
        started = time.perf_counter()
        dense(self._sample)
        self.dense_ms = MILLISECONDS * (time.perf_counter() - started)  # roughly
        self.reference = Reference(dense)
        self.quiet_ms: float | None = None  # of a call of the user's file, once it was timed in quiet
        self._load(library, config, UNCHANGED, (0,) * len(space.sites))
        in_int8 = int8_levels(space)
        if in_int8 is not None:
            self._load(library, config, INT8, in_int8)
        calls = (WARM_UP + 2 * BURST) * PLANS * len(KINDS)
        if calls * self.dense_ms / MILLISECONDS <= SECONDS:
            for number, plan in enumerate(random_plans(space, PLANS, SEED)):
                self._load(library, config, str(number), plan.levels)

    def _load(self, library: Library, config: RuntimeConfig, name: str, levels: Levels) -> None:
        self._models[name] = load_plan(library, config, levels)
        self._plans[name] = levels

    def times(self, probe: Model, probe_ms: float) -> WholeTimes:
        """Their times on the scale on which `probe` takes `probe_ms`; only of plans that found a quiet moment."""
        # One round of slow models takes long enough. Beside the dense model, as they are compared with it: its ratio to
        # the probe, which takes a tenth of the time and is disturbed otherwise, is in none of the speed-ups.
        models = {**self._models, PROBE: probe}
        figures = measure(self.reference, models, self._sample, seconds=SECONDS, fewest=1)
        dense_ms = probe_ms * figures[PROBE].speedup
        self.quiet_ms = figures[DENSE].milliseconds if figures[DENSE].is_quiet else self.quiet_ms
        return WholeTimes(
            dense_ms,
            dense_ms / figures[UNCHANGED].speedup,
            tuple(
                (levels, dense_ms / figures[name].speedup)
                for name, levels in self._plans.items()
                if name != UNCHANGED and figures[name].is_quiet
            ),
        )
