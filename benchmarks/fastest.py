"""Is the fastest plan within a point of the dense model faster than ONNX Runtime's own int8 file, beyond chance?"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from pathlib import Path

import numpy as np

from benchmarks.compare import load
from objectives.latency import Reference, disturbed, measure
from searcher.baselines import DENSE, ORT_INT8
from storage.artifacts import ArtifactStore
from storage.home import Home
from storage.open import open_store
from storage.records.config import StudyConfig
from storage.records.measurement import Result, Rung

ALLOWED = 1.0  # points of drop on the confirmation images
SESSIONS = 5  # each loads the files anew: two loads of one file differ by more than the turns of one
SECONDS = 30.0  # of a session, at most


@dataclass(frozen=True)
class Fastest:
    """A searched file beside `ort int8`; both with their speed-ups over the dense model."""

    candidate: int  # of the searched files within the allowed drop that of the best predicted speed
    drop: float  # points
    drop_upper: float  # its one-sided 95 % bound
    speedups: tuple[float, ...]  # by session
    ort_drop: float
    ort_speedups: tuple[float, ...]
    twin_ratio: float  # what two loads of one file differ by in one session, at most, of both files

    @property
    def ratios(self) -> tuple[float, ...]:
        """The file's speed over that of `ort int8`, by session."""
        return tuple(own / other for own, other in zip(self.speedups, self.ort_speedups, strict=True))


def measure_fastest(home: Path, study: str) -> Fastest | None:
    """None where no searched file is within the allowed drop."""
    place = Home(home)
    store = open_store(place.database_url)
    names = {trial.number: trial.baseline for trial in store.trials(study)}
    confirmed = store.results(study, Rung.CONFIRMED)
    shape = StudyConfig.from_json(store.study(study).config_json).model.input
    store.close()
    good = [item for item in confirmed if names[item.number] is None and item.value("drop") <= ALLOWED]
    if not good:
        return None
    chosen = max(good, key=lambda item: (item.value("predicted_speedup"), -item.number))
    dense, other = (next(item for item in confirmed if names[item.number] == name) for name in (DENSE, ORT_INT8))
    artifacts = ArtifactStore(place.artifacts)

    def folder(item: Result) -> Path:
        return artifacts.folder(study, str(item.number))

    sample = np.random.default_rng(0).standard_normal((1, *shape), np.float32)
    reference = Reference(load(folder(dense)))
    speeds: dict[str, list[tuple[float, float]]] = {"own": [], "ort": []}
    for _ in range(SESSIONS):
        files = {"own": folder(chosen), "ort": folder(other)}
        models = {f"{name} {twin}": load(path) for twin in (1, 2) for name, path in files.items()}
        figures = measure(reference, models, sample, seconds=SECONDS)
        if (text := disturbed(figures)) is not None:
            raise SystemExit(f"{text}: run the benchmark again, it goes on with this comparison")
        for name, pairs in speeds.items():
            pairs.append((figures[f"{name} 1"].speedup, figures[f"{name} 2"].speedup))
    upper = next(item for item in chosen.measurements if item.objective == "drop").high
    assert upper is not None
    return Fastest(
        candidate=chosen.number,
        drop=chosen.value("drop"),
        drop_upper=upper,
        speedups=tuple(sqrt(first * second) for first, second in speeds["own"]),
        ort_drop=other.value("drop"),
        ort_speedups=tuple(sqrt(first * second) for first, second in speeds["ort"]),
        twin_ratio=max(max(pair) / min(pair) for pairs in speeds.values() for pair in pairs),
    )
