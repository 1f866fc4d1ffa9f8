"""A study that needs none of its user's files but the data: all else is copied, under the hash of its content."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

from objectives.workload.factory import UserCallable, load_callable
from objectives.workload.sources import source_files
from storage.content import keep_content
from storage.errors import FixInputError
from storage.files import atomic_folder, content_hash
from storage.home import Home
from storage.located import CODE_SUFFIX, code_digest
from storage.records.config import StudyConfig


def self_contained(config: StudyConfig, home: Home) -> StudyConfig:
    """`config` with weights, and files with code of the user's, as copies below `home.captured`; a later edit changes
    nothing. What is installed as a package, and the data, stay where they are.

    The input has been prepared in this process, so that all code that it needs is imported. FixInputError where files
    lie elsewhere than beside the one that is named; DiskFullError.
    """
    model, data = config.model, config.data
    keep = partial(_kept_code, folder=home.captured)
    return config.model_copy(
        update={
            "model": model.model_copy(
                update={"factory": keep(model.factory), "weights": _kept_file(model.weights, home.captured)}
            ),
            "data": data.model_copy(update={"factory": keep(data.factory), "metric": keep(data.metric)}),
        }
    )


def _kept_file(given: str | None, folder: Path) -> str | None:
    if given is None:
        return None

    def copy(path: Path) -> None:
        shutil.copyfile(given, path)

    return str(keep_content(folder, Path(given).suffix, copy))


def _kept_code(given: str | None, folder: Path) -> str | None:
    """The same callable in a copy of its file and of those beside it that it imports."""
    if given is None or ":" not in given:
        return given
    found = load_callable(given)
    if not found.is_file:
        return given
    file, _, name = given.rpartition(":")
    return f"{_kept_folder(found, folder) / Path(file).name}:{name}"


def _kept_folder(found: UserCallable, folder: Path) -> Path:
    root = found.root
    assert root is not None  # of a file
    files = source_files(found)
    kept = folder / f"{code_digest(root, files)}{CODE_SUFFIX}"
    if kept.is_dir():
        os.utime(kept)  # young again: `gc` leaves it
        return kept
    with atomic_folder(kept) as new:
        for file in files:
            copy = new / os.path.relpath(file, root)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, copy)
    return kept


def content_of(config: StudyConfig, home: Home) -> str:
    """Hash of what a self-contained study asks for, wherever the home lies that has its files."""
    return content_hash(config.to_json().replace(str(home.captured), ""))


def check_contained(config: StudyConfig, workload: str) -> None:
    """FixInputError unless a process that has nothing but the copies gets the same model and data: code may need files
    that are not copied. `workload` is the hash of the originals."""
    done = subprocess.run(
        [sys.executable, "-P", "-m", "slimfront.opened_alone"],
        check=False,
        input=config.to_json(),
        capture_output=True,
        text=True,
    )
    lines = done.stdout.strip().splitlines() or done.stderr.strip().splitlines() or ["it ended without a word"]
    if done.returncode:
        raise FixInputError(
            f"the study works where its files are, but not with copies of its code and weights alone ({lines[-1]}): "
            "submitted code may need no files but those that it imports from beside it; `slimfront run` runs it here"
        )
    if lines[-1] != workload:
        raise FixInputError("the study's files have changed while they were read: submit it again")
