"""A fresh store of every kind."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from storage.open import STORES, open_store
from storage.records.study import StudyState
from storage.store import StudyStore
from tests.storage import samples
from tests.storage.postgres import Server


def _postgresql(request: pytest.FixtureRequest) -> str:
    server: Server = request.getfixturevalue("postgres")
    return server.prepared()


URLS: dict[str, Callable[[pytest.FixtureRequest, Path], str]] = {
    "sqlite": lambda _, folder: f"sqlite:///{folder}/studies.db",
    "postgresql": lambda request, _: _postgresql(request),
    "memory": lambda *_: "memory://",
}
"""A URL for a fresh store; a new entry of STORES needs one here."""


@pytest.fixture(params=sorted(STORES))
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[StudyStore]:
    opened = open_store(URLS[request.param](request, tmp_path))
    yield opened
    opened.close()


@pytest.fixture
def study(store: StudyStore) -> str:
    """The name of a running study with three trials."""
    store.create_study("s", "{}")
    store.update_study("s", state=StudyState.RUNNING, attempt=1)
    store.add_trials("s", 1, [samples.proposal(level) for level in (0, 1, 2)])
    return "s"
