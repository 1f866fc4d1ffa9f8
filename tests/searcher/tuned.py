"""A small study whose finalists are trained, and all of it that must not depend on interruptions."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from searcher.controller import Controller
from searcher.stages.prepare import Prepared, prepare
from storage.home import Home
from storage.memory import MemoryStore
from storage.records.candidate import Trial
from storage.records.finetune_config import FinetuneConfig
from storage.records.measurement import Result, Rung
from storage.records.study import FrontRow, StudyState
from tests.searcher.controlled import NAME, Recorder, config, started

CANDIDATES = 24
FINALISTS, EPOCHS, FINAL_EPOCHS = 3, 1, 3
SETTINGS: Mapping[str, object] = {
    "finalists": FINALISTS,
    "epochs": EPOCHS,
    "final_epochs": FINAL_EPOCHS,
    "baseline": True,
    "batch": 32,
    "images": 256,
}
CHECKPOINTS, FILES = "training.safetensors", "model.slim"


@dataclass(frozen=True)
class Ending:
    """Of a study."""

    trials: tuple[object, ...]
    results: tuple[object, ...]
    front: tuple[FrontRow, ...]
    files: dict[str, bytes]  # of trained versions


def tuned(workplace: Path, **changes: object) -> Prepared:
    """The study, with other settings of its training if there are `changes`."""
    settings = FinetuneConfig.model_validate({**SETTINGS, **changes})
    asked = config(workplace, candidates=CANDIDATES).model_copy(update={"finetune": settings})
    return prepare(asked, Recorder())


def ending(store: MemoryStore, home: Home) -> Ending:
    results = (item for item in store.results(NAME) if item.rung is not Rung.TIMED)
    return Ending(
        trials=store.trials(NAME),
        results=tuple(replace(item, seconds=0.0) for item in results),
        front=store.front(NAME),
        files=trained_files(store, home),
    )


def trained_files(store: MemoryStore, home: Home) -> dict[str, bytes]:
    """The `model.slim` of every trained version, by its number."""
    numbers = [str(trial.number) for trial in trained(store)]
    paths = {number: home.artifacts / NAME / number / FILES for number in numbers}
    return {name: path.read_bytes() for name, path in paths.items() if path.exists()}


def checkpoints(home: Home) -> list[str]:
    """Numbers of the trials that have one."""
    return sorted(path.parent.name for path in home.artifacts.rglob(CHECKPOINTS))


def results_at(store: MemoryStore, rung: Rung) -> dict[int, Result]:
    return {item.number: item for item in store.results(NAME, rung)}


def trained(store: MemoryStore) -> list[Trial]:
    """The trained versions."""
    return [trial for trial in store.trials(NAME) if trial.parent is not None]


@dataclass(frozen=True)
class Whole:
    """A study that nothing has disturbed."""

    prepared: Prepared
    store: MemoryStore
    home: Home
    recorder: Recorder
    end: Ending

    def copy(self, folder: Path, prepared: Prepared | None = None) -> tuple[MemoryStore, Home]:
        """A new study on the same library and latency table: latencies are never measured twice alike."""
        store, home = started(self.prepared if prepared is None else prepared, folder)
        shutil.copytree(self.home.cache, home.cache)
        return store, home


def run_whole(prepared: Prepared, folder: Path) -> Whole:
    """The study, run to its end."""
    store, home = started(prepared, folder)
    recorder = Recorder()
    assert Controller(store, home, recorder).run(NAME, prepared).state is StudyState.SUCCEEDED
    return Whole(prepared, store, home, recorder, ending(store, home))
