"""Writes the database that later versions must still open: python -m tests.storage.sql.make_database.

Run it once for every new revision, before the next one is begun, and never again for an old one: the files
are what users have.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from storage.open import open_store
from storage.records.lease import Submission, owner_text
from storage.records.measurement import Rung
from storage.records.study import StudyState
from storage.sql.tables import HEAD
from storage.store import StudyStore
from tests.storage import samples

FOLDER = Path(__file__).parent / "databases"
DONE = "finished"
STOPPED = "stopped"
MEASURED = "measured"
SURE = "sure"
QUEUED = "queued"
LEASED = "leased"
TUNED = "tuned"
SPLIT = "5" * 32  # the test split that TUNED has looked at


def fill(store: StudyStore) -> None:
    """Two studies that use every table and every column of revision 0001."""
    store.create_study(DONE, '{"name":"finished","seed":0}')
    store.update_study(DONE, state=StudyState.RUNNING, stage="library", attempt=1)
    store.save_analysis(DONE, samples.ANALYSIS)
    store.add_trials(
        DONE,
        1,
        [
            samples.proposal(0, 1, 2, origin="baseline", baseline="uniform w4"),
            samples.proposal(2, 2, 2),
            samples.proposal(1, 0, 2),
        ],
    )
    store.record_batch(DONE, [samples.result(1), samples.result(2)], samples.front(2, 1))
    store.record(DONE, samples.result(2, Rung.CONFIRMED, accuracy=87.5))
    store.fail_trial(DONE, 3, "out of memory")
    store.update_study(DONE, state=StudyState.SUCCEEDED, stage="done", seconds=12.5)
    store.create_study(STOPPED, "{}")
    store.update_study(STOPPED, state=StudyState.FAILED, error="the disk is full")


def fill_later(store: StudyStore) -> None:
    """A study that uses what later revisions have added."""
    store.create_study(MEASURED, "{}")
    store.update_study(MEASURED, state=StudyState.RUNNING, stage="library", attempt=1)
    store.save_analysis(MEASURED, replace(samples.ANALYSIS, latency_json='{"fixed_ms":0.1}'))
    store.add_trials(MEASURED, 1, [samples.proposal(0, 1, 2), samples.proposal(2, 2, 2)])
    store.add_timing(MEASURED, samples.TIMING)
    store.create_study(SURE, "{}")
    store.update_study(SURE, state=StudyState.RUNNING, stage="library", attempt=1)
    store.add_trials(SURE, 1, [samples.proposal(0, 1, 2), samples.proposal(2, 2, 2)])
    store.add_timing(SURE, samples.SURE)
    store.create_study(LEASED, "{}", Submission("workload-1", runs_code=True, priority=2, key="a key"))
    store.claim_next(owner_text("somewhere:1", "42.a"), 1.0, trusts_code=True)
    store.create_study(QUEUED, "{}", Submission("workload-1", runs_code=False))
    store.create_study(TUNED, "{}")
    store.update_study(TUNED, state=StudyState.RUNNING, stage="library", attempt=1)
    store.add_trials(TUNED, 1, [samples.proposal(0, 1, 2), samples.proposal(0, 1, 2, origin="finetune", parent=1)])
    store.look(TUNED, SPLIT, 2000)
    store.look(TUNED, SPLIT, 1000, again=True)
    store.record_batch(TUNED, [samples.result(2, rung) for rung in (Rung.TUNED, Rung.TESTED)])


def main() -> None:
    """Write the file of the current revision; refuse to overwrite it."""
    path = FOLDER / f"{HEAD}.db"
    if path.exists():
        raise SystemExit(f"{path} is kept as it is: it stands for what users have")
    path.parent.mkdir(exist_ok=True)
    store = open_store(f"sqlite:///{path}")
    fill(store)
    fill_later(store)
    store.close()
    path.with_name(path.name + ".lock").unlink()


if __name__ == "__main__":
    main()
