"""Stage "quick": the sampler proposes, rung 1 scores, every batch is committed before it is scored."""

from __future__ import annotations

import json
from collections.abc import Sequence

from objectives.hypervolume import normalised_so_far
from searcher.baselines import ORT_INT8, baseline_proposals
from searcher.front import LEAST_COST, QUICK_OBJECTIVE, quick_front, rows
from searcher.judged import target_axes
from searcher.samplers.base import Sampler, SamplerContext, Scored, batch_size
from searcher.samplers.table import sampler
from searcher.stages.context import StudyContext, study_budgets
from searcher.stages.scoring import Scoring
from storage.errors import StoreConflictError
from storage.records.candidate import Proposal, Trial
from storage.records.measurement import Result, Rung
from storage.records.study import EXTENDED, SEARCH_ENDED, Event

STAGE = "quick"
LEAST_GROWTH = 0.001  # of the hypervolume: a hundredth of a point over the whole range of sizes, speeds or MACs
DEFAULT_DROP = 1.0  # points, in what the progress line calls the best so far


def search(context: StudyContext) -> None:
    """Runs until as many candidates are scored as the study asks for, or its minutes are over."""
    context.checkpoint(STAGE)
    Search(context).run()
    context.checkpoint(STAGE)


def has_ended(events: Sequence[Event], confirmed: bool) -> bool:
    """Whether the search is over: what is confirmed must not depend on how often a study was resumed.

    Versions that did not note it are told by whether anything is `confirmed`.
    """
    marks = [event.kind for event in events if event.kind in (SEARCH_ENDED, EXTENDED)]
    return marks[-1] == SEARCH_ENDED if marks else confirmed


