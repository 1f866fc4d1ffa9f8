"""Two studies of one home, file by file: is the one nowhere worse than the other, beyond noise?"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import prod, sqrt
from pathlib import Path

import numpy as np
import numpy.typing as npt

import slimfront
from objectives.hypervolume import ACCURACY_SPAN_POINTS
from objectives.latency import disturbed, measure
from objectives.paired import CONFIDENCE, paired_drop, unpack_scores
from searcher.contenders import deciding_scores
from searcher.front import QUICK_OBJECTIVE, SPEED_STEP
from searcher.stages.files import SLIM_FILE
from storage.artifacts import ArtifactStore
from storage.home import Home
from storage.open import open_store
from storage.records.config import StudyConfig
from storage.records.measurement import Result, Rung

SPEED = "measured speed"  # a cost, as the reciprocal of the speed-up
SPEED_TOLERANCE = 2.0**SPEED_STEP  # what a file may be slower at least and still count as equally fast
TIMED_SECONDS = 90.0  # at most, for all files of both fronts, in turn, each as two models
TWINS = ("first", "second")
TWINS_PERCENTILE = 95.0  # of the ratios between the two of a file: what speeds differ by chance in this session

File = tuple[str, int]  # study, trial
Scores = npt.NDArray[np.float32]  # [images], of one file
Cost = Callable[[File, Result], float]


@dataclass(frozen=True)
class Comparison:
    """Searched files of one study beside what another one would hand out for the same cost, on the same images."""

    ours: str
    other: str
    cost: str
    files: int  # searched ones of the other study, within ten points of the dense model
    unanswered: int  # for which we have none that costs as little
    worse: int  # where ours is worse beyond the one-sided 95 % bound of the paired difference
    worse_of_all: int  # where it is beyond the bound that equal fronts pass nowhere, with 95 % confidence (Bonferroni)
    largest_gap: float  # points by which ours is worse at most; below 0 where it is better everywhere
    largest_gap_lower: float  # the largest 95 % lower bound of a gap
    tolerance: float  # how many times as much ours may cost and still count as no dearer


def compare(home: Path, ours: str, other: str, cost: str) -> Comparison:
    """Compares the files of study `other` with those of `ours` by a cost: "size", "macs" or `SPEED`.

    Ours is, of those that cost no more, the best by the scores of the search, and judged on the confirmation images,
    on which neither file was chosen. By speed the files of both fronts are compared, all timed here in one session,
    each loaded twice: by what the two of one file differ, speeds cannot be told apart.
    """
    place = Home(home)
    store = open_store(place.database_url)
    searched = {
        study: {trial.number for trial in store.trials(study) if trial.baseline is None} for study in (ours, other)
    }
    if cost == SPEED:
        for study, numbers in searched.items():
            numbers &= {row.number for row in store.front(study)}
    found = {
        study: [item for item in store.results(study, Rung.CONFIRMED) if item.number in numbers]
        for study, numbers in searched.items()
    }
    scores = deciding_scores(store, ours)
    shape = StudyConfig.from_json(store.study(ours).config_json).model.input
    store.close()
    of, tolerance = _speeds(place, found, shape) if cost == SPEED else (_stored(cost), 1.0)
    good = [item for item in found[other] if item.value("drop") <= ACCURACY_SPAN_POINTS]
    pairs = []
    for item in good:
        limit = tolerance * of((other, item.number), item)
        within = [own for own in found[ours] if of((ours, own.number), own) <= limit]
        if within:
            pairs.append((_scores(item), _scores(answer(within, scores))))
    return judged(ours, other, cost, pairs, len(good), tolerance)


def answer(within: Sequence[Result], scores: Mapping[int, Result]) -> Result:
    """The file that the search would take of several: the best by its own scores, the first of equally good ones.

    Files are judged on the confirmation images, so they are not chosen there: what was chosen on the images that judge
    it looks better than it is, and what was chosen on nine tenths and judged on the last one passed the bound of its
    95 % in 11 to 13 of 100 simulated comparisons of equal files.
    """
    return max(within, key=lambda item: scores[item.number].value(QUICK_OBJECTIVE))


def judged(
    ours: str, other: str, cost: str, pairs: Sequence[tuple[Scores, Scores]], files: int, tolerance: float
) -> Comparison:
    """The comparison of `files` files of study `other`; `pairs` are those that have an answer, and that."""
    gaps = [paired_drop(item, own) for item, own in pairs]
    strict = [paired_drop(item, own, 1.0 - (1.0 - CONFIDENCE) / files) for item, own in pairs]
    return Comparison(
        ours=ours,
        other=other,
        cost=cost,
        files=files,
        unanswered=files - len(pairs),
        worse=sum(gap.lower_points > 0 for gap in gaps),
        worse_of_all=sum(gap.lower_points > 0 for gap in strict),
        largest_gap=max((gap.drop_points for gap in gaps), default=0.0),
        largest_gap_lower=max((gap.lower_points for gap in gaps), default=0.0),
        tolerance=tolerance,
    )


def _stored(cost: str) -> Cost:
    """A cost as the study has measured it."""

    def of(_: File, item: Result) -> float:
        return item.value(cost)

    return of


def _speeds(home: Home, found: dict[str, list[Result]], shape: Sequence[int]) -> tuple[Cost, float]:
    """The files of both studies timed in turn with one of them, which stands for the same in both; and the ratio of
    speeds that this session cannot tell from 1."""
    artifacts = ArtifactStore(home.artifacts)
    files = [(study, item.number) for study, items in found.items() for item in items]
    models = {
        f"{study}/{number}/{twin}": slimfront.load(artifacts.folder(study, str(number)) / SLIM_FILE)
        for twin in TWINS
        for study, number in files
    }
    sample = np.random.default_rng(0).standard_normal((1, *shape), np.float32)
    figures = measure(next(iter(models.values())), models, sample, seconds=TIMED_SECONDS)
    if (text := disturbed(figures)) is not None:
        raise SystemExit(f"{text}: run the benchmark again, it goes on with this comparison")
    speeds = {
        (study, number): [figures[f"{study}/{number}/{twin}"].speedup for twin in TWINS] for study, number in files
    }
    ratios = [max(pair) / min(pair) for pair in speeds.values()]
    noise = float(np.percentile(ratios, TWINS_PERCENTILE))
    return lambda file, _: 1.0 / sqrt(prod(speeds[file])), max(SPEED_TOLERANCE, noise)


def _scores(item: Result) -> Scores:
    assert item.per_image is not None
    found: Scores = unpack_scores(item.per_image)
    return found
