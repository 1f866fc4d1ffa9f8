"""Studies copied from one database to another, also of another kind, and back."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from storage.errors import DiskFullError, FixInputError, StudyExistsError, UsedSplitError
from storage.open import open_store
from storage.records.lease import owner_text
from storage.records.study import StudyState
from storage.sql.copy import copy_studies
from storage.sql.store import SqlStore
from storage.store import StudyStore
from tests.storage import samples
from tests.storage.postgres import Server
from tests.storage.sql.make_database import SPLIT, TUNED, fill, fill_later

PARTS = 2500  # trials: more rows than one statement takes


def everything(store: StudyStore, name: str) -> tuple[object, ...]:
    study = store.study(name)
    if study.owner is not None:  # whoever runs it writes the other
        study = replace(study, owner=None, lease_until=None, state=StudyState.INTERRUPTED)
    return (
        study,
        store.analysis(name),
        store.trials(name),
        store.results(name),
        store.front(name),
        store.timings(name),
        store.events(name),
    )


def opened(url: str) -> SqlStore:
    store = open_store(url)
    assert isinstance(store, SqlStore)
    return store


@pytest.fixture
def filled(tmp_path: Path) -> Iterator[SqlStore]:
    store = opened(f"sqlite:///{tmp_path}/filled.db")
    fill(store)
    fill_later(store)
    store.create_study("long", "{}")
    store.add_trials("long", 1, [samples.proposal(number % 7, number) for number in range(PARTS)])
    store.record_batch("long", [samples.result(number) for number in range(1, PARTS, 2)])
    yield store
    store.close()


def test_what_is_copied_to_postgresql_and_back_is_the_same(filled: SqlStore, postgres: Server, tmp_path: Path) -> None:
    names = [study.name for study in filled.studies()]
    team, back = opened(postgres.prepared()), opened(f"sqlite:///{tmp_path}/back.db")
    team.create_study("theirs", "{}")  # keys differ
    assert list(copy_studies(filled, team)) == names
    team.delete_study("theirs")
    assert list(copy_studies(team, back)) == names
    for name in names:
        assert everything(team, name) == everything(back, name) == everything(filled, name)
        assert team.study(name).owner is None
    assert {name for name in names if team.study(name).queued_at is not None} == {"queued", "leased"}
    assert team.claim_next(owner_text("here:1", "1.a"), 1.0, trusts_code=True, without=["queued"]) is None
    assert back.add_event("long", "note", "it goes on").number == len(filled.events("long")) + 1
    team.close()
    back.close()


def test_looks_are_copied_once_and_those_of_deleted_studies_too(
    filled: SqlStore, postgres: Server, tmp_path: Path
) -> None:
    filled.create_study("gone", "{}")
    gone = filled.look("gone", "6" * 32, 50)
    filled.delete_study("gone")
    looks = filled.looks(SPLIT)
    assert [look.study for look in looks] == [TUNED, TUNED]
    team = opened(postgres.prepared())
    team.create_study("theirs", "{}")
    theirs = team.look("theirs", SPLIT, 70)  # later than what is copied
    copy_studies(filled, team)
    assert team.looks(SPLIT) == (*looks, theirs)
    assert team.looks("6" * 32) == (gone,)
    assert team.look(TUNED, SPLIT, 1000) == looks[-1]  # it is the same study there
    team.create_study("ours", "{}")
    with pytest.raises(UsedSplitError, match=f"3 times already, first by study {TUNED} on"):
        team.look("ours", SPLIT, 1000)
    for name in [study.name for study in team.studies()]:
        team.delete_study(name)
    copy_studies(filled, team)  # what it has already is not there twice
    assert team.looks(SPLIT) == (*looks, theirs)
    back = opened(f"sqlite:///{tmp_path}/back.db")
    copy_studies(team, back)
    assert back.looks(SPLIT) == team.looks(SPLIT)
    assert back.looks("6" * 32) == (gone,)
    team.close()
    back.close()


def test_studies_of_one_name_are_refused_and_nothing_is_copied(filled: SqlStore, tmp_path: Path) -> None:
    other = opened(f"sqlite:///{tmp_path}/other.db")
    other.create_study("long", "{}")
    with pytest.raises(StudyExistsError, match=r"the target has studies of the same names already \(long\)"):
        copy_studies(filled, other)
    assert [study.name for study in other.studies()] == ["long"]
    assert other.looks(SPLIT) == ()
    other.close()


def test_what_else_fails_leaves_nothing_in_the_target(filled: SqlStore, tmp_path: Path) -> None:
    other = opened(f"sqlite:///{tmp_path}/other.db")

    def full(name: str) -> None:
        raise DiskFullError(f"no space is left for {name}")

    with pytest.raises(DiskFullError):
        copy_studies(filled, other, full)
    assert (other.studies(), other.looks(SPLIT)) == ((), ())
    assert len(copy_studies(filled, other)) == len(filled.studies())
    other.close()


def test_a_damaged_source_is_named_and_not_the_target(filled: SqlStore, tmp_path: Path) -> None:
    other = opened(f"sqlite:///{tmp_path}/other.db")
    path = tmp_path / "damaged.db"
    with closing(sqlite3.connect(tmp_path / "filled.db")) as connection:
        connection.execute(f"VACUUM INTO '{path}'")
    opened(f"sqlite:///{path}").close()  # once, when it is checked as a whole
    content = bytearray(path.read_bytes())
    content[len(content) // 2 :] = b"\xff" * (len(content) - len(content) // 2)
    path.write_bytes(content)
    source = opened(f"sqlite:///{path}")
    with pytest.raises(FixInputError, match=r"damaged\.db is damaged"):
        copy_studies(source, other)
    assert other.studies() == ()
    source.close()
    other.close()
