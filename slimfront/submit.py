"""From a study file to a study in the store: everything that can be wrong with the input is found before."""

from __future__ import annotations

from pathlib import Path

from learners.channel.criteria.table import CRITERIA
from learners.score import judge
from learners.table import LEARNERS
from objectives.accuracy import evaluate
from objectives.metric import METRICS
from objectives.runtimes.table import RUNTIMES, runtime
from searcher.progress import Progress
from searcher.samplers.table import SAMPLERS
from searcher.stages.prepare import Prepared, prepare
from storage.artifacts import ArtifactStore
from storage.errors import FixInputError, GiveUpError, NotFoundError
from storage.home import Home
from storage.records.config import KnownNames, StudyConfig, load_study_file
from storage.rules import exists_error
from storage.store import StudyStore


def known_names() -> KnownNames:
    """The names in the extension tables."""
    return KnownNames(
        learners=tuple(LEARNERS),
        samplers=tuple(SAMPLERS),
        runtimes=tuple(RUNTIMES),
        metrics=tuple(METRICS),
        criteria=tuple(CRITERIA),
    )


def read_config(path: Path) -> StudyConfig:
    """The study file, checked. FixInputError for the first thing that is wrong."""
    return load_study_file(path, known_names())


def submit(config: StudyConfig, store: StudyStore, home: Home, progress: Progress) -> Prepared:
    """Checks the input, then stores the study for this process to run; it is durable when this returns.

    Raises StudyExistsError, before anything slow, for a name that is taken, and FixInputError, with nothing stored,
    for whatever is wrong with the input.
    """
    prepared = check_input(config, store, home, progress)
    store.create_study(config.name, config.to_json())
    # Whoever has deleted a study of that name on another machine had no files of it to delete.
    ArtifactStore(home.artifacts).delete_study(config.name)
    return prepared


def check_input(config: StudyConfig, store: StudyStore | None, home: Home, progress: Progress) -> Prepared:
    """The study with its input read and found usable. Errors as in `submit`; without a store no name is looked up."""
    if store is not None:
        try:
            store.study(config.name)
        except NotFoundError:
            pass
        else:
            raise exists_error(config.name)
    home.prepare()
    home.check_space()
    prepared = prepare(config, progress)
    check_images(prepared, progress)
    return prepared


def check_images(prepared: Prepared, progress: Progress) -> None:
    """Decodes all images that the study will use and scores the dense model on the quick ones.

    Raises FixInputError, which names the image, for one that cannot be read, and for outputs that are not finite
    or do not go with the metric.
    """
    workload, config = prepared.workload, prepared.config
    subsets = ("calibration", "quick", "rescoring", "confirmation")
    for done, name in enumerate(subsets):
        progress.update("images", done, len(subsets), f"decoding {name} images")
        getattr(workload, name)
    session = runtime(config.runtime.name).session(prepared.analysis.dense.SerializeToString(), config.runtime.threads)
    quick = workload.quick
    try:
        outputs = evaluate(session, quick.images)
    except GiveUpError as error:
        raise FixInputError(str(error)) from error
    judge(outputs, quick.labels, outputs, workload.metric)
    progress.update("images", len(subsets), len(subsets))
