"""Measures the files of a front again, on this machine and on any runtime; needs neither model nor data."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from objectives.hardware import describe, physical_memory
from objectives.latency import Latency, Reference, disturbed, measure
from objectives.runtimes.table import runtime
from searcher.baselines import DENSE
from searcher.progress import Progress
from searcher.stages.file_results import file_results
from searcher.stages.files import stored_file_session
from storage.errors import FixInputError
from storage.home import Home
from storage.records.config import MAX_THREADS, StudyConfig
from storage.records.config_table import MAX_BATCH
from storage.records.latency import LatencyTable
from storage.records.timing import TimedRow, Timing
from storage.store import StudyStore

STAGE = "measuring"
SEED = 0  # of the batch that is fed; latency does not depend on values
LEAST_COPIES = 2  # of a batch that are in memory at once: itself, and what the first layer makes of it
GIGABYTE = 1e9


def measure_front(
    store: StudyStore,
    home: Home,
    name: str,
    runtime_name: str,
    threads: int | None,
    batch: int | None,
    progress: Progress,
) -> Timing:
    """Times front and baselines of a study against its dense model and stores what was found.

    `threads` and `batch` are the study's own if None. Raises FixInputError if the study has no confirmed files yet, or
    if they are not in the artifact folder, for a batch that does not fit in memory, and for more threads than any
    machine has.
    """
    config = StudyConfig.from_json(store.study(name).config_json)
    confirmed = file_results(store, name)
    wanted = {row.number for row in store.front(name)}
    trials = [
        trial
        for trial in store.trials(name)
        if trial.number in confirmed and (trial.number in wanted or trial.baseline is not None)
    ]
    dense = next((trial for trial in trials if trial.baseline == DENSE), None)
    if dense is None:
        raise FixInputError(f"study {name} has no confirmed files yet: `slimfront resume {name}` first")
    threads = threads or config.runtime.threads
    batch = batch or config.runtime.batch
    _check_threads(threads)
    _check_batch(batch, config.model.input)
    progress.update(STAGE, 0, len(trials), "loading models")
    sessions = {}
    for index, trial in enumerate(trials):
        sessions[trial.number] = stored_file_session(home, name, trial, runtime_name, threads)
        progress.update(STAGE, index + 1, len(trials), "loading models")
    sample = np.random.default_rng(SEED).standard_normal((batch, *config.model.input), np.float32)
    hardware = describe(runtime(runtime_name), threads)
    known = _quiet_ms(store, name, hardware) if batch == config.runtime.batch else None
    reference = Reference(sessions[dense.number], known)
    figures = measure(reference, {str(number): item for number, item in sessions.items()}, sample)
    if (text := disturbed(figures)) is not None:
        progress.event(f"{text}; measure again at another moment")
    timing = Timing(
        runtime=runtime_name,
        hardware=hardware,
        threads=threads,
        batch=batch,
        rows=tuple(_row(int(number), figure) for number, figure in figures.items()),
    )
    store.add_timing(name, timing)
    return timing


def _quiet_ms(store: StudyStore, name: str, hardware: str) -> float | None:
    """What the dense file takes on `hardware` in a quiet moment, where the study's latency table knows it."""
    analysis = store.analysis(name)
    if analysis is None or analysis.latency_json is None:
        return None
    return LatencyTable.from_json(analysis.latency_json).quiet_on(hardware)


def _check_threads(threads: int) -> None:
    """Refuses what no machine has: each file's session would start as many."""
    if threads > MAX_THREADS:
        raise FixInputError(f"--threads {threads} is more than {MAX_THREADS}: choose at most the cores of the machine")


def _check_batch(batch: int, shape: Sequence[int]) -> None:
    """Refuses a batch that no machine, or not this one, can run, before anything is loaded."""
    if batch > MAX_BATCH:
        raise FixInputError(f"--batch {batch} is more than {MAX_BATCH} images of a call: choose a smaller one")
    needed, memory = LEAST_COPIES * batch * math.prod(shape) * np.dtype(np.float32).itemsize, physical_memory()
    if memory is not None and needed > memory:
        raise FixInputError(
            f"--batch {batch} takes at least {needed / GIGABYTE:.0f} GB, this machine has {memory / GIGABYTE:.0f} GB: "
            "choose a smaller one"
        )


def _row(number: int, figure: Latency) -> TimedRow:
    return TimedRow(
        number,
        figure.milliseconds,
        figure.speedup,
        figure.speedup_low,
        figure.speedup_high,
        figure.error,
    )
