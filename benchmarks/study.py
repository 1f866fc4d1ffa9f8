"""Whole studies through the command line, and what their files give when they are evaluated from the files alone."""

from __future__ import annotations

import io
import json
import os
import resource
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime
from PIL import Image

import slimfront
from benchmarks.material import data_folder
from searcher.contenders import deciding_scores
from searcher.front import QUICK_OBJECTIVE
from storage.artifacts import ArtifactStore
from storage.home import Home
from storage.open import open_store
from storage.records.config import StudyConfig
from storage.records.measurement import Result, Rung

BATCH = 64


@dataclass(frozen=True)
class StudyRun:
    """One `slimfront run` and its front as the command prints it."""

    wall_seconds: float
    cpu_seconds: float  # of the command; Ray's daemon ends the workers, and nobody is told of theirs
    exit_code: int
    front: dict[str, Any]  # `slimfront front --json`


def run(config_file: Path, name: str, home: Path) -> StudyRun:
    """Runs a study file in `home` with the command line, one torch thread a process."""
    environment = {**os.environ, "SLIMFRONT_HOME": str(home), "OMP_NUM_THREADS": "1"}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "slimfront", "run", str(config_file)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    wall = time.monotonic() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode not in (0, 3):
        raise SystemExit(f"slimfront run {config_file} ended with {done.returncode}:\n{done.stderr}")
    printed = subprocess.run(
        [sys.executable, "-m", "slimfront", "front", name, "--json"],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    cpu = (after.ru_utime + after.ru_stime) - (before.ru_utime + before.ru_stime)
    return StudyRun(wall, cpu, done.returncode, json.loads(printed.stdout))


def delete(name: str, home: Path) -> None:
    """Removes a study of an earlier attempt, if there is one."""
    store = open_store(Home(home).database_url)
    known = {study.name for study in store.studies()}
    store.close()
    if name in known:
        subprocess.run(
            [sys.executable, "-m", "slimfront", "delete", name, "--yes"],
            env={**os.environ, "SLIMFRONT_HOME": str(home)},
            check=True,
        )


def write_study(
    config: StudyConfig, folder: Path, candidates: int, learners: Sequence[str] = (), search_seed: int | None = None
) -> Path:
    """A study file for `config` with absolute paths; `learners` other than the default ones."""
    target = config.target.to_dict()
    lines = [
        f"name = {json.dumps(config.name)}",
        f"seed = {config.seed}",
        "[model]",
        f"factory = {json.dumps(config.model.factory)}",
        f"weights = {json.dumps(config.model.weights)}",
        f"input = {list(config.model.input)}",
        "[data]",
        f"kind = {json.dumps(config.data.kind)}",
        f"path = {json.dumps(config.data.path)}",
        f"mean = {list(config.data.mean)}",
        f"std = {list(config.data.std)}",
        "[target]",
        *(f"{key} = {json.dumps(value)}" for key, value in target.items()),
        "[search]",
        f"candidates = {candidates}",
        *([f"learners = {json.dumps(list(learners))}"] if learners else []),
        *([] if search_seed is None else [f"seed = {search_seed}"]),
    ]
    path = folder / f"{config.name}.toml"
    path.write_text("\n".join(lines) + "\n")
    return path


def largest_size_error(home: Path, study: str) -> float:
    """Largest relative difference between predicted and written size over all confirmed searched files."""
    store = open_store(Home(home).database_url)
    predicted = {item.number: item.value("size") for item in store.results(study, Rung.QUICK)}
    searched = {trial.number for trial in store.trials(study) if trial.is_searched}
    written = [item for item in store.results(study, Rung.CONFIRMED) if item.number in searched]
    store.close()
    return max(abs(predicted[item.number] / item.value("size") - 1) for item in written)


def recomputed(home: Path, study: str, front: dict[str, Any]) -> dict[int, tuple[float, float]]:
    """Accuracy in the front and accuracy recomputed from the file, by candidate, on the same images.

    Images are read and outputs judged here, without Slimfront's own code for either; only which of the val images are
    confirmation images is asked of it.
    """
    images, labels = _val_images()
    artifacts = ArtifactStore(Home(home).artifacts)
    used = _confirmation_indices(home, study, len(labels))
    found = {}
    for row in front["front"]:
        path = artifacts.folder(study, str(row["candidate"])) / "model.slim"
        if not path.exists():  # the baseline of another tool has no packed form
            continue
        found[row["candidate"]] = (row["accuracy"], _accuracy(slimfront.load(path), images[used], labels[used]))
    return found


@dataclass(frozen=True)
class AtSize:
    """The plan for one size: of the confirmed files within it the best by both scores, on other images than `drop`."""

    candidate: int
    size_ratio: float
    drop: float  # points on the confirmation images
    drop_val: float  # points on the whole val split, recomputed from the file alone
    accuracy_val: float  # percent on the whole val split


def at_size(home: Path, study: str, ratio: float) -> AtSize | None:
    """The plan at `ratio` times smaller than the dense ONNX file; None where no file is that small."""
    store = open_store(Home(home).database_url)
    scores = deciding_scores(store, study)
    confirmed = {item.number: item for item in store.results(study, Rung.CONFIRMED)}
    searched = {trial.number for trial in store.trials(study) if trial.is_searched}
    store.close()
    dense = confirmed[1].value("size")
    within = [item for item in confirmed.values() if item.number in searched and dense / item.value("size") >= ratio]
    if not within:
        return None
    chosen = best_by(scores, within)
    images, labels = _val_images()
    artifacts = ArtifactStore(Home(home).artifacts)
    session = onnxruntime.InferenceSession(artifacts.folder(study, "1") / "model.onnx")
    name = session.get_inputs()[0].name
    dense_accuracy = _accuracy(lambda batch: session.run(None, {name: batch})[0], images, labels)
    model = slimfront.load(artifacts.folder(study, str(chosen.number)) / "model.slim")
    accuracy = _accuracy(model, images, labels)
    return AtSize(
        candidate=chosen.number,
        size_ratio=dense / chosen.value("size"),
        drop=chosen.value("drop"),
        drop_val=dense_accuracy - accuracy,
        accuracy_val=accuracy,
    )


def best_by(scores: Mapping[int, Result], files: Sequence[Result]) -> Result:
    """Of confirmed files the best by the scores of the search, the first of equally good ones.

    Confirmation judges them, so it must not choose: what was chosen on the images that judge it looks better than it
    is. Chosen on nine tenths and judged on the last one, equal files pass a bound of 95 % about twice too often: of
    near ties the best of nine tenths is the worst on the last one.
    """
    return max(files, key=lambda item: scores[item.number].value(QUICK_OBJECTIVE))


def _accuracy(
    model: Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float32]],
    images: npt.NDArray[np.float32],
    labels: npt.NDArray[np.int64],
) -> float:
    outputs = np.concatenate([model(images[start : start + BATCH]) for start in range(0, len(images), BATCH)])
    return 100 * float((outputs.argmax(1) == labels).mean())


