"""Where the files of a study lie on this machine: those that are named by their content are in its own folder."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from storage.content import HASH_DIGITS
from storage.errors import FixInputError
from storage.files import content_hash
from storage.home import Home
from storage.records.config import StudyConfig

CODE_SUFFIX = ".code"  # of folders with code of the user's


def located(config: StudyConfig, home: Home) -> StudyConfig:
    """`config` with the paths of captured files as this home has them, wherever the home was that captured them."""
    model, data = config.model, config.data
    return config.model_copy(
        update={
            "model": model.model_copy(
                update={key: _path(getattr(model, key), home.captured) for key in ("weights", "graph")}
                | {"factory": _callable(model.factory, home.captured)}
            ),
            "data": data.model_copy(
                update={"path": _path(data.path, home.captured)}
                | {key: _callable(getattr(data, key), home.captured) for key in ("factory", "metric")}
            ),
        }
    )


def code_digest(root: Path, files: Sequence[Path]) -> str:
    """The name of a folder with these files, which lie below `root`: a hash of their places there and contents."""
    ordered = sorted(files)
    names = [os.path.relpath(file, root) for file in ordered]
    return content_hash(*(part for pair in zip(names, ordered, strict=True) for part in pair))[:HASH_DIGITS]


def captured_code(given: str) -> tuple[Path, ...]:
    """The files of captured code that "file.py:name" is of; none where it is not captured. FixInputError if they are
    not those that were captured."""
    root = Path(given.rpartition(":")[0]).parent
    if root.suffix != CODE_SUFFIX or not root.is_dir():
        return ()
    files = [path for path in root.rglob("*") if path.is_file() and path.parent.name != "__pycache__"]
    if code_digest(root, files) != root.stem:
        raise FixInputError(f"{root} holds other code than what was submitted: submit the study again")
    return tuple(sorted(files))


def _path(given: str | None, captured: Path) -> str | None:
    own = captured / Path(given or "").name
    return str(own) if given is not None and own.is_file() else given


def _callable(given: str | None, captured: Path) -> str | None:
    """Of "file.py:name" the file."""
    file, colon, name = (given or "").rpartition(":")
    own = captured / Path(file).parent.name / Path(file).name
    return f"{own}{colon}{name}" if own.parent.suffix == CODE_SUFFIX and own.is_file() else given
