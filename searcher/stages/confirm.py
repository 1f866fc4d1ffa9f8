"""Stage "confirmed": the front's candidates become files, which are scored on images that no search has used."""

from __future__ import annotations

import time
from collections.abc import Sequence, Set
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt

from objectives.accuracy import evaluate
from objectives.hardware import available_cores
from objectives.paired import pack_scores, paired_drop
from objectives.targets import Figures, shortfall
from searcher.baselines import DENSE
from searcher.front import confirmed_front, quick_front, rows, spread
from searcher.stages.context import StudyContext
from searcher.stages.files import export
from storage.errors import DiskFullError, GiveUpError
from storage.records.candidate import Trial
from storage.records.measurement import Direction, Measurement, Result, Rung

STAGE = "confirmed"
SPREAD_ROWS = 16  # of the front that are confirmed first, over its whole range
TARGET_ROWS = 8  # then added where the target's boundary lies; together the rows a front may have
DEFAULT_DROP = 1.0  # points; where users look when they name no drop


def confirm(context: StudyContext, dense_outputs: npt.NDArray[np.float32]) -> None:
    """Confirms baselines and front; `dense_outputs` [n, k] are the dense model's on the confirmation images."""
    context.checkpoint(STAGE)
    trials = context.store.trials(context.name)
    baselines = [trial for trial in trials if trial.baseline is not None]
    by_number = {trial.number: trial for trial in trials}
    scored = context.store.results(context.name, Rung.QUICK)
    searched = [item for item in scored if by_number[item.number].baseline is None]
    front = quick_front(searched)
    first = spread(front, SPREAD_ROWS, [item.number for item in _around_target(context, front)])
    round_one = [*baselines, *(by_number[item.number] for item in first)]
    _confirm(context, dense_outputs, round_one, TARGET_ROWS)
    more = _boundary(context, searched, {trial.number for trial in round_one})
    _confirm(context, dense_outputs, [by_number[number] for number in more], 0)
    context.checkpoint(STAGE)


def _confirm(
    context: StudyContext, dense_outputs: npt.NDArray[np.float32], trials: Sequence[Trial], to_come: int
) -> None:
    """Evaluates the files of those trials that are not confirmed yet; two at a time on two cores, one thread each."""
    store, name = context.store, context.name
    known = {item.number for item in store.results(name, Rung.CONFIRMED)}
    waiting = [trial for trial in trials if trial.number not in known and trial.error is None]
    total = len(known) + len(waiting) + to_come
    _ = context.workload.confirmation  # decoded once, before the threads want it
    with ThreadPoolExecutor(max_workers=available_cores()) as pool:
        futures = {trial: pool.submit(_evaluate, context, trial, dense_outputs) for trial in waiting}
        try:
            for done, (trial, future) in enumerate(futures.items()):
                try:
                    result = future.result()
                except GiveUpError as error:
                    _fail(context, trial, error)
                    continue
                confirmed = [*store.results(name, Rung.CONFIRMED), result]
                front = confirmed_front(confirmed)
                store.record(name, result, rows(front))
                context.checkpoint(STAGE)
                context.progress.update(STAGE, len(known) + done + 1, total, describe(context, result))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _fail(context: StudyContext, trial: Trial, error: GiveUpError) -> None:
    """Notes that one trial cannot be evaluated; the study goes on without it, but not without the dense model."""
    if trial.baseline == DENSE or isinstance(error, DiskFullError):
        raise error
    context.store.fail_trial(context.name, trial.number, str(error))
    context.progress.event(f"{trial.baseline or f'candidate {trial.number}'} failed: {error}")


def _evaluate(context: StudyContext, trial: Trial, dense_outputs: npt.NDArray[np.float32]) -> Result:
    started = time.thread_time()
    exported = export(context, trial)
    images, labels = context.workload.confirmation.images, context.workload.confirmation.labels
    metric = context.workload.metric
    outputs = dense_outputs if trial.baseline == DENSE else evaluate(exported.session, images)
    dense_scores = metric.per_image(dense_outputs, labels, dense_outputs)
    scores = metric.per_image(outputs, labels, dense_outputs)
    drop = paired_drop(dense_scores, scores)
    count = len(scores)
    return Result(
        number=trial.number,
        rung=Rung.CONFIRMED,
        measurements=(
            Measurement("accuracy", 100 * float(scores.mean(dtype=np.float64)), "%", Direction.MAXIMIZE, count),
            Measurement(
                "drop",
                drop.drop_points,
                "points",
                Direction.MINIMIZE,
                count,
                drop.lower_points,
                drop.upper_points,
            ),
            Measurement("size", exported.size_bytes, "bytes", Direction.MINIMIZE),
            Measurement("onnx_size", exported.onnx_bytes, "bytes", Direction.MINIMIZE),
            Measurement("macs", context.dense.macs, "macs", Direction.MINIMIZE),
        ),
        per_image=pack_scores(scores),
        artifact=str(trial.number),
        seconds=time.thread_time() - started,
    )


def describe(context: StudyContext, result: Result) -> str:
    """One result in a few words."""
    ratio = context.dense.size_bytes / result.value("size")
    return f"{ratio:.1f}x smaller at {-result.value('drop'):+.2f} points"


def _around_target(context: StudyContext, front: Sequence[Result]) -> list[Result]:
    """The results of a quick front that come nearest to the target."""
    return sorted(front, key=lambda item: (_quick_shortfall(context, item), item.value("size")))[:2]


def _quick_shortfall(context: StudyContext, result: Result) -> float:
    quick = {item.number: item for item in context.store.results(context.name, Rung.QUICK)}
    drop = quick[1].value("accuracy") - result.value("accuracy")
    return shortfall(context.config.target, _figures(result, drop), context.dense)


def _figures(result: Result, drop: float) -> Figures:
    return Figures(result.value("accuracy"), drop, int(result.value("size")), None, int(result.value("macs")))


def _boundary(context: StudyContext, searched: Sequence[Result], round_one: Set[int]) -> list[int]:
    """Numbers of further candidates to confirm, where a user would look: just within the sizes that the target names,
    and between the smallest file that keeps the allowed drop and the next smaller one.

    All searched candidates are considered, not only the quick front: each is the best plan for its size by the
    additive error, and the quick images are too few to tell neighbours apart. Only the results of `round_one` count, so
    that a study resumed in the middle of round two chooses the same.
    """
    results = context.store.results(context.name, Rung.CONFIRMED)
    confirmed = {item.number: item for item in results if item.number in round_one}
    rest = sorted((item for item in searched if item.number not in confirmed), key=lambda item: item.value("size"))
    target = context.config.target
    limits = [cost.limit(context.dense.size_bytes) for cost in target.costs if cost.objective == "size"]
    within = [item for item in rest if limits and item.value("size") <= min(limits)]
    near = within[-TARGET_ROWS // 2 :]
    allowed = target.max_drop if target.max_drop is not None else DEFAULT_DROP
    good = min((item.value("size") for item in confirmed.values() if item.value("drop") <= allowed), default=0.0)
    bad = max((item.value("size") for item in confirmed.values() if item.value("size") < good), default=0.0)
    between = [item for item in rest if bad < item.value("size") < good and item not in near]
    count = min(TARGET_ROWS - len(near), len(between))
    # Evenly spread over the gap, its ends excluded: they are confirmed already.
    chosen = [between[(2 * index + 1) * len(between) // (2 * count)] for index in range(count)]
    return sorted(item.number for item in (*near, *chosen))
