"""From a study file to the queue: checked, copied, and then durable for whoever works there."""

from __future__ import annotations

from searcher.progress import Progress
from slimfront.self_contained import check_contained, content_of, self_contained
from slimfront.submit import check_input
from storage.artifacts import ArtifactStore
from storage.errors import FixInputError
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
    if key is not None and not key.strip():
        raise FixInputError("--idempotency-key is empty, like a variable that is not set: give a text, or leave it out")
    prepared = check_input(config, None if key is not None else store, home, progress)
    workload = prepared.workload.content_hash
    contained = self_contained(config, home)
    if config.callables:
        progress.update("copies", 0, 1, "opening the study by its copies alone")
        check_contained(contained, workload)
        progress.update("copies", 1, 1)
    submission = Submission(workload, bool(config.callables), content_of(contained, home), priority, key)
    study = store.create_study(config.name, contained.to_json(), submission)
    self_contained(config, home)  # whoever has deleted a study of the same files meanwhile did not know of this one
    if study.attempt == 0:
        # Whoever has deleted a study of that name on another machine had no files of it to delete.
        ArtifactStore(home.artifacts).delete_study(config.name)
    return study
