"""Optuna's samplers, in memory: levels are integers, costs are known before a plan is scored."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from math import log2
from types import MappingProxyType

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, IntDistribution
from optuna.samplers import BaseSampler
from optuna.study import StudyDirection
from optuna.trial import Trial, TrialState, create_trial

from searcher.allocation.problem import QUANTITIES, Problem
from searcher.samplers.archive import Archive
from searcher.samplers.base import LEARNING_BATCH, SamplerContext, Scored, slowness
from searcher.samplers.unseen import Unseen
from storage.records.candidate import Candidate

Levels = tuple[int, ...]

LARGEST_SEED = 2**32  # of numpy's old generator, which Optuna uses
LEAST_COST = 1e-12  # of a plan: there are logarithms to be taken


class OptunaProposer:
    """A sampler of Optuna over score, size and speed, with the targets' budgets as constraints.

    Speed is that of `slowness`; where it does not vary, or with `speed` false, there are two objectives. Of a history
    longer than `most_trials`, the front and the latest are kept.
    """

    notes: tuple[str, ...] = ()
    batch = LEARNING_BATCH
    origins: Mapping[Candidate, str] = MappingProxyType({})

    def __init__(
        self,
        context: SamplerContext,
        sampler: Callable[[int], BaseSampler],
        most_trials: int | None = None,
        speed: bool = True,
    ) -> None:
        logging.getLogger("optuna").setLevel(logging.WARNING)  # it tells of every trial on stderr
        self._context = context
        self._problem = Problem.build(context.space, context.latency)
        self._unseen = Unseen(context, self._problem)
        self._sampler = sampler(context.seed % LARGEST_SEED)
        self._most_trials = most_trials
        self._distributions: dict[str, BaseDistribution] = {
            str(site): IntDistribution(0, count - 1) for site, count in enumerate(self._problem.counts) if count > 1
        }
        low, high = self._problem.extremes()
        self._has_speed = speed and any(high[row] > low[row] for row in map(QUANTITIES.index, ("latency", "macs")))
        self._told: list[Scored] = []
        self._pending: dict[Levels, int] = {}
        self._study = self._new_study()

    def ask(self, count: int) -> Sequence[Candidate]:
        """See `Sampler.ask`."""
        return self._unseen.candidates(count, self._draw)

    def tell(self, scored: Sequence[Scored]) -> None:
        """Takes the scores, whoever has proposed the plans."""
        for item in scored:
            self._unseen.take(item.candidate.levels)
            number = self._pending.pop(item.candidate.levels, None)
            if item.score is not None:
                self._told.append(item)
            if number is None:
                self._add(item)
            elif item.score is None:
                self._study.tell(number, state=TrialState.FAIL)
            else:
                self._study.tell(number, self._values(item, item.score))
        if self._most_trials is not None and len(self._told) > self._most_trials:
            self._shorten(self._most_trials // 2)

    def _draw(self, _: np.random.Generator) -> Levels:
        trial, levels = self._trial()
        if self._unseen.is_new(levels):
            self._pending[levels] = trial.number
        else:
            self._study.tell(trial, state=TrialState.FAIL)
        return levels

    def _trial(self) -> tuple[Trial, Levels]:
        """The next trial of the study, with its constraints, which are known before it is scored."""
        trial = self._study.ask()
        levels = tuple(
            trial.suggest_int(str(site), 0, count - 1) if count > 1 else 0
            for site, count in enumerate(self._problem.counts)
        )
        for name, value in self._constraints(levels).items():
            trial.set_constraint(name, value)
        return trial, levels

    def _shorten(self, latest: int) -> None:
        archive = Archive(self._context.budgets)
        archive.add(self._told)
        kept = {item.candidate.levels for item in (*archive.front, *self._told[-latest:])}
        self._told = [item for item in self._told if item.candidate.levels in kept]
        self._study = self._new_study()
        self._pending.clear()
        for item in self._told:
            self._add(item)

    def _new_study(self) -> optuna.Study:
        costs = [StudyDirection.MINIMIZE] * (2 if self._has_speed else 1)
        return optuna.create_study(directions=[StudyDirection.MAXIMIZE, *costs], sampler=self._sampler)

    def _add(self, item: Scored) -> None:
        """A plan that the study has not asked for."""
        if item.score is None:
            return
        levels = item.candidate.levels
        self._study.add_trial(
            create_trial(
                values=self._values(item, item.score),
                params=self._parameters(levels),
                distributions=self._distributions,
                constraints=self._constraints(levels),
            )
        )

    def _parameters(self, levels: Levels) -> dict[str, int]:
        """Levels by the names of the distributions."""
        return {name: levels[int(name)] for name in self._distributions}

    def _values(self, item: Scored, score: float) -> list[float]:
        costs = [float(item.size_bytes)]
        if self._has_speed:
            costs.append(slowness(item, self._context.budgets))
        return [float(score), *(log2(max(cost, LEAST_COST)) for cost in costs)]

    def _constraints(self, levels: Levels) -> dict[str, float]:
        """Doublings above each budget; at most 0 within it."""
        space, latency = self._context.space, self._context.latency
        found: dict[str, float] = {}
        for budget in self._context.budgets:
            if budget.objective == "latency":
                assert latency is not None  # the context has checked it
                cost = latency.milliseconds(space, levels)
            else:
                cost = float(space.size_bytes(levels) if budget.objective == "size" else space.macs(levels))
            found[budget.objective] = log2(max(cost, LEAST_COST) / max(budget.limit, LEAST_COST))
        return found
