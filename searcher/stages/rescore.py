"""Stage "rescored": the best by quick score are scored once more, on other and more images.

The best of hundreds on 256 images is in part the luckiest, and neighbours of one size differ there by a point or two
by chance. A second look at those that may be the best costs far less than to confirm them all, which takes a file of
each and a run of it on all the images that are left.
"""

from __future__ import annotations

from collections.abc import Sequence

from searcher.baselines import DENSE
from searcher.contenders import contenders
from searcher.front import quick_front, useful
from searcher.judged import nearest
from searcher.stages.context import StudyContext
from searcher.stages.scoring import Scoring
from storage.records.measurement import Result, Rung

STAGE = "rescored"


def rescore(context: StudyContext) -> None:
    """Scores the contenders and the dense model again, unless there are too few images for it.

    A study that is confirmed in part goes on by the scores that it began with.
    """
    images = context.workload.rescoring
    if images is None or context.store.results(context.name, Rung.CONFIRMED):
        return
    context.checkpoint(STAGE)
    trials = {trial.number: trial for trial in context.store.trials(context.name)}
    quick = context.store.results(context.name, Rung.QUICK)
    dense = next(item for item in quick if trials[item.number].baseline == DENSE)
    searched = [item for item in quick if trials[item.number].baseline is None]
    target, accuracy = context.config.target, dense.value("accuracy")
    candidates = useful(searched, accuracy, target.max_drop)
    near = nearest(quick_front(candidates, context.wants_macs), accuracy, target, context.predicted_dense)
    chosen = contenders(candidates, [item.number for item in near], context.wants_macs)
    wanted = [trials[dense.number], *(trials[item.number] for item in chosen)]

    def commit(results: Sequence[Result]) -> None:
        context.store.record_batch(context.name, results, None, context.clock.seconds)
        context.progress.update(STAGE, len(scoring.results), len(wanted))

    scoring = Scoring(context, Rung.RESCORED, images, commit)
    context.progress.update(STAGE, len(scoring.results), len(wanted))
    scoring.score(wanted)
    context.checkpoint(STAGE)
