"""Stage "latency table": what single layers take on the study's runtime, once for a model and a machine."""

from __future__ import annotations

import math
import time
from dataclasses import replace
from pathlib import Path

from learners.latency.anchor import anchored
from learners.latency.build import build_table
from learners.latency.from_graph import timed_model
from learners.latency.timing import ProbeTimes, Setting
from learners.library.library import Library
from objectives.hardware import describe
from objectives.latency import BURST, MILLISECONDS_PER_SECOND, WARM_UP
from objectives.runtimes.table import runtime
from searcher.latency_check import ALL, SPARE_PLANS, check_table
from searcher.latency_plans import KINDS
from searcher.progress import Progress
from searcher.stages.whole_models import WholeModels
from storage.errors import GiveUpError, RetryError
from storage.files import atomic_write, content_hash, file_lock
from storage.home import Home
from storage.records.config import RuntimeConfig
from storage.records.latency import LatencyTable, TableCheck

STAGE = "latency table"
CHECK_STAGE = "latency table check"
FORMAT = "latency-table-9"  # changes whenever the same machine would give another table
FOLDER = "latencies"  # in the cache, shared by all studies
STAGE_SECONDS = 90.0  # nothing is done once more that is likely to end later
WANTED_ERROR = 0.06  # median over the checked plans, above which all layers are timed again, once
# Below it a model takes little more than the call: timing its layers again would tell hardly more.
TIMEABLE_MS = 0.2
CHECKED_PLANS = 10  # of each kind: together the 20 that a front reports at least
CHECK_SECONDS = 10.0  # at most, for all of them, but for slow models
# Of models so slow that a single round takes longer than CHECK_SECONDS: their search takes hours.
MOST_CHECK_SECONDS = 600.0
# The table belongs to a model and a machine, not to a study's seed.
CHECK_SEED = 0
SECOND_CHECK_SEED = 1  # of a table that the first check has chosen


def open_or_measure(library: Library, config: RuntimeConfig, home: Home, progress: Progress) -> LatencyTable:
    """The latency table of a library's model on this machine, from the cache where it is there.

    GiveUpError where the runtime refuses a layer by itself, or the model.
    """
    hardware = describe(runtime(config.name), config.threads)
    key = content_hash(FORMAT, library.id, config.name, hardware, str(config.threads), str(config.batch))
    path = home.cache / FOLDER / f"table-{key[:32]}.json"
    with file_lock(path.with_suffix(".lock"), wait=True):
        try:
            table = LatencyTable.from_json(path.read_text())
            table.check(library.space)
        except (OSError, ValueError, KeyError, TypeError):  # absent or damaged
            table, is_final = _measure(library, config, home, path, progress)
            if is_final:
                atomic_write(path, table.to_json().encode())
        return table


def _measure(
    library: Library, config: RuntimeConfig, home: Home, path: Path, progress: Progress
) -> tuple[LatencyTable, bool]:
    """The table, and whether it may be kept for other studies: not where something disturbed its check, or no quiet
    moment of the dense model was found."""
    making = _Making(library, config, home, progress)
    layers = making.layers(again=False)
    table = making.finished(layers)
    is_timeable = table.dense_ms >= TIMEABLE_MS
    # Where not even the dense model found a quiet moment, there will be none soon.
    is_hopeful = is_timeable and table.quiet_ms is not None
    if making.is_disturbed and is_hopeful and making.has_time(making.last_seconds):
        progress.event(f"{STAGE}: something disturbed its check, so that whole models are timed once more")
        table = making.finished(layers)
    if _is_off(table) and is_timeable and making.has_time(making.times.most_seconds + making.last_seconds):
        progress.event(f"{STAGE}: {_off(table)}, so that all layers are timed again")
        second = making.finished(making.layers(again=True))
        best = min(table, second, key=lambda item: _error(item) if item.checked is not None else math.inf)
        # It was chosen by the plans of its check: others tell how well it predicts.
        again = making.checked(best, SECOND_CHECK_SEED)
        table = best if again.checked is None else again
    if _is_off(table) and is_timeable:
        progress.event(
            f"{STAGE}: {_off(table)}; speeds are measured in the end, but candidates are chosen by these predictions. "
            f"If other programs disturbed it: remove {path} and {making.times.path}, and run a new study"
        )
    return table, table.quiet_ms is not None and not (making.is_disturbed and table.checked is None)


