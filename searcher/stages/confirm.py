"""Stage "confirmed": the front's candidates become files, which are scored on images that no search has used."""

from __future__ import annotations

import math
from collections.abc import Sequence, Set
from contextlib import closing

from learners.pool.base import Outcome
from objectives.pareto import FRONT_ROWS
from objectives.targets import rank_key
from searcher.allocation.budget import Budget
from searcher.baselines import DENSE
from searcher.contenders import deciding_scores
from searcher.front import NOISE, along, by_chance, cover, promising, quick_front, spread, useful
from searcher.judged import confirmed_figures, judged_front, nearest, target_axes, within_limits
from searcher.stages.context import StudyContext, study_budgets
from searcher.stages.evaluation import Evaluation, Refused
from searcher.stages.file_results import evaluation_task, file_result, file_results
from searcher.stages.prepare import DenseRun
from storage.errors import GiveUpError
from storage.records.candidate import Trial
from storage.records.dense import DenseFacts
from storage.records.measurement import Result, Rung
from storage.records.study import FrontRow
from storage.records.target import Target

STAGE = "confirmed"
SPREAD_ROWS = FRONT_ROWS  # of the front that are confirmed first
# Of them, at most as many are of the front of accuracy against what the target limits alone, the others cover all axes.
# Where all axes counted alike, one had holes: of two neighbours of ResNet-20, 8 % apart in size, the smaller one was
# 2.2 points worse.
TARGET_AXIS_ROWS = 20
COVER_ROWS = 6  # added where these leave gaps along what the target limits
TARGET_ROWS = 8  # then added where the target's boundary lies
DEFAULT_DROP = 1.0  # points; where users look when they name no drop


def confirm(context: StudyContext, dense: DenseRun) -> None:
    """Confirms baselines and front."""
    context.checkpoint(STAGE)
    Confirmation(context, dense).run()
    context.checkpoint(STAGE)


