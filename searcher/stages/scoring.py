"""Scores trials of a study with its pool, at one rung: what is stored already is not scored again."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing

import numpy as np

from learners.pool.base import Outcome
from learners.score import QuickScore, visiting_order
from learners.steps import find_steps
from objectives.paired import pack_scores
from objectives.workload.subsets import Subset
from searcher.baselines import DENSE
from searcher.front import QUICK_OBJECTIVE
from searcher.stages.context import StudyContext
from searcher.stages.prepare import score_task
from storage.errors import GiveUpError
from storage.records.candidate import Trial
from storage.records.measurement import Direction, Measurement, Result, Rung

# Between two commits of results, at least: what a kill costs, and how far `minutes` is overshot.
COMMIT_SECONDS = 2.0
FEWEST_AT_FAULT = 8  # candidates that fail together, none left over: it is hardly theirs, also late in a search


class Scoring:
    """The scores of one rung; reads the store once and then keeps what it has written there."""

    def __init__(
        self,
        context: StudyContext,
        rung: Rung,
        images: Subset,
        commit: Callable[[Sequence[Result]], None],
    ) -> None:
        """`commit` stores results, by number, which are in `results` by then."""
        self._context = context
        self._rung = rung
        self._task = score_task(context.config, context.library, images)
        self._steps = find_steps(context.library)
        self._store_results = commit
        self.failed = {trial.number for trial in context.store.trials(context.name) if trial.error is not None}
        self.results = {item.number: item for item in context.store.results(context.name, rung)}

    def score(self, trials: Sequence[Trial], is_over: Callable[[], bool] = lambda: False) -> None:
        """Scores those of `trials` that have no result yet; commits what is there every few seconds.

        `is_over` is asked at every commit: from then on, what is not scored yet stays so. A trial that fails is noted
        as failed; GiveUpError where all of them do, or the dense model.
        """
        waiting = self.waiting(trials)
        order = visiting_order(self._steps, [trial.candidate for trial in waiting])
        waiting = [waiting[index] for index in order]
        jobs = [trial.candidate for trial in waiting]
        pending: list[Result] = []
        failures: dict[int, str] = {}
        committed = time.monotonic()
        # Closed at once when we leave: what workers are still at is of no use then.
        with closing(self._context.pool.run(self._task, jobs, self._context.worker_lost)) as outcomes:
            for outcome in outcomes:
                self._take(waiting[outcome.index], outcome, pending, failures)
                if time.monotonic() - committed >= COMMIT_SECONDS:
                    self._commit(pending)
                    pending, committed = [], time.monotonic()
                    if is_over():
                        break
        self._commit(pending)
        if self._are_all_at_fault(trials, failures):
            # Nothing is noted of them: once the cause is mended, a resumed study evaluates them again.
            number, error = next(iter(failures.items()))
            raise GiveUpError(f"all {len(failures)} candidates of a batch failed, such as {number}: {error}")
        for number, error in failures.items():
            self.failed.add(number)
            self._context.store.fail_trial(self._context.name, number, error)

    def waiting(self, trials: Sequence[Trial]) -> list[Trial]:
        """Those that have neither a score nor a reason why there is none."""
        return [item for item in trials if item.number not in self.results and item.number not in self.failed]

    def _are_all_at_fault(self, trials: Sequence[Trial], failures: Mapping[int, str]) -> bool:
        """Whether what has failed is not these candidates, but what all of them need. That the dense model has a score
        does not tell."""
        others = sum(1 for trial in trials if trial.baseline != DENSE)
        if not others or len(failures) < others:
            return False
        numbers = {trial.number for trial in self._context.store.trials(self._context.name) if trial.is_searched}
        nothing_yet = numbers.isdisjoint(self.results)
        return others >= FEWEST_AT_FAULT or (others > 1 and nothing_yet)

    def _take(
        self, trial: Trial, outcome: Outcome[QuickScore], pending: list[Result], failures: dict[int, str]
    ) -> None:
        """Adds a score to those that wait for a commit, or why there is none to the failures of its batch."""
        context = self._context
        if outcome.result is not None:
            pending.append(self._result(trial, outcome.result, outcome.seconds))
            return
        error = outcome.error or "no result"
        if trial.baseline == DENSE:
            raise GiveUpError(f"the dense model cannot be scored: {error}")
        failures[trial.number] = error
        context.progress.event(f"{trial.baseline or f'candidate {trial.number}'} failed: {error}")

    def _commit(self, results: Sequence[Result]) -> None:
        if results:
            self.results.update({item.number: item for item in results})
            self._store_results(sorted(results, key=lambda item: item.number))

    def _result(self, trial: Trial, score: QuickScore, seconds: float) -> Result:
        count = len(score.soft)
        context = self._context
        soft, hits = (100 * float(item.mean(dtype=np.float64)) for item in (score.soft, score.metric))
        return Result(
            number=trial.number,
            rung=self._rung,
            measurements=(
                Measurement(QUICK_OBJECTIVE, soft, "%", Direction.MAXIMIZE, count),
                Measurement("accuracy", hits, "%", Direction.MAXIMIZE, count),
                Measurement("size", context.space.size_bytes(trial.candidate.levels), "bytes", Direction.MINIMIZE),
                Measurement("macs", context.space.macs(trial.candidate.levels), "macs", Direction.MINIMIZE),
                *context.predicted(trial),
            ),
            per_image=pack_scores(score.metric),
            seconds=seconds,
        )
