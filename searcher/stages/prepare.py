"""Everything before the first candidate: what can be refused is refused here, before anything is stored."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from learners.analysis import Analysis
from learners.base import Learner, LearnerOptions
from learners.captured import analyse_workload
from learners.channel.criteria.table import criterion
from learners.device import single_thread
from learners.finetune.features import compared
from learners.finetune.task import NO_FEATURES
from learners.library.build import Progress as BuildProgress
from learners.library.build import open_or_build
from learners.library.gradients import check_classes
from learners.library.library import Library
from learners.library.space import planned_space
from learners.pool.base import Note, Pool
from learners.scoring import ScoreTask
from learners.table import in_order
from objectives.accuracy import evaluate
from objectives.hardware import describe
from objectives.runtimes.table import runtime
from objectives.workload.subsets import Subset
from objectives.workload.test_split import open_test
from objectives.workload.workload import Workload, open_workload
from searcher.notes import channel_notes
from searcher.progress import Progress
from searcher.samplers.table import sampler_class
from storage.errors import FixInputError
from storage.home import Home
from storage.records.config import StudyConfig
from storage.records.dense import DenseFacts
from storage.records.space import CHANNEL, QUANT, SearchSpace
from storage.records.study import Analysis as StoredAnalysis

LIBRARIES = "libraries"  # folder in the cache
# Of the smallest file, with plain codes, that entropy coding may leave: it leaves 0.94 of codes of two bits.
LEAST_CODED_SHARE = 0.75


@dataclass(frozen=True)
class Prepared:
    """A study whose input has been read and found usable."""

    config: StudyConfig
    workload: Workload
    analysis: Analysis
    learners: tuple[Learner, ...]
    space: SearchSpace  # sizes without entropy coding; what that spares, and errors, are known with the library

    @property
    def dense_bytes(self) -> int:
        """Size of the dense ONNX file."""
        return int(self.analysis.dense.ByteSize())


def prepare(config: StudyConfig, progress: Progress) -> Prepared:
    """Opens model and data, traces the model and checks that the target can be reached at all.

    Raises FixInputError, one line, for whatever is wrong with the user's input; a sampler that is not
    installed is, too.
    """
    sampler_class(config.search.sampler)
    steps = 2
    progress.update("reading", 0, steps, "data")
    workload = open_workload(config)
    # Decoded now: an image that cannot be read is refused before anything is stored.
    _ = workload.calibration, workload.quick, workload.rescoring, workload.confirmation
    if config.certificate is not None:
        open_test(config)  # whether there is one; nothing of it is decoded
    progress.update("reading", 1, steps, "tracing the model")
    with single_thread():
        analysis = analyse_workload(workload, config.search.keep, config.seed)
    check_criterion(config, analysis)
    check_finetune(config, analysis)
    learners = study_learners(config)
    space = planned_space(analysis, learners)
    prepared = Prepared(config, workload, analysis, learners, space)
    check_reachable(prepared)
    progress.update("reading", steps, steps)
    return prepared


def study_learners(config: StudyConfig) -> tuple[Learner, ...]:
    """The learners that a study asks for, in the order in which they work."""
    return in_order(config.search.learners, learner_options(config))


def learner_options(config: StudyConfig) -> LearnerOptions:
    """What a study asks of its learners."""
    search = config.search
    return LearnerOptions(search.round_to, search.min_channels, search.criterion, search.reconstruct)


def score_task(config: StudyConfig, library: Library, images: Subset) -> ScoreTask:
    """The quick scores of a study's candidates on `images`, for a pool."""
    search = config.search
    return ScoreTask(library.path, library.id, search.learners, learner_options(config), images, config.data.metric)


def check_criterion(config: StudyConfig, analysis: Analysis) -> None:
    """Raises FixInputError for a criterion that needs the classes of a model that has none."""
    search = config.search
    if CHANNEL in search.learners and criterion(search.criterion).needs_classes:
        check_classes(analysis.shapes[analysis.graph.output])


def check_finetune(config: StudyConfig, analysis: Analysis) -> None:
    """Raises FixInputError for a training that is to teach what the model has not got."""
    settings = config.finetune
    if settings is not None and settings.features != NO_FEATURES and not compared(analysis):
        raise FixInputError(
            f'[finetune] features = "{settings.features}" compares convolutions whose outputs are of one size; the '
            "model has no two such: remove it"
        )


