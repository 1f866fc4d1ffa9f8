"""Stage "rescored": the best by quick score are scored once more, on other and more images.

The best of hundreds on 256 images is in part the luckiest, and neighbours of one size differ there by a point or two
by chance. A second look at those that may be the best costs far less than to confirm them all, which takes a file of
each and a run of it on all the images that are left.
"""

from __future__ import annotations

from collections.abc import Sequence

from searcher.allocation.budget import Budget
from searcher.baselines import DENSE
from searcher.contenders import contenders
from searcher.front import QUICK_OBJECTIVE, quick_front, useful
from searcher.judged import nearest, target_axes, within_limits
from searcher.stages.context import StudyContext, study_budgets
from searcher.stages.scoring import Scoring
from storage.records.dense import DenseFacts
from storage.records.measurement import Result, Rung
from storage.records.study import EXTENDED
from storage.records.target import Target

STAGE = "rescored"
MOST_USELESS = 8  # as many as are confirmed where the target's boundary lies


def rescore(context: StudyContext) -> None:
    """Scores the contenders and the dense model again, unless there are too few images for it.

    A study that is confirmed in part goes on by the scores that it began with, unless it has got more candidates.
    """
    images = context.workload.rescoring
    extended = any(event.kind == EXTENDED for event in context.store.events(context.name))
    if images is None or (context.store.results(context.name, Rung.CONFIRMED) and not extended):
        return
    context.checkpoint(STAGE)
    trials = {trial.number: trial for trial in context.store.trials(context.name)}
    quick = context.store.results(context.name, Rung.QUICK)
    dense = next(item for item in quick if trials[item.number].baseline == DENSE)
    searched = [item for item in quick if trials[item.number].baseline is None]
    limits = study_budgets(context)
    chosen = chosen_of(searched, dense.value("accuracy"), context.config.target, limits, context.predicted_dense)
    total = 1 + len(chosen)

    def commit(results: Sequence[Result]) -> None:
        context.store.record_batch(context.name, results, None, context.clock.seconds)
        context.progress.update(STAGE, len(scoring.results), total)

    scoring = Scoring(context, Rung.RESCORED, images, commit)
    context.progress.update(STAGE, len(scoring.results), total)
    scoring.score([trials[dense.number], *(trials[item.number] for item in chosen)])
    context.progress.update(STAGE, total, total)
    context.checkpoint(STAGE)


def chosen_of(
    searched: Sequence[Result], accuracy: float, target: Target, limits: Sequence[Budget], dense: DenseFacts
) -> list[Result]:
    """The contenders among the useful results; if none of these keeps the limits, also some of what does.

    Args:
        searched: quick results, without baselines.
        accuracy: the dense model's, on the quick images.
        limits: of the target's costs.
        dense: with its predicted latency, if there is one.
    """
    macs = target.cost("macs") is not None
    candidates = useful(searched, accuracy, target.max_drop)
    near = nearest(quick_front(candidates, macs), accuracy, target, dense)
    axes = target_axes(limits)
    chosen = contenders(candidates, [item.number for item in near], macs, axes)
    cheap = within_limits(searched, limits)
    if {item.number for item in cheap}.isdisjoint(item.number for item in candidates):
        best = sorted(contenders(cheap, macs=macs, along=axes), key=lambda item: -item.value(QUICK_OBJECTIVE))
        chosen += best[:MOST_USELESS]
    return chosen
