"""Every revision that was ever released still opens, with everything in it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from storage.memory import MemoryStore
from storage.open import open_store
from storage.records.lease import new_process, owner_text
from storage.sql.tables import HEAD
from tests.storage import samples
from tests.storage.sql.make_database import (
    DONE,
    FOLDER,
    LEASED,
    MEASURED,
    QUEUED,
    SPLIT,
    STOPPED,
    SURE,
    TUNED,
    fill,
    fill_later,
)

FILES = sorted(FOLDER.glob("*.db"))


def test_the_current_revision_is_kept() -> None:
    assert f"{HEAD}.db" in [path.name for path in FILES]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_kept_database_opens_with_everything_in_it(path: Path, tmp_path: Path) -> None:
    shutil.copy(path, tmp_path / "old.db")
    store = open_store(f"sqlite:///{tmp_path}/old.db")
    expected = MemoryStore()
    fill(expected)
    fill_later(expected)
    added = (("0002", MEASURED), ("0003", SURE), ("0004", LEASED), ("0004", QUEUED), ("0005", TUNED))
    later = [name for revision, name in added if path.stem >= revision]
    for name in (DONE, STOPPED, *later):
        old, new = store.study(name), expected.study(name)
        assert (old.state, old.stage, old.seconds, old.attempt, old.error, old.config_json) == (
            new.state,
            new.stage,
            new.seconds,
            new.attempt,
            new.error,
            new.config_json,
        )
        assert (old.owner, old.priority, old.runs_code, old.workload, old.idempotency_key) == (
            new.owner,
            new.priority,
            new.runs_code,
            new.workload,
            new.idempotency_key,
        )
        assert store.analysis(name) == expected.analysis(name)
        assert store.trials(name) == expected.trials(name)
        assert store.results(name) == expected.results(name)
        assert store.front(name) == expected.front(name)
        assert store.timings(name) == expected.timings(name)
        assert [(event.number, event.kind, event.text) for event in store.events(name)] == [
            (event.number, event.kind, event.text) for event in expected.events(name)
        ]
    looks = [(look.study, look.images, look.again) for look in store.looks(SPLIT)]
    assert looks == [(TUNED, 2000, False), (TUNED, 1000, True)] * (TUNED in later)
    waiting = [store.claim_next(owner_text("here:1", new_process()), 1.0, trusts_code=True) for _ in later]
    assert [lease.study for lease in waiting if lease is not None] == [
        name for name in later if name in (LEASED, QUEUED)
    ]
    study = store.create_study("new", "{}")
    store.add_trials("new", 1, [samples.proposal(0), samples.proposal(0, parent=1)])
    assert [trial.parent for trial in store.trials("new")] == [None, 1]
    assert store.look("new", "9" * 32, 100).created_at == study.created_at
    store.close()
