"""Stages "tuned" and "final": finalists are trained briefly, the half of them that is nearer to the target to the end.

A trained version is a candidate of its own, of the same levels, with a file and figures of its own: where training has
made it worse, the untrained one is still there, and beats it on the front. Plain jobs of one epoch each train them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from learners.finetune.checkpoint import CHECKPOINT_FILE, Checkpoint, EpochReport
from learners.finetune.options import TrainingOptions
from learners.finetune.task import Diverged, EpochJob, FinetuneTask
from learners.finetune.trainer import Span
from searcher.baselines import AT_TARGET, uniform_within
from searcher.finalists import choose_finalists, survivors
from searcher.judged import judged_front
from searcher.stages.context import StudyContext, study_budgets
from searcher.stages.evaluation import Evaluation, Refused
from searcher.stages.file_results import evaluation_task, file_result, file_results
from searcher.stages.prepare import DenseRun, learner_options
from storage.errors import GiveUpError
from storage.files import content_hash
from storage.records.candidate import Candidate, Proposal, Trial
from storage.records.finetune_config import FinetuneConfig
from storage.records.measurement import Result, Rung
from storage.records.study import EPOCH, FrontRow

ORIGIN = "finetune"
AUTO, NONE, CROP_AND_FLIP = "auto", "none", "crop+flip"
RGB = 3  # channels
MINUTE = 60.0


@dataclass(frozen=True)
class Finalist:
    """A trained version under way."""

    trial: Trial  # its own
    origin: Candidate  # what the search has found: the levels, and the library's weights
    start: Trial | None  # the shorter training that it goes on from


def finetune(context: StudyContext, dense: DenseRun) -> None:
    """Trains the finalists where the study asks for it, and records their files' figures with the new front."""
    settings = context.config.finetune
    if settings is not None:
        Finetuning(context, dense, settings).run()