class _Making:
    """Makes the table, as often as wanted and as there is time."""

    def __init__(self, library: Library, config: RuntimeConfig, home: Home, progress: Progress) -> None:
        self._library = library
        self._config = config
        self._progress = progress
        self._timed = timed_model(library)
        self.times = ProbeTimes(Setting(runtime(config.name), config.threads, config.batch), home.cache / FOLDER)
        self._whole = WholeModels(library, config)
        self._started = time.perf_counter()
        self.last_seconds = 0.0  # that whole models took last
        self.is_disturbed = False  # whether the last table could not be checked, as something slowed the processor
        if self._whole.dense_ms < TIMEABLE_MS:
            self.times.reference.trust()
            self._whole.reference.trust()

    def has_time(self, seconds: float) -> bool:
        """Whether what takes so long fits into STAGE_SECONDS."""
        return time.perf_counter() - self._started + seconds <= STAGE_SECONDS

    def layers(self, again: bool) -> LatencyTable:
        """Times layers, `again` also those that were timed before."""
        library, progress = self._library, self._progress
        progress.update(STAGE, 0, 1)
        return build_table(
            self._timed.layers,
            self._timed.glue,
            library.space,
            self.times,
            library.analysis.input_shape,
            lambda _, done, total: progress.update(STAGE, done, total),
            again,
        )

    def finished(self, layers: LatencyTable) -> LatencyTable:
        """The table of single layers, corrected by whole models, which are timed now, and checked."""
        started = time.perf_counter()
        library, timed = self._library, self._timed
        whole = self._whole.times(self.times.reference.model, self.times.reference_ms)
        table = anchored(layers, library.space, whole, bool(library.analysis.maps), timed.boundaries)
        table = self.checked(replace(table, quiet_ms=self._whole.quiet_ms).on_clock(), CHECK_SEED)
        self.last_seconds = time.perf_counter() - started
        return table

    def checked(self, table: LatencyTable, seed: int) -> LatencyTable:
        """The table with how well it predicts random plans of `seed`, or with why that is not known."""
        table = replace(table, checked=None, unchecked=None)
        try:
            self.is_disturbed = False
            return _checked(table, self._library, self._config, seed, self._progress)
        except RetryError as error:
            self.is_disturbed = True
            return _without_check(table, str(error), self._progress)


def _error(table: LatencyTable) -> float:
    return 0.0 if table.checked is None else table.checked.median_error


def _is_off(table: LatencyTable) -> bool:
    return _error(table) > WANTED_ERROR


def _off(table: LatencyTable) -> str:
    plans = 0 if table.checked is None else table.checked.plans
    return f"its predictions for {plans} random plans are off by {100 * _error(table):.0f} % in the median"


def _checked(
    table: LatencyTable, library: Library, config: RuntimeConfig, seed: int, progress: Progress
) -> LatencyTable:
    """The table with how well it predicts models it was not made from, or with why that is not known: where it cannot
    be measured, or would take minutes. Passes on RetryError."""
    # Every plan is warmed up and takes part in one round at least, with the dense model.
    calls = (WARM_UP + 2 * BURST) * (CHECKED_PLANS + SPARE_PLANS) * len(KINDS)
    if calls * table.dense_ms > MOST_CHECK_SECONDS * MILLISECONDS_PER_SECOND:
        return _without_check(
            table,
            f"one call of the model takes about {table.dense_ms:.0f} ms, too long to time "
            f"{CHECKED_PLANS * len(KINDS)} plans; `slimfront doctor --latency` does it",
            progress,
        )
    progress.update(CHECK_STAGE, 0, 1)
    try:
        check = check_table(library, table, config, seed, CHECKED_PLANS, CHECK_SECONDS, 1, table.quiet_ms)
    except GiveUpError as error:
        return _without_check(table, str(error), progress)
    progress.update(CHECK_STAGE, 1, 1)
    found = check.errors[ALL]
    return replace(table, checked=TableCheck(found.plans, found.spearman, found.median_error, found.largest_error))


def _without_check(table: LatencyTable, reason: str, progress: Progress) -> LatencyTable:
    progress.event(f"the latency table is not checked: {reason}")
    return replace(table, unchecked=reason)
