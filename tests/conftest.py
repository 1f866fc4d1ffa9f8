"""What tests of several folders share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from tests.built import Built
    from tests.storage.postgres import Server

# How long an example takes says more of what else the machine does than of the code.
settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")


@pytest.fixture(autouse=True)
def _in_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands start no Ray unless a test asks for it."""
    monkeypatch.setenv("SLIMFRONT_INLINE", "1")


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """One folder for the whole run, whichever processes it is spread over."""
    base = tmp_path_factory.getbasetemp()
    return base if worker_id == "master" else base.parent


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """A PostgreSQL server of this process."""
    from tests.storage.postgres import server

    with server() as running:
        yield running


@pytest.fixture(scope="session")
def built(shared_folder: Path) -> Callable[[str], Built]:
    """A network of `tests.networks` by its name, with its level library."""
    from tests.built import open_built

    cache: dict[str, Built] = {}

    def get(name: str) -> Built:
        if name not in cache:
            cache[name] = open_built(shared_folder / "networks", name)
        return cache[name]

    return get
