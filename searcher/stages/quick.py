"""Stage "quick": the sampler proposes, rung 1 scores, every batch is committed before it is scored."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np

from learners.score import QuickScore, QuickScorer
from objectives.paired import pack_scores
from searcher.baselines import ORT_INT8, baseline_proposals
from searcher.front import QUICK_OBJECTIVE, quick_front, rows
from searcher.samplers.base import SamplerContext, Scored
from searcher.samplers.table import sampler
from searcher.stages.context import StudyContext
from storage.records.candidate import Proposal, Trial
from storage.records.measurement import Direction, Measurement, Result, Rung

STAGE = "quick"
# Candidates of one ask; fixed, because what a sampler proposes depends on it. On ResNet-20, 100 allocations share so
# many first layers that a score costs 0.57 of a whole pass (0.69 in batches of 50, 0.41 in one of 300); a killed
# study repeats one batch at most.
BATCH = 100


def search(context: StudyContext) -> None:
    """Runs until as many candidates are scored as the study asks for, or its minutes are over."""
    context.checkpoint(STAGE)
    store, name = context.store, context.name
    scorer = QuickScorer(context.library, context.workload.quick, context.workload.metric)
    baselines = store.add_trials(name, 1, baseline_proposals(context.library))
    _score(context, scorer, [trial for trial in baselines if trial.baseline != ORT_INT8])
    proposer = sampler(context.config.search.sampler, _sampler_context(context))
    done = 0
    for batch in _stored_batches(context):  # of an earlier attempt: asked again, which must give the same
        asked = proposer.ask(batch_size(context, done))
        assert [trial.candidate for trial in batch] == list(asked)[: len(batch)]
        done += len(batch)
        _score(context, scorer, batch)
        proposer.tell(_scored(context, batch))
    while not finished(context, done):
        asked = proposer.ask(batch_size(context, done))
        if not asked:
            context.progress.event(f"the sampler has nothing left to propose after {done} candidates")
            break
        proposals = [Proposal(candidate, context.config.search.sampler) for candidate in asked]
        batch = list(store.add_trials(name, len(baselines) + done + 1, proposals))
        done += len(batch)
        _score(context, scorer, batch)
        proposer.tell(_scored(context, batch))
    context.checkpoint(STAGE)


def batch_size(context: StudyContext, done: int) -> int:
    """How many candidates the next ask is for."""
    most = context.config.search.candidates
    return BATCH if most is None else min(BATCH, most - done)


def finished(context: StudyContext, done: int) -> bool:
    """Whether the search has had what the study grants it."""
    search_config = context.config.search
    if search_config.candidates is not None:
        return done >= search_config.candidates
    assert search_config.minutes is not None
    return context.clock.seconds >= 60 * search_config.minutes


def _sampler_context(context: StudyContext) -> SamplerContext:
    sizes = [
        int(cost.limit(context.dense.size_bytes)) for cost in context.config.target.costs if cost.objective == "size"
    ]
    return SamplerContext(context.space, context.library.id, context.config.seed, tuple(sizes))


def _stored_batches(context: StudyContext) -> list[list[Trial]]:
    """The searched trials of earlier attempts, cut as they were asked for."""
    trials = [trial for trial in context.store.trials(context.name) if trial.baseline is None]
    batches = []
    start = 0
    while start < len(trials):
        size = batch_size(context, start)
        batches.append(trials[start : start + size])
        start += size
    return batches


def _score(context: StudyContext, scorer: QuickScorer, trials: Sequence[Trial]) -> None:
    """Scores those of `trials` that have no result yet and commits the results with the new front."""
    store, name = context.store, context.name
    earlier = store.results(name, Rung.QUICK)
    known = {item.number for item in earlier}
    waiting = [trial for trial in trials if trial.number not in known]
    if not waiting:
        return
    started = time.process_time()
    total = context.config.search.candidates or 0
    before = sum(1 for item in earlier if item.number > baseline_count(context))

    def report(share: float) -> None:
        if trials[0].baseline is None:
            context.progress.update(STAGE, before + int(share * len(waiting)), total)

    scores = scorer.score([trial.candidate for trial in waiting], report)
    seconds = (time.process_time() - started) / len(waiting)
    results = [_result(context, trial, score, seconds) for trial, score in zip(waiting, scores, strict=True)]
    front = quick_front([*earlier, *results])
    store.record_batch(name, results, rows(front))
    searched = sum(1 for item in (*earlier, *results) if item.number > baseline_count(context))
    context.checkpoint(STAGE)
    context.progress.update(STAGE, searched, total, _best(context, front))


def baseline_count(context: StudyContext) -> int:
    """How many trials come before the first searched one."""
    return len(baseline_proposals(context.library))


def _result(context: StudyContext, trial: Trial, score: QuickScore, seconds: float) -> Result:
    count = len(score.soft)
    return Result(
        number=trial.number,
        rung=Rung.QUICK,
        measurements=(
            Measurement(
                QUICK_OBJECTIVE, 100 * float(score.soft.mean(dtype=np.float64)), "%", Direction.MAXIMIZE, count
            ),
            Measurement("accuracy", 100 * float(score.metric.mean(dtype=np.float64)), "%", Direction.MAXIMIZE, count),
            Measurement("size", context.space.size_bytes(trial.candidate.levels), "bytes", Direction.MINIMIZE),
            Measurement("macs", context.dense.macs, "macs", Direction.MINIMIZE),
        ),
        per_image=pack_scores(score.metric),
        seconds=seconds,
    )


def _scored(context: StudyContext, batch: Sequence[Trial]) -> list[Scored]:
    results = {item.number: item for item in context.store.results(context.name, Rung.QUICK)}
    return [
        Scored(
            trial.candidate,
            results[trial.number].value(QUICK_OBJECTIVE) if trial.number in results else None,
            context.space.size_bytes(trial.candidate.levels),
        )
        for trial in batch
    ]


def _best(context: StudyContext, front: Sequence[Result]) -> str:
    """The smallest plan that the quick images find no worse than the dense model by more than the allowed drop."""
    dense = next((item for item in context.store.results(context.name, Rung.QUICK) if item.number == 1), None)
    allowed = context.config.target.max_drop if context.config.target.max_drop is not None else 1.0
    if dense is None:
        return ""
    good = [item for item in front if dense.value("accuracy") - item.value("accuracy") <= allowed]
    if not good:
        return ""
    best = min(good, key=lambda item: item.value("size"))
    ratio = context.dense.size_bytes / best.value("size")
    return f"{ratio:.1f}x smaller at {best.value('accuracy') - dense.value('accuracy'):+.1f} points"
