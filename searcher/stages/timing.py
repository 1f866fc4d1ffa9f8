"""Stage "latency": every confirmed file against the dense one, interleaved, on the study's runtime."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from objectives.hardware import available_cores, describe
from objectives.latency import Latency, Reference, disturbed, measure
from objectives.runtimes.table import runtime
from searcher.baselines import DENSE
from searcher.stages.context import StudyContext
from searcher.stages.file_results import file_results
from storage.records.candidate import Trial
from storage.records.measurement import Direction, Measurement, Result, Rung
from storage.records.study import TIMED_ON

STAGE = "latency"


def time_front(context: StudyContext) -> None:
    """Measures the rows of the front and the baselines in one session, and records all figures at once.

    A study that was interrupted here measures all of them again: only figures of one session compare.
    """
    context.checkpoint(STAGE)
    store, name = context.store, context.name
    confirmed = file_results(store, name)
    if store.results(name, Rung.TIMED):
        return
    wanted = {row.number for row in store.front(name)}
    trials = [
        trial
        for trial in store.trials(name)
        if trial.number in confirmed and (trial.number in wanted or trial.baseline is not None)
    ]
    context.progress.update(STAGE, 0, len(trials), "loading models")
    with ThreadPoolExecutor(max_workers=available_cores()) as pool:
        loaded = pool.map(context.files.stored_session, trials)
        sessions = {str(trial.number): session for trial, session in zip(trials, loaded, strict=True)}
    dense = next(str(trial.number) for trial in trials if trial.baseline == DENSE)
    sample = np.ascontiguousarray(
        np.resize(context.workload.quick.images, (context.config.runtime.batch, *context.workload.input_shape))
    )
    context.progress.update(STAGE, 0, len(trials), "timing")
    settings, table = context.config.runtime, context.latency
    hardware = describe(runtime(settings.name), settings.threads)
    known = None if table is None else table.quiet_on(hardware)
    figures = measure(Reference(sessions[dense], known), sessions, sample)
    # A study may have been resumed on another machine than the one that its latency table is of.
    store.add_event(name, TIMED_ON, hardware)
    results = [_result(trial, figures[str(trial.number)]) for trial in trials]
    store.record_batch(name, results, store.front(name), context.clock.seconds)
    if (text := disturbed(figures)) is not None:
        context.note(f"{text}; `slimfront measure` shows what they take at another moment")
    context.progress.update(STAGE, len(trials), len(trials))


def _result(trial: Trial, figure: Latency) -> Result:
    return Result(
        number=trial.number,
        rung=Rung.TIMED,
        measurements=(
            Measurement("latency", figure.milliseconds, "ms", Direction.MINIMIZE, figure.turns),
            Measurement(
                "speedup",
                figure.speedup,
                "x",
                Direction.MAXIMIZE,
                figure.turns,
                figure.speedup_low,
                figure.speedup_high,
            ),
        ),
        artifact=str(trial.number),
    )
