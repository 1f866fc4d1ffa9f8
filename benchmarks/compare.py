"""Two studies of one home, cost by cost: is the one nowhere worse than the other, beyond noise?"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

import slimfront
from benchmarks.study import best_by
from objectives.hypervolume import ACCURACY_SPAN_POINTS
from objectives.latency import Model, disturbed, measure
from objectives.paired import CONFIDENCE, paired_drop, unpack_scores
from objectives.runtimes.table import runtime
from searcher.baselines import DENSE
from searcher.contenders import deciding_scores
from searcher.front import QUICK_OBJECTIVE, SPEED_STEP, quick_front
from searcher.stages.files import ONNX_FILE
from storage.artifacts import ArtifactStore
from storage.home import Home
from storage.open import open_store
from storage.records.config import PACKED_RUNTIME, StudyConfig
from storage.records.measurement import Result, Rung
from storage.slim import SLIM_FILE
from storage.store import StudyStore

SPEED = "measured speed"  # a cost, as the reciprocal of the speed-up
BASELINES = "baselines"  # of our own study, beside which it is compared: uniform plans, `ort int8` and plain rounding
SPEED_TOLERANCE = 2.0**SPEED_STEP  # what a file may be slower at least and still count as equally fast
TIMED_SECONDS = 120.0  # at most, for all files of both fronts in turn: on a busy machine few moments are quiet
TWINS = 12  # files that are loaded twice, over the range of both studies
TWINS_PERCENTILE = 95.0  # of the ratios between the two of a file: what speeds differ by chance in this session

File = tuple[str, int]  # study, trial
Scores = npt.NDArray[np.float32]  # [images], of one file
Cost = Callable[[File, Result], float]


@dataclass(frozen=True)
class Comparison:
    """What one study has for each cost of another one's files beside what that one has, on the same images."""

    ours: str
    other: str
    cost: str
    costs: int  # of searched files of the other study, within ten points of the dense model
    unanswered: int  # for which we have none that costs as little
    pairs: int  # different ones of their file and ours: for several costs both may have the same
    worse: int  # pairs where ours is worse beyond the one-sided 95 % bound of the paired difference
    worse_of_all: int  # where it is beyond the bound that equal fronts pass nowhere, with 95 % confidence (Bonferroni)
    largest_gap: float  # points by which ours is worse at most; below 0 where it is better everywhere
    largest_gap_lower: float  # the largest 95 % lower bound of a gap
    tolerance: float  # how many times as much ours may cost and still count as no dearer


@dataclass(frozen=True)
class Side:
    """The files of one study that are compared, and the scores of its search, which choose among them."""

    study: str
    files: Sequence[Result]
    scores: Mapping[int, Result]
    title: str | None = None  # the study's name if None

    def within(self, of: Cost, limit: float) -> Result | None:
        """Of the files that cost no more than `limit` the best by the scores, if there is any."""
        found = [item for item in self.files if of((self.study, item.number), item) <= limit]
        return best_by(self.scores, found) if found else None


def compare(home: Path, ours: str, other: str, cost: str) -> Comparison:
    """Compares study `ours` with `other`, a study or `BASELINES`, by a cost, "size", "macs" or `SPEED`, at each cost of
    the latter's files.

    Of either study it is the file that costs no more and is the best by the scores of its search; both are judged
    on the confirmation images, which have chosen neither. So by size and MACs a study beside itself is nowhere
    worse. Of the baselines it is the best by the confirmation, which flatters them. By speed the files on the
    fronts of those scores are compared, all timed here in one session, some of them loaded twice: by what the two
    of one file differ, speeds cannot be told apart.
    """
    place = Home(home)
    store = open_store(place.database_url)
    own = _side(store, ours, cost == SPEED)
    theirs = _baselines(store, ours) if other == BASELINES else _side(store, other, cost == SPEED)
    shape = StudyConfig.from_json(store.study(ours).config_json).model.input
    store.close()
    of, tolerance = _speeds(place, (own, theirs), shape) if cost == SPEED else (_stored(cost), 1.0)
    useful = [item for item in theirs.files if item.value("drop") <= ACCURACY_SPAN_POINTS]
    costs = [of((theirs.study, item.number), item) for item in useful]
    return judged(cost, own, theirs, of, costs, tolerance)


