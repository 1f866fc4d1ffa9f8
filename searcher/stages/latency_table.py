"""Stage "latency table": what single layers take on the study's runtime, once for a model and a machine."""

from __future__ import annotations

import math
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from learners.export.packing import assemble_onnx, pack_candidate
from learners.latency.anchor import WholeTimes, anchored, int8_levels
from learners.latency.build import build_table
from learners.latency.from_graph import timed_model
from learners.latency.timing import ProbeTimes, Setting
from learners.library.library import Library
from objectives.hardware import describe
from objectives.latency import SHORTEST_BURST, WARM_UP, Model, Reference, measure
from objectives.runtimes.base import Session
from objectives.runtimes.table import runtime
from searcher.latency_check import ALL, KINDS, SPARE_PLANS, check_table
from searcher.progress import Progress
from searcher.stages.prepare import dense_file
from storage.errors import GiveUpError, RetryError
from storage.files import atomic_write, content_hash, file_lock
from storage.home import Home
from storage.records.config import RuntimeConfig
from storage.records.latency import LatencyTable, TableCheck
from storage.slim import InputContract

STAGE = "latency table"
CHECK_STAGE = "latency table check"
FORMAT = "latency-table-6"  # changes whenever the same machine would give another table
FOLDER = "latencies"  # in the cache, shared by all studies
WHOLE_SECONDS = 20.0  # at most, for the whole models that the table is anchored to
WANTED_ERROR = 0.06  # median over the checked plans, above which all layers are timed again, once
# Below it a model takes little more than the call: timing its layers again would tell hardly more.
TIMEABLE_MS = 0.2
CHECKED_PLANS = 10  # of each kind: together the 20 that a front reports at least
CHECK_SECONDS = 30.0  # at most, for all of them, but for slow models
MOST_CHECK_SECONDS = 60.0  # of models so slow that a single round takes longer than CHECK_SECONDS
MILLISECONDS = 1e3  # of a second
# The table belongs to a model and a machine, not to a study's seed.
CHECK_SEED = 0
SECOND_CHECK_SEED = 1  # of a table that the first check has chosen


def open_or_measure(library: Library, config: RuntimeConfig, home: Home, progress: Progress) -> LatencyTable:
    """The latency table of a library's model on this machine, from the cache where it is there.

    GiveUpError where layers cannot be timed alone.
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
    """The table, and whether it may be kept for other studies: not where the check was disturbed."""
    making = _Making(library, config, home, progress)
    table = making.table(again=False)
    if making.is_disturbed and table.dense_ms >= TIMEABLE_MS:
        progress.event(f"{STAGE}: it could not be checked, so that it is checked once more")
        table = making.checked(table, CHECK_SEED)
    if table.quiet_ms is None:
        table = replace(table, quiet_ms=making.quiet_again())
    if _is_off(table) and table.dense_ms >= TIMEABLE_MS:
        progress.event(f"{STAGE}: {_off(table)}, so that all layers are timed again")
        second = making.table(again=True)
        best = min(table, second, key=lambda item: _error(item) if item.checked is not None else math.inf)
        # It was chosen by the plans of its check: others tell how well it predicts.
        again = best if best.checked is None else making.checked(best, SECOND_CHECK_SEED)
        table = replace(best if again.checked is None else again, quiet_ms=second.quiet_ms or table.quiet_ms)
        if _is_off(table):
            progress.event(
                f"{STAGE}: {_off(table)}, still; speeds are measured in the end, but candidates are chosen by "
                f"these predictions. If other programs disturbed it: remove {path} and {making.times.path}, and "
                "run a new study"
            )
    return table, not (making.is_disturbed and table.checked is None)


class _Making:
    """Makes the table, as often as wanted."""

    def __init__(self, library: Library, config: RuntimeConfig, home: Home, progress: Progress) -> None:
        self._library = library
        self._config = config
        self._progress = progress
        self._timed = timed_model(library)
        self.times = ProbeTimes(Setting(runtime(config.name), config.threads, config.batch), home.cache / FOLDER)
        self._whole = _WholeModels(library, config, self.times.reference)
        self.is_disturbed = False  # whether the last table could not be checked, as something slowed the processor
        if self._whole.dense_ms < TIMEABLE_MS:
            self.times.reference.trust()

    def table(self, again: bool) -> LatencyTable:
        """Times whole models and layers, `again` also those that were timed before, and checks what comes out."""
        library, progress = self._library, self._progress
        progress.update(STAGE, 0, 1)
        table = build_table(
            self._timed.layers,
            self._timed.glue,
            library.space,
            self.times,
            library.analysis.input_shape,
            lambda _, done, total: progress.update(STAGE, done, total),
            again,
        )
        whole = self._whole.times(self.times.reference_ms)
        table = anchored(table, library.space, whole, has_maps=bool(library.analysis.maps))
        return self.checked(replace(table, quiet_ms=self._whole.quiet_ms), CHECK_SEED)

    def quiet_again(self) -> float | None:
        """What the dense model takes in quiet, by another look; None where that finds no quiet moment, either."""
        self._whole.times(self.times.reference_ms)
        return self._whole.quiet_ms

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
    calls = (WARM_UP + 2 * SHORTEST_BURST) * (CHECKED_PLANS + SPARE_PLANS) * len(KINDS)
    if calls * table.dense_ms / MILLISECONDS > MOST_CHECK_SECONDS:
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


class _WholeModels:
    """The models that the table is anchored to."""

    def __init__(self, library: Library, config: RuntimeConfig, reference: Reference) -> None:
        space, chosen = library.space, runtime(config.name)
        contract = InputContract(library.analysis.input_shape, (0.0,), (1.0,))

        def candidate(levels: tuple[int, ...]) -> Session:
            packed = pack_candidate(library.analysis, library.choose(levels, library.id), library.ranges, contract)
            return chosen.session(assemble_onnx(packed), config.threads)

        self._reference = reference
        dense = chosen.session(dense_file(library), config.threads)
        self._models: dict[str, Model] = {
            "dense": dense,
            "unchanged": candidate((0,) * len(space.sites)),
        }
        in_int8 = int8_levels(space)
        if in_int8 is not None:
            self._models["int8"] = candidate(in_int8)
        self._sample = np.zeros((config.batch, *library.analysis.input_shape), np.float32)
        self.quiet_ms: float | None = None  # of the user's file, once it was timed in quiet
        dense(self._sample)
        started = time.perf_counter()
        dense(self._sample)
        self.dense_ms = MILLISECONDS * (time.perf_counter() - started)  # roughly

    def times(self, reference_ms: float) -> WholeTimes:
        """Their times on the scale on which the reference takes `reference_ms`."""
        # One round of slow models takes long enough.
        figures = measure(self._reference, self._models, self._sample, seconds=WHOLE_SECONDS, fewest=1)
        milliseconds = {name: reference_ms / figure.speedup for name, figure in figures.items()}
        self.quiet_ms = figures["dense"].milliseconds if figures["dense"].is_quiet else None
        # What was disturbed would put every layer's int8 cells off.
        in_int8 = milliseconds["int8"] if "int8" in figures and figures["int8"].is_quiet else None
        return WholeTimes(milliseconds["dense"], milliseconds["unchanged"], in_int8)