class Finetuning:
    """One attempt at both stages; what is recorded already stays, and a training goes on from its last epoch."""

    def __init__(self, context: StudyContext, dense: DenseRun, settings: FinetuneConfig) -> None:
        self._context = context
        self._dense = dense
        self._settings = settings
        self._task = _finetune_task(context, settings)
        self._evaluation = evaluation_task(context, dense, context.workload.confirmation)
        self._trials = {trial.number: trial for trial in context.store.trials(context.name)}
        self._results = file_results(context.store, context.name)
        told = [json.loads(event.data) for event in context.store.events(context.name) if event.kind == EPOCH]
        self._epochs = {(item["candidate"], item["epoch"]) for item in told}

    def run(self) -> None:
        """All finalists briefly, then the survivors; the baseline, where it is asked for, in any case."""
        settings = self._settings
        brief = self._finalists([*self._chosen(), *self._baseline()], settings.epochs)
        self._train(Rung.TUNED, brief, Span(0, settings.epochs))
        if settings.final_epochs > settings.epochs:
            tuned = [item.trial for item in brief if item.trial.number in self._results]
            searched = [self._results[trial.number] for trial in tuned if trial.baseline is None]
            chosen = survivors(searched, self._context.config.target, self._context.predicted_dense)
            chosen += [trial.number for trial in tuned if trial.baseline is not None]
            longer = self._finalists(chosen, settings.final_epochs)
            self._run_epochs(Rung.TUNED, self._lost(brief, longer), Span(0, settings.epochs))
            self._train(Rung.FINAL, longer, Span(settings.epochs, settings.final_epochs))
            brief = [*brief, *longer]
        for item in brief:  # once no training goes on from them
            self._checkpoint(item.trial).unlink(missing_ok=True)

    def _chosen(self) -> list[int]:
        """Numbers of the candidates to be trained."""
        context = self._context
        searched = [
            item
            for item in self._results.values()
            if item.rung is Rung.CONFIRMED and self._trials[item.number].is_searched
        ]
        rows = judged_front(searched, context.config.target, context.predicted_dense, context.wants_macs)
        return choose_finalists(
            searched,
            [row.number for row in rows],
            self._settings.finalists,
            study_budgets(context),
            context.config.target,
            context.predicted_dense,
        )

    def _baseline(self) -> list[int]:
        """The number of the uniform plan at the target's costs, where it is to be trained, too; it may have the name of
        another baseline."""
        context = self._context
        levels = uniform_within(context.space, study_budgets(context), context.latency)
        if not self._settings.baseline or levels is None:
            return []
        plan = Candidate(levels, context.library.id)
        return [number for number, trial in self._trials.items() if trial.candidate == plan and number in self._results]

    def _finalists(self, parents: Sequence[int], epochs: int) -> list[Finalist]:
        """Their trained versions, stored before anything is trained; those that are stored already are found again."""
        context = self._context
        known = {trial.candidate: trial for trial in self._trials.values() if trial.parent is not None}
        wanted = [self._proposal(self._trials[number], epochs) for number in parents]
        new = [item for item in wanted if item.candidate not in known]
        if new:
            added = context.store.add_trials(context.name, len(self._trials) + 1, new)
            self._trials.update({trial.number: trial for trial in added})
            known.update({trial.candidate: trial for trial in added})
        return [self._finalist(known[item.candidate]) for item in wanted]

    def _proposal(self, parent: Trial, epochs: int) -> Proposal:
        name = None if parent.baseline is None else f"{AT_TARGET}, trained {epochs}"
        recipe = self._settings.model_dump_json(exclude={"finalists", "baseline"})
        weights = f"{ORIGIN}:{content_hash(parent.candidate.key, recipe)[:32]}"
        return Proposal(Candidate(parent.candidate.levels, weights), ORIGIN, name, parent.number)

    def _finalist(self, trial: Trial) -> Finalist:
        assert trial.parent is not None
        parent = self._trials[trial.parent]
        origin = parent
        while origin.parent is not None:
            origin = self._trials[origin.parent]
        return Finalist(trial, origin.candidate, parent if parent.parent is not None else None)

    def _lost(self, brief: Sequence[Finalist], longer: Sequence[Finalist]) -> list[Finalist]:
        """Those that a longer training is to begin with and whose checkpoint has gone: the study had ended before it
        got more candidates. They are trained again, for the checkpoint alone."""
        new = [item for item in self._waiting(longer) if not self._checkpoint(item.trial).exists()]
        begin = {item.start.number for item in new if item.start is not None}
        return [item for item in brief if item.trial.number in begin and not self._is_there(item)]

    def _is_there(self, item: Finalist) -> bool:
        """Whether the checkpoint at the end of a brief training is."""
        stored = Checkpoint.read(self._checkpoint(item.trial))
        return stored is not None and len(stored.reports) >= self._settings.epochs

    def _waiting(self, finalists: Sequence[Finalist]) -> list[Finalist]:
        """Those that have neither a result nor a reason why there is none."""
        return [item for item in finalists if item.trial.number not in self._results and item.trial.error is None]

    def _train(self, rung: Rung, finalists: Sequence[Finalist], span: Span) -> None:
        """Trains and evaluates those that wait for it."""
        self._context.checkpoint(rung)
        self._evaluate(rung, self._run_epochs(rung, self._waiting(finalists), span))
        self._context.checkpoint(rung)

    def _run_epochs(self, rung: Rung, finalists: Sequence[Finalist], span: Span) -> list[Finalist]:
        """Trains an epoch of each at a time; those that come to the end of the span."""
        context, left = self._context, list(finalists)
        spent = 0.0
        for epoch in range(span.start, span.stop):
            jobs = [self._job(item, span, epoch) for item in left]
            total, done = len(left) * (span.stop - span.start), len(left) * (epoch - span.start)
            failures: dict[int, str] = {}
            diverged: set[int] = set()
            with closing(context.pool.run(self._task, jobs, context.worker_lost, apart=True)) as outcomes:
                for outcome in outcomes:
                    item, found = left[outcome.index], outcome.result
                    if not isinstance(found, EpochReport):
                        failures[outcome.index] = (
                            found.reason if isinstance(found, Diverged) else outcome.error or "no result"
                        )
                        diverged.update([outcome.index] if isinstance(found, Diverged) else [])
                        continue
                    done, spent = done + 1, spent + found.seconds
                    minutes = spent / done * (total - done) / min(context.pool.workers, len(left)) / MINUTE
                    self._keep(item.trial, found)
                    context.progress.update(rung, done, total, _note(item, found, span, minutes))
                    context.checkpoint(rung)
            for index in sorted(diverged):
                self._fail(left[index].trial, failures[index])
            others = sorted(set(failures) - diverged)
            if others and len(failures) == len(left):
                # Hardly their own fault. Nothing is noted of them: a resumed study trains them again.
                number, reason = left[others[0]].trial.number, failures[others[0]]
                raise GiveUpError(f"no finalist can be trained; candidate {number}: {reason}")
            for index in others:
                self._fail(left[index].trial, failures[index])
            left = [item for index, item in enumerate(left) if index not in failures]
        return left

    def _keep(self, trial: Trial, report: EpochReport) -> None:
        """An event for an epoch that is new: it shows how training went, and that the study gets on."""
        key = trial.number, report.epoch + 1
        if key in self._epochs:
            return
        self._epochs.add(key)
        data = {"candidate": key[0], "epoch": key[1], "loss": report.loss, "accuracy": report.accuracy}
        text = f"candidate {key[0]}, epoch {key[1]}: loss {report.loss:.4f}"
        self._context.store.add_event(self._context.name, EPOCH, text, json.dumps(data))

    def _job(self, item: Finalist, span: Span, epoch: int) -> EpochJob:
        start = None if item.start is None else str(item.start.number)
        return EpochJob(str(item.trial.number), item.origin, start, span, epoch)

    def _evaluate(self, rung: Rung, finalists: Sequence[Finalist]) -> None:
        """Scores the files that training has left."""
        context = self._context
        trials = [item.trial for item in finalists]
        with closing(context.pool.run(self._evaluation, trials, context.worker_lost, apart=True)) as outcomes:
            for outcome in outcomes:
                trial, found = trials[outcome.index], outcome.result
                if not isinstance(found, Evaluation):
                    reason = found.reason if isinstance(found, Refused) else outcome.error or "no result"
                    self._fail(trial, reason)
                    continue
                result = file_result(context, self._dense, trial, found, outcome.seconds, rung)
                self._results[trial.number] = result
                context.store.record(context.name, result, self._front(), context.clock.seconds)
                context.progress.event(self._news(trial, result))
                if rung is Rung.FINAL:
                    self._checkpoint(trial).unlink(missing_ok=True)

    def _front(self) -> tuple[FrontRow, ...]:
        context = self._context
        return judged_front(
            list(self._results.values()), context.config.target, context.predicted_dense, context.wants_macs
        )

    def _news(self, trial: Trial, result: Result) -> str:
        assert trial.parent is not None
        before = self._results[trial.parent]
        return (
            f"candidate {trial.number}, trained from {trial.parent}: drop {before.value('drop'):+.2f} -> "
            f"{result.value('drop'):+.2f} points"
        )

    def _fail(self, trial: Trial, reason: str) -> None:
        context = self._context
        if trial.number in self._results:  # it was trained again
            return
        context.store.fail_trial(context.name, trial.number, reason)
        kept = f"candidate {trial.parent} stays as it is"
        context.progress.event(f"candidate {trial.number}, trained from {trial.parent}, failed: {reason}; {kept}")

    def _checkpoint(self, trial: Trial) -> Path:
        files = self._context.files
        return files.artifacts.folder(files.study, str(trial.number)) / CHECKPOINT_FILE


