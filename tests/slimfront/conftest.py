"""One trained network and one finished study for all tests of the front door."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.slimfront.finished import Finished, finished_in, trained_in, tuned_in


@pytest.fixture(scope="session")
def trained(shared_folder: Path) -> Path:
    """A folder with the network and its weights."""
    return trained_in(shared_folder / "front-door")


@pytest.fixture(scope="session")
def finished(shared_folder: Path) -> Finished:
    """The study of STUDY, run by the command line in a process of its own."""
    return finished_in(shared_folder / "front-door")


@pytest.fixture
def at_home(finished: Finished, monkeypatch: pytest.MonkeyPatch) -> Finished:
    """The finished study as the one that commands in this process see."""
    monkeypatch.setenv("SLIMFRONT_HOME", str(finished.home))
    monkeypatch.delenv("SLIMFRONT_STORE", raising=False)
    monkeypatch.setenv("COLUMNS", "100")
    return finished


@pytest.fixture(scope="session")
def tuned(shared_folder: Path) -> Finished:
    """The study "tuned", whose finalists were trained."""
    return tuned_in(shared_folder / "front-door")


@pytest.fixture
def tuned_home(tuned: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of its home that a test may change, as the one that commands in this process see."""
    home = tmp_path / "home"
    shutil.copytree(tuned.home, home)
    monkeypatch.setenv("SLIMFRONT_HOME", str(home))
    monkeypatch.delenv("SLIMFRONT_STORE", raising=False)
    monkeypatch.setenv("COLUMNS", "100")
    return home