def _val_images() -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """Normalised images [n, 3, 32, 32] and labels of val/, sorted by path, read here with Pillow alone."""
    mean = np.array([0.485, 0.456, 0.406], np.float32)
    std = np.array([0.229, 0.224, 0.225], np.float32)
    with tarfile.open(data_folder() / "data" / "cifar10.tar.xz") as archive:
        files = {
            member.name: archive.extractfile(member).read()  # type: ignore[union-attr]
            for member in archive
            if member.isfile() and "val/" in member.name
        }
    names = sorted(files)
    classes = sorted({name.split("/")[-2] for name in names})
    pixels = np.stack([np.asarray(Image.open(io.BytesIO(files[name])).convert("RGB")) for name in names])
    images = (pixels.astype(np.float32) / 255 - mean) / std
    labels = np.array([classes.index(name.split("/")[-2]) for name in names])
    return np.ascontiguousarray(images.transpose(0, 3, 1, 2)), labels


def _confirmation_indices(home: Path, study: str, total: int) -> npt.NDArray[np.int64]:
    """Which of the sorted val images are confirmation images."""
    from objectives.workload.subsets import divide

    store = open_store(Home(home).database_url)
    config = StudyConfig.from_json(store.study(study).config_json)
    store.close()
    _, labels = _val_images()
    return divide(total, labels, config.data.quick, config.data.rescore, config.seed, 1).confirmation