def _note(item: Finalist, report: EpochReport, span: Span, minutes: float) -> str:
    accuracy = "" if report.accuracy is None else f", {report.accuracy:.1f} % of its images right"
    epoch = f"epoch {report.epoch + 1} of {span.stop}"
    left = f"; about {minutes:.0f} min left" if minutes >= 1 else ""
    return f"candidate {item.trial.number}, {epoch}: loss {report.loss:.4f}{accuracy}{left}"


def _finetune_task(context: StudyContext, settings: FinetuneConfig) -> FinetuneTask:
    search, files = context.config.search, context.files
    return FinetuneTask(
        path=context.library.path,
        library=context.library.id,
        learners=search.learners,
        learner_options=learner_options(context.config),
        training=context.workload.training,
        calibration=files.calibration,
        options=TrainingOptions(
            rate=settings.lr,
            batch=settings.batch,
            distill=settings.distill,
            features=settings.features,
            augment=_augmentation(context, settings),
            images=settings.images,
            seed=context.config.seed,
        ),
        artifacts=files.artifacts,
        study=files.study,
        contract=files.contract,
    )


def _augmentation(context: StudyContext, settings: FinetuneConfig) -> str:
    if settings.augment != AUTO:
        return settings.augment
    data = context.config.data
    return CROP_AND_FLIP if data.kind == "images" and context.config.model.channels == RGB else NONE