class Confirmation:
    """One attempt at the stage; reads the store once and then keeps what it has written there."""

    def __init__(self, context: StudyContext, dense: DenseRun) -> None:
        self._context = context
        self._task = evaluation_task(context, dense, context.workload.confirmation)
        self._trials = {trial.number: trial for trial in context.store.trials(context.name)}
        self._scores = deciding_scores(context.store, context.name)
        files = file_results(context.store, context.name).values()
        self._results = {item.number: item for item in files if item.rung is Rung.CONFIRMED}
        self._trained = [item for item in files if item.rung is not Rung.CONFIRMED]
        self._failed = {number for number, trial in self._trials.items() if trial.error is not None}
        self._dense = dense

    def run(self) -> None:
        """Round one covers the front, round two looks closer where the target's boundary lies."""
        context = self._context
        if not self._results:  # whether files can be written is the study's matter, before any worker tries
            context.files.export(self._trials[1])
        searched = [item for number, item in self._scores.items() if self._trials[number].is_searched]
        # Not what was trained from them before the study was resumed.
        baselines = [
            number for number, trial in self._trials.items() if trial.baseline is not None and trial.parent is None
        ]
        accuracy, limits = self._scores[1].value("accuracy"), study_budgets(context)
        chosen = first_round(searched, accuracy, context.config.target, limits, context.predicted_dense)
        round_one = [*baselines, *chosen]
        self._evaluate_all(round_one, TARGET_ROWS)
        self._evaluate_all(self._boundary(searched, set(round_one)), 0)
        confirmed = self._front()
        # They differ where nothing was left to confirm, and the rows are of another rung.
        if context.store.front(context.name) != confirmed:
            context.store.record_batch(context.name, (), confirmed)

    def _evaluate_all(self, numbers: Sequence[int], to_come: int) -> None:
        """Evaluates the files of those trials that are not confirmed yet."""
        waiting = [number for number in numbers if number not in self._results and number not in self._failed]
        context = self._context
        total = len(self._results) + len(waiting) + to_come
        failures: dict[int, str] = {}
        jobs = [self._trials[number] for number in waiting]
        # Closed at once when we leave: what workers are still at is of no use then.
        with closing(context.pool.run(self._task, jobs, context.worker_lost, apart=True)) as outcomes:
            for outcome in outcomes:
                self._take(jobs[outcome.index], outcome, total, failures)
        searched = {number for number, trial in self._trials.items() if trial.is_searched}
        if searched & failures.keys() and not searched & self._results.keys():
            # Hardly their own fault. Nothing is noted of them: a resumed study evaluates them again.
            number = min(searched & failures.keys())
            raise GiveUpError(f"no candidate can be confirmed; candidate {number}: {failures[number]}")
        for number, reason in sorted(failures.items()):
            self._failed.add(number)
            context.store.fail_trial(context.name, number, reason)

    def _take(self, trial: Trial, outcome: Outcome[Evaluation | Refused], total: int, failures: dict[int, str]) -> None:
        """Stores one result with the new front, or adds to the failures why there is none."""
        context = self._context
        found = outcome.result
        if not isinstance(found, Evaluation):
            error = found.reason if isinstance(found, Refused) else outcome.error or "no result"
            if trial.baseline == DENSE:
                raise GiveUpError(f"the dense model cannot be evaluated: {error}")
            failures[trial.number] = error
            context.progress.event(f"{trial.baseline or f'candidate {trial.number}'} failed: {error}")
            return
        self._results[trial.number] = result = file_result(
            context, self._dense, trial, found, outcome.seconds, Rung.CONFIRMED
        )
        context.store.record(context.name, result, self._front(), context.clock.seconds)
        context.progress.update(STAGE, len(self._results), total, self._best())

    def _front(self) -> tuple[FrontRow, ...]:
        """The rows of what is confirmed so far, and of what was trained before the study got more candidates."""
        context = self._context
        target, dense = context.config.target, context.predicted_dense
        return judged_front([*self._results.values(), *self._trained], target, dense, context.wants_macs)

    def _best(self) -> str:
        """The searched file to recommend so far, in a few words; none until one is confirmed."""
        target, dense = self._context.config.target, self._context.predicted_dense
        searched = [item for number, item in self._results.items() if self._trials[number].is_searched]
        if not searched:
            return ""
        result = min(searched, key=lambda item: (rank_key(target, confirmed_figures(item), dense), item.number))
        ratio = dense.size_bytes / result.value("size")
        return f"{ratio:.1f}x smaller at {0.0 - result.value('drop'):+.2f} points"

    def _boundary(self, searched: Sequence[Result], round_one: Set[int]) -> list[int]:
        """Numbers of further candidates to confirm, where a user would look: just within the costs that the target
        names, and between the cheapest file that keeps the allowed drop and the next cheaper one.

        Not only the front of the scores is considered: their images are too few to tell neighbours apart. Only the
        results of `round_one` count, so that a study resumed in the middle of round two chooses the same.
        """
        target = self._context.config.target
        limits = [item for item in study_budgets(self._context) if item.limit > 0]
        main = target_axes(limits)[0]
        confirmed = [item for item in self._results.values() if item.number in round_one and item.get(main) is not None]
        # Of several limits one plan may be all that meets both, however much better a smaller but slower one is.
        ordered = promising(searched, main, math.inf if len(limits) > 1 else by_chance(NOISE, searched))
        rest = [item for item in ordered if item.number not in round_one]
        near = self._near(rest, limits) if limits else []
        allowed = target.max_drop if target.max_drop is not None else DEFAULT_DROP
        good = min((item.value(main) for item in confirmed if item.value("drop") <= allowed), default=0.0)
        bad = max((item.value(main) for item in confirmed if item.value(main) < good), default=0.0)
        between = [item for item in rest if bad < item.value(main) < good and item not in near]
        count = min(TARGET_ROWS - len(near), len(between))
        # Evenly spread over the gap, its ends excluded: they are confirmed already.
        chosen = [between[(2 * index + 1) * len(between) // (2 * count)] for index in range(count)]
        return sorted(item.number for item in (*near, *chosen))

    def _near(self, rest: Sequence[Result], limits: Sequence[Budget]) -> list[Result]:
        """The candidates within all limits that promise most: of one limit the nearest to it, of several those of the
        least additive error."""
        within = within_limits(rest, limits)
        if len(limits) > 1:
            space = self._context.space
            errors = {item.number: space.error(self._trials[item.number].candidate.levels) for item in within}
            within.sort(key=lambda item: (-errors[item.number], item.number))
        return within[-TARGET_ROWS // 2 :]


def first_round(
    searched: Sequence[Result], accuracy: float, target: Target, limits: Sequence[Budget], dense: DenseFacts
) -> list[int]:
    """Numbers of the candidates that are confirmed before it is known where the target's boundary lies.

    Args:
        searched: the scores that decide, without baselines.
        accuracy: the dense model's, on the images of these scores.
        limits: of the target's costs.
        dense: with its predicted latency, if there is one.
    """
    macs = target.cost("macs") is not None
    candidates = useful(searched, accuracy, target.max_drop)
    front = quick_front(candidates, macs)
    axes = target_axes(limits)
    keep = [item.number for item in nearest(front, accuracy, target, dense)]
    for axis in axes:
        keep += along(front, axis, TARGET_AXIS_ROWS // len(axes))
    chosen = [item.number for item in spread(front, SPREAD_ROWS, keep, macs)]
    for axis in axes:
        chosen += cover(promising(candidates, axis, by_chance(NOISE, searched)), axis, chosen, COVER_ROWS // len(axes))
    return chosen
