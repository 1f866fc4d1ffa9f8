"""One trained network and one finished study for all tests of the front door."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from objectives.workload.factory import load_callable
from slimfront.demo.train import train
from tests.slimfront.material import NETS, STUDY, Ran, execute


@dataclass(frozen=True)
class Finished:
    """A study that has run to its end; tests must leave it as it is."""

    home: Path
    folder: Path  # of the study file
    ran: Ran
    front: dict[str, Any]

    def best(self) -> int:
        """A searched candidate of the front that was compressed."""
        names = {row["candidate"] for row in self.front["baselines"]}
        return next(int(row["candidate"]) for row in self.front["front"] if row["candidate"] not in names)


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the network and its weights."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / "nets.py").write_text(NETS)
    factory = load_callable(f"{folder / 'nets.py'}:tiny")
    train(factory, folder / "tiny.safetensors", lambda _done, _of: None)
    return folder


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, trained: Path) -> Finished:
    """The study of STUDY, run by the command line in a process of its own."""
    home = tmp_path_factory.mktemp("home")
    (trained / "study.toml").write_text(STUDY)
    ran = execute(home, "run", "study.toml", cwd=trained)
    shown = execute(home, "front", "tiny", "--json")
    assert shown.code == 0, ran.err + shown.err
    return Finished(home, trained, ran, json.loads(shown.out))


@pytest.fixture
def at_home(finished: Finished, monkeypatch: pytest.MonkeyPatch) -> Finished:
    """The finished study as the one that commands in this process see."""
    monkeypatch.setenv("SLIMFRONT_HOME", str(finished.home))
    monkeypatch.delenv("SLIMFRONT_STORE", raising=False)
    monkeypatch.setenv("COLUMNS", "100")
    return finished
