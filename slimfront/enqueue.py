"""From a study file to the queue: checked, copied, and then durable for whoever works there."""

from __future__ import annotations

from objectives.workload.workload import open_workload
from searcher.progress import Progress
from slimfront.self_contained import check_contained, self_contained
from slimfront.submit import check_input
from storage.artifacts import ArtifactStore
from storage.home import Home
from storage.records.config import StudyConfig
from storage.records.lease import Submission
from storage.records.study import Study
from storage.store import StudyStore


def enqueue(
    config: StudyConfig, store: StudyStore, home: Home, progress: Progress, priority: int = 0, key: str | None = None
) -> Study:
    """Puts a study into the queue; the study of an earlier call with the same key, if it is the same.

    Raises StudyExistsError, before anything slow where there is no key, for a name that is taken, and FixInputError,
    with nothing stored, for whatever is wrong with the input.
    """
    prepared = check_input(config, None if key is not None else store, home, progress)
    workload = prepared.workload.content_hash
    contained = self_contained(config, home)
    if contained != config:
        check_contained(contained, _content_hash, workload)
    submission = Submission(workload, bool(config.callables), priority, key)
    study = store.create_study(config.name, contained.to_json(), submission)
    if study.attempt == 0:
        # Whoever has deleted a study of that name on another machine had no files of it to delete.
        ArtifactStore(home.artifacts).delete_study(config.name)
    return study


def _content_hash(config: StudyConfig) -> str:
    workload = open_workload(config)
    if config.model.graph is None:
        workload.model()
    return workload.content_hash
