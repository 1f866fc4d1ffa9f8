"""Files below the home that no study needs: what deleted studies, killed writers and old caches have left."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from searcher.stages.prepare import LIBRARIES
from storage.artifacts import ArtifactStore
from storage.home import OTHER_STORES, Home
from storage.store import StudyStore

# Younger files stay: a study that is being submitted has files before it has a row.
LEAST_AGE_SECONDS = 3600.0
# Of a level library that no study names. Each use makes it young; it can be built again.
LEAST_CACHE_AGE_SECONDS = 7 * 24 * 3600.0


@dataclass(frozen=True)
class Garbage:
    """A file or folder that nothing needs."""

    path: Path
    why: str
    size_bytes: int


def find_garbage(home: Home, store: StudyStore, now: float | None = None) -> tuple[Garbage, ...]:
    """What can go; `now` is the time by the clock of the files."""
    moment = time.time() if now is None else now
    artifacts = list(_entries(home.artifacts))
    captured, caches = (list(_entries(folder, hidden=True)) for folder in (home.captured, home.cache / LIBRARIES))
    # After the files: what was stored meanwhile is known.
    studies = store.studies()
    names = {study.name for study in studies}
    configs = [study.config_json for study in studies]
    libraries = {analysis.library for name in names if (analysis := store.analysis(name)) is not None}
    found: list[tuple[Path, str, float]] = []
    for path in artifacts:
        if path.name not in names:
            found.append((path, "files of a study that is not stored", LEAST_AGE_SECONDS))
        else:
            numbers = {str(trial.number) for trial in store.trials(path.name)}
            unknown = [item for item in ArtifactStore(home.artifacts).study(path.name) if item.name not in numbers]
            found += [(item, "files of a candidate that is not stored", LEAST_AGE_SECONDS) for item in unknown]
    for path in captured:
        if path.name.endswith(".lock") or path.name.startswith(OTHER_STORES):
            continue
        if not any(path.name in config for config in configs):
            found.append((path, "captured for a study that is not stored", LEAST_AGE_SECONDS))
    for path in caches:
        if path.suffix != ".lock" and path.stem not in libraries and path.name not in libraries:
            found.append((path, "level library of no study", LEAST_CACHE_AGE_SECONDS))
    garbage = []
    for path, why, age in found:
        with suppress(FileNotFoundError):  # finished, or removed, by whoever has made it
            if moment - path.lstat().st_mtime >= age:
                garbage.append(Garbage(path, why, _size(path)))
    return tuple(garbage)


def remove(item: Garbage) -> None:
    """Removes it; what is gone already, or may not be removed, is left."""
    with suppress(OSError):
        if item.path.is_dir() and not item.path.is_symlink():
            shutil.rmtree(item.path)
        else:
            item.path.unlink()


def _entries(folder: Path, hidden: bool = False) -> Iterator[Path]:
    """What lies in a folder; hidden are locks and unfinished files."""
    if folder.is_dir():
        yield from sorted(path for path in folder.iterdir() if hidden or not path.name.startswith("."))


def _size(path: Path) -> int:
    if not path.is_dir():
        return path.lstat().st_size
    return sum(Path(folder, name).lstat().st_size for folder, _, names in os.walk(path) for name in names)