def check_reachable(prepared: Prepared) -> None:
    """Raises FixInputError, with the best that can be reached, for a size or MAC target beyond it."""
    space, dense = prepared.space, prepared.dense_bytes
    last = tuple(len(site.levels) - 1 for site in space.sites)
    smallest, fewest = space.size_bytes(last), space.macs(last)
    macs = prepared.analysis.macs
    least = LEAST_CODED_SHARE if any(site.learner == QUANT for site in space.sites) else 1.0
    for cost in prepared.config.target.costs:
        if cost.objective == "size" and least * smallest > cost.limit(dense):
            raise FixInputError(
                f'[target] size = "{cost.text}" cannot be reached: the smallest file is about {smallest} bytes, '
                f'"{_floor(dense / smallest)}x" (dense: {dense} bytes); ask for that or less' + _protected_hint(space)
            )
        if cost.objective == "macs" and fewest > cost.limit(macs):
            raise FixInputError(
                f'[target] macs = "{cost.text}" cannot be reached: {", ".join(_names(prepared.learners))} '
                f'leaves at least {fewest} multiply-accumulates, "{_floor(macs / fewest)}x" (dense: {macs}); '
                "ask for that or less" + _protected_hint(space)
            )


def notes(prepared: Prepared) -> tuple[str, ...]:
    """What a user should know before the search, a line each."""
    found = list(prepared.workload.notes)
    if any(cost.objective == "latency" for cost in prepared.config.target.costs):
        found.append("a latency target steers the search by predictions, and is judged at the end by what was measured")
    return (*found, *channel_notes(prepared.config, prepared.space))


def _floor(ratio: float) -> str:
    """A ratio with one decimal that is not above it."""
    return f"{math.floor(10 * ratio) / 10:.1f}"


def _names(learners: Sequence[Learner]) -> list[str]:
    return [item.name for item in learners]


def _protected_hint(space: SearchSpace) -> str:
    if not space.protected:
        return ""
    name = space.protected[0].name
    if len(space.protected) == 1:
        return f"; 1 layer is protected, {name}"
    return f"; {len(space.protected)} layers are protected, {name} among them"


def open_library(
    prepared: Prepared,
    home: Home,
    progress: BuildProgress,
    pool: Pool | None = None,
    worker_lost: Note = lambda _: None,
) -> Library:
    """The level library of a prepared study, built if it is not in the cache, by the workers of `pool` if given."""
    images = prepared.workload.calibration.images
    folder, seed = home.cache / LIBRARIES, prepared.config.seed
    return open_or_build(folder, prepared.analysis, images, prepared.learners, seed, progress, pool, worker_lost)


@dataclass(frozen=True, eq=False)
class DenseRun:
    """The dense ONNX file on the confirmation images."""

    outputs: npt.NDArray[np.float32]  # [n, ...]
    scores: npt.NDArray[np.float32]  # [n] of the metric, in [0, 1]
    seconds: float  # by the clock, for both


def analyse_dense(prepared: Prepared, library: Library) -> tuple[StoredAnalysis, DenseRun]:
    """What the store keeps of the model, and its run."""
    config, workload = prepared.config, prepared.workload
    serialised = dense_file(library)
    chosen = runtime(config.runtime.name)
    session, images = chosen.session(serialised, config.runtime.threads), workload.confirmation
    started = time.monotonic()
    outputs = evaluate(session, images.images)
    scores = workload.metric.per_image(outputs, images.labels, outputs)
    run = DenseRun(outputs, scores, time.monotonic() - started)
    dense = DenseFacts(
        accuracy=100 * float(scores.mean(dtype=np.float64)),
        size_bytes=len(serialised),
        latency_ms=None,
        macs=library.analysis.macs,
    )
    stored = StoredAnalysis(
        space_json=library.space.to_json(),
        library=library.id,
        dense_json=dense.to_json(),
        hardware=describe(chosen, config.runtime.threads),
        workload=workload.content_hash,
    )
    return stored, run


def dense_file(library: Library) -> bytes:
    """The dense ONNX file: batch norms folded, float32."""
    data: bytes = library.analysis.dense.SerializeToString(deterministic=True)
    return data
