"""A small study for the controller's tests, and a progress that interrupts it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from learners.channel.criteria.table import CRITERIA
from learners.table import LEARNERS
from objectives.metric import METRICS
from objectives.runtimes.table import RUNTIMES
from searcher.samplers.table import SAMPLERS
from searcher.stages.prepare import Prepared
from storage.home import Home
from storage.memory import MemoryStore
from storage.records.config import KnownNames, StudyConfig, read_study

NAME = "study"
KNOWN = KnownNames(tuple(LEARNERS), tuple(SAMPLERS), tuple(RUNTIMES), tuple(METRICS), tuple(CRITERIA))
CANDIDATES = 53  # more than one batch


class Killed(BaseException):
    """Stands for a process that is gone: no handler of ours knows it."""


class Events:
    """A progress that keeps its events."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def update(self, stage: str, done: int, total: int, note: str = "") -> None:
        pass

    def event(self, text: str) -> None:
        self.seen.append(text)

    def check(self) -> None:
        pass


@dataclass
class Recorder:
    """Records what it is told, and interrupts where it is told to."""

    interrupt: Callable[[str], None] = lambda _: None
    seen: list[str] = field(default_factory=list)

    def update(self, stage: str, done: int, total: int, note: str = "") -> None:
        del note
        assert 0 <= done <= max(total, done)
        self._note(f"{stage} {done}/{total}")

    def event(self, text: str) -> None:
        self._note(text)

    def check(self) -> None:
        pass

    def _note(self, text: str) -> None:
        assert "\n" not in text
        self.seen.append(text)
        self.interrupt(text)


def config(folder: Path, **search: object) -> StudyConfig:
    raw = {
        "name": NAME,
        "model": {"factory": "nets.py:tiny", "weights": "tiny.safetensors", "input": [1, 8, 8]},
        "data": {"kind": "digits", "calibration": 64, "quick": 60},  # so few that there is a second score
        "target": {"size": "3x", "max_drop": 10.0},
        "search": {"candidates": CANDIDATES, **search},
    }
    return read_study(raw, folder, "test", KNOWN)


def started(prepared: Prepared, home: Path) -> tuple[MemoryStore, Home]:
    store = MemoryStore()
    store.create_study(NAME, prepared.config.to_json())
    return store, Home(home)