class Search:
    """One attempt at the stage; reads the store once and then keeps what it has written there."""

    def __init__(self, context: StudyContext) -> None:
        self._context = context
        self._scoring = Scoring(context, Rung.QUICK, context.workload.quick, self._commit)
        self._results, self._failed = self._scoring.results, self._scoring.failed
        self._confirmed = bool(context.store.results(context.name, Rung.CONFIRMED))
        events = context.store.events(context.name)
        self._over = has_ended(events, self._confirmed)
        extensions = [json.loads(event.data) for event in events if event.kind == EXTENDED]
        self._ends = [int(item["candidates"]) for item in extensions]
        self._last_end = max((int(item["candidates"]) for item in extensions if item["ended"]), default=0)
        self._front = quick_front(list(self._results.values()), context.wants_macs)
        proposals = baseline_proposals(context.library, study_budgets(context), context.latency)
        self._baselines = context.store.add_trials(context.name, 1, proposals)
        # Of the candidates asked for so far, in their order. Trained versions lie between those of a study that has got
        # more of them.
        self._numbers: list[int] = []
        self._next = len(context.store.trials(context.name)) + 1
        self._cut = False  # whether candidates stay without a score because the search is over
        self._note = ""

    def run(self) -> None:
        """Scores the baselines, then asks and tells until the study has had its share."""
        context = self._context
        self._score([trial for trial in self._baselines if trial.baseline != ORT_INT8])
        proposer = sampler(context.config.search.sampler, self._sampler_context())
        for note in proposer.notes:
            context.note(note)
        done = self._replay(proposer)
        while not done or not self._finished(done):
            asked = proposer.ask(self._batch_size(done, proposer.batch))
            if not asked:
                context.note(f"the sampler has nothing left to propose after {done} candidates")
                break
            name = context.config.search.sampler
            proposals = [Proposal(candidate, proposer.origins.get(candidate, name)) for candidate in asked]
            batch = context.store.add_trials(context.name, self._next, proposals)
            self._next += len(batch)
            self._numbers += [trial.number for trial in batch]
            done += len(batch)
            self._score(batch)
            proposer.tell(self._scored(batch))
        if not self._over:
            context.store.add_event(context.name, SEARCH_ENDED, f"{done} candidates", json.dumps({"candidates": done}))

    def _replay(self, proposer: Sampler) -> int:
        """Asks again for what an earlier attempt has stored, so that the sampler stands where it stood; how many."""
        context = self._context
        trials = [trial for trial in context.store.trials(context.name) if trial.is_searched]
        done = 0
        while done < len(trials):
            size = self._batch_size(done, proposer.batch)
            batch = trials[done : done + size]
            if [trial.candidate for trial in batch] != list(proposer.ask(size))[: len(batch)]:
                raise StoreConflictError(
                    f"study {context.name} was begun by a Slimfront that proposes other candidates: "
                    "go on with that version, or start a new study"
                )
            done += len(batch)
            self._numbers += [trial.number for trial in batch]
            self._score(batch)
            proposer.tell(self._scored(batch))
        return done

    def _batch_size(self, done: int, batch: int) -> int:
        """Of the batch after `done` candidates: none reaches over an end that the search has had."""
        most = self._context.config.search.candidates
        ends = [end for end in (*self._ends, most) if end is not None and end > done]
        return min([batch_size(done, batch), *(end - done for end in ends)])

    def _finished(self, done: int) -> bool:
        search_config = self._context.config.search
        if search_config.candidates is not None and done >= search_config.candidates:
            return True
        if not self._cut and self._is_stagnant(done):
            return True
        if self._cut or self._out_of_time():
            self._note_minutes(done)
            return True
        return self._over

    def _is_stagnant(self, done: int) -> bool:
        """Whether the last `patience` candidates have not let the hypervolume of the quick front grow, along any of the
        costs that the target limits."""
        context = self._context
        patience = context.config.search.patience
        if patience is None or done - self._last_end <= patience:
            return False
        growth = max(self._growth(axis, done - patience) for axis in target_axes(study_budgets(context)))
        if growth >= LEAST_GROWTH:
            return False
        context.note(f"the last {patience} of {done} candidates let the hypervolume grow by {growth:.4f}")
        return True

    def _growth(self, axis: str, done: int) -> float:
        """By how much the hypervolume of accuracy against one cost has grown since `done` candidates were scored."""
        dense = self._context.predicted_dense
        of_dense = {"size": dense.size_bytes, "macs": dense.macs}.get(axis, dense.latency_ms)
        assert of_dense is not None  # budgets of latency come with a table
        results = sorted(self._results.values(), key=lambda item: item.number)
        results = [item for item in results if item.get(axis) is not None]
        ratios = [of_dense / max(item.value(axis), LEAST_COST) for item in results]
        volumes = normalised_so_far(
            [item.value("accuracy") for item in results], self._results[1].value("accuracy"), ratios
        )
        last = self._numbers[done - 1]
        before = [index for index, item in enumerate(results) if item.number <= last]
        return float(volumes[-1] - volumes[before[-1]])

    def _out_of_time(self) -> bool:
        minutes = self._context.config.search.minutes
        return minutes is not None and self._context.clock.seconds >= 60 * minutes

    def _is_over(self) -> bool:
        """Whether no candidate is scored any more, also of those that are stored: what is confirmed, and so the result
        of the study, must not depend on how often it was resumed. Out of time, a search still gets its first score."""
        first = len(self._baselines) + 1
        begun = any(number >= first for number in (*self._results, *self._failed))
        return self._over or (begun and self._out_of_time())

    def _note_minutes(self, done: int) -> None:
        """Says that the minutes have ended the search, unless it had ended before: then it has been said."""
        context = self._context
        if self._over:
            return
        context.checkpoint(STAGE)  # before the note: a study that is killed here has no time left, either
        context.note(
            f"[search] minutes = {context.config.search.minutes:g} ended the search: "
            f"{self._searched} of {done} candidates are scored"
        )

    @property
    def _searched(self) -> int:
        """How many candidates have a score, the baselines left out."""
        return sum(1 for number in self._results if number > len(self._baselines))

    def _sampler_context(self) -> SamplerContext:
        context = self._context
        return SamplerContext(
            space=context.space,
            library=context.library.id,
            seed=context.config.seed if context.config.search.seed is None else context.config.search.seed,
            budgets=study_budgets(context),
            latency=context.latency,
            known=frozenset(trial.candidate for trial in self._baselines),
        )

    def _score(self, trials: Sequence[Trial]) -> None:
        """Scores those of `trials` that have no result yet. Once the search is over, candidates stay as they are."""
        scoring = self._scoring
        if trials[0].baseline is not None:
            scoring.score(trials)
        elif not self._is_over():
            scoring.score(trials, self._out_of_time)
        self._cut = self._cut or bool(scoring.waiting(trials))

    def _commit(self, results: Sequence[Result]) -> None:
        """Stores results with the new front; a front of confirmed files stays."""
        context = self._context
        # What is not on the front never comes back to it: the front of it and of what is new is that of all.
        self._front = front = quick_front([*self._front, *results], context.wants_macs)
        stored = None if self._confirmed else rows(front, (), context.wants_macs)
        context.store.record_batch(context.name, results, stored, context.clock.seconds)
        self._note = self._best(front) or self._note
        context.progress.update(STAGE, self._searched, context.config.search.candidates or 0, self._note)

    def _scored(self, batch: Sequence[Trial]) -> list[Scored]:
        return [
            Scored(
                trial.candidate,
                self._results[trial.number].value(QUICK_OBJECTIVE) if trial.number in self._results else None,
                self._context.space.size_bytes(trial.candidate.levels),
                self._context.space.macs(trial.candidate.levels),
                self._context.predicted_ms(trial.candidate.levels),
            )
            for trial in batch
        ]

    def _best(self, front: Sequence[Result]) -> str:
        """The smallest plan that the quick images find within the allowed drop."""
        dense = self._results.get(1)
        target = self._context.config.target
        allowed = target.max_drop if target.max_drop is not None else DEFAULT_DROP
        if dense is None:
            return ""
        good = [item for item in front if dense.value("accuracy") - item.value("accuracy") <= allowed]
        if not good:
            return ""
        best = min(good, key=lambda item: item.value("size"))
        ratio = self._context.dense.size_bytes / best.value("size")
        return f"{ratio:.1f}x smaller at {best.value('accuracy') - dense.value('accuracy') + 0.0:+.1f} points"
