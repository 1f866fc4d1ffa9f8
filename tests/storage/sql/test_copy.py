"""Studies copied from one database to another, also of another kind, and back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from storage.errors import StudyExistsError
from storage.open import open_store
from storage.sql.copy import copy_studies
from storage.sql.store import SqlStore
from storage.store import StudyStore
from tests.storage import samples
from tests.storage.postgres import Server
from tests.storage.sql.make_database import fill, fill_later

PARTS = 2500  # trials: more rows than one statement takes


def everything(store: StudyStore, name: str) -> tuple[object, ...]:
    return (
        store.study(name),
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
    assert back.add_event("long", "note", "it goes on").number == len(filled.events("long")) + 1
    team.close()
    back.close()


def test_studies_of_one_name_are_refused_and_nothing_is_copied(filled: SqlStore, tmp_path: Path) -> None:
    other = opened(f"sqlite:///{tmp_path}/other.db")
    other.create_study("long", "{}")
    with pytest.raises(StudyExistsError, match="both databases have studies called long: delete them"):
        copy_studies(filled, other)
    assert [study.name for study in other.studies()] == ["long"]
    other.close()