def _side(store: StudyStore, study: str, only_front: bool) -> Side:
    searched = {trial.number for trial in store.trials(study) if trial.is_searched}
    files = [item for item in store.results(study, Rung.CONFIRMED) if item.number in searched]
    scores = deciding_scores(store, study)
    if only_front:
        front = {item.number for item in quick_front([scores[item.number] for item in files])}
        files = [item for item in files if item.number in front]
    return Side(study, files, scores)


def _baselines(store: StudyStore, study: str) -> Side:
    """All baselines but the dense model, by the accuracy of their files: another tool's has no score."""
    known = {trial.number for trial in store.trials(study) if trial.baseline not in (None, DENSE)}
    files = [item for item in store.results(study, Rung.CONFIRMED) if item.number in known]
    return Side(study, files, {item.number: _as_score(item) for item in files}, BASELINES)


def _as_score(item: Result) -> Result:
    accuracy = next(one for one in item.measurements if one.objective == "accuracy")
    return replace(item, measurements=(replace(accuracy, objective=QUICK_OBJECTIVE),))


def judged(cost: str, ours: Side, other: Side, of: Cost, costs: Sequence[float], tolerance: float) -> Comparison:
    """The comparison of both sides at each of `costs`."""
    found = [(other.within(of, limit), ours.within(of, tolerance * limit)) for limit in costs]
    answered = [(theirs, own) for theirs, own in found if theirs is not None and own is not None]
    pairs = {(theirs.number, own.number): (_scores(theirs), _scores(own)) for theirs, own in answered}
    gaps = [paired_drop(theirs, own) for theirs, own in pairs.values()]
    strict = [paired_drop(theirs, own, 1.0 - (1.0 - CONFIDENCE) / len(pairs)) for theirs, own in pairs.values()]
    return Comparison(
        ours=ours.study,
        other=other.title or other.study,
        cost=cost,
        costs=len(costs),
        unanswered=len(costs) - len(answered),
        pairs=len(pairs),
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


def _speeds(home: Home, sides: Sequence[Side], shape: Sequence[int]) -> tuple[Cost, float]:
    """The files of both studies timed in turn with one of them, which stands for the same in both; and the ratio of
    speeds that this session cannot tell from 1."""
    artifacts = ArtifactStore(home.artifacts)
    files = [(side.study, item.number) for side in sides for item in side.files]
    names = {file: f"{file[0]}/{file[1]}" for file in files}
    twins = {files[place]: f"{names[files[place]]} again" for place in np.linspace(0, len(files) - 1, TWINS, dtype=int)}
    models = {
        name: load(artifacts.folder(study, str(number))) for (study, number), name in (*names.items(), *twins.items())
    }
    sample = np.random.default_rng(0).standard_normal((1, *shape), np.float32)
    figures = measure(next(iter(models.values())), models, sample, seconds=TIMED_SECONDS)
    if (text := disturbed(figures)) is not None:
        raise SystemExit(f"{text}: run the benchmark again, it goes on with this comparison")
    speeds = {name: figure.speedup for name, figure in figures.items()}
    pairs = [(speeds[names[file]], speeds[again]) for file, again in twins.items()]
    noise = float(np.percentile([max(pair) / min(pair) for pair in pairs], TWINS_PERCENTILE))
    return lambda file, _: 1.0 / speeds[names[file]], max(SPEED_TOLERANCE, noise)


def load(folder: Path) -> Model:
    """The model of an artifact folder; another tool's baseline has no packed form."""
    if (folder / SLIM_FILE).exists():
        return slimfront.load(folder / SLIM_FILE)
    return runtime(PACKED_RUNTIME).session((folder / ONNX_FILE).read_bytes(), 1)


def _scores(item: Result) -> Scores:
    assert item.per_image is not None
    found: Scores = unpack_scores(item.per_image)
    return found
