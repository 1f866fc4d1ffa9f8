"""A small study whose finalists are trained, and all of it that must not depend on interruptions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from searcher.stages.prepare import Prepared, prepare
from storage.home import Home
from storage.memory import MemoryStore
from storage.records.finetune_config import FinetuneConfig
from storage.records.measurement import Result, Rung
from storage.records.study import FrontRow
from tests.searcher.controlled import NAME, Recorder, config

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
    numbers = [trial.number for trial in store.trials(NAME) if trial.parent is not None]
    paths = {str(number): home.artifacts / NAME / str(number) / FILES for number in numbers}
    return {name: path.read_bytes() for name, path in paths.items() if path.exists()}


def checkpoints(home: Home) -> list[str]:
    """Numbers of the trials that have one."""
    return sorted(path.parent.name for path in home.artifacts.rglob(CHECKPOINTS))


def results_at(store: MemoryStore, rung: Rung) -> dict[int, Result]:
    return {item.number: item for item in store.results(NAME, rung)}
