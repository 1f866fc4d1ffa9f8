"""Where the files of a study lie on this machine: those that are named by their content are in its own folder."""

from __future__ import annotations

from pathlib import Path

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


def _path(given: str | None, captured: Path) -> str | None:
    own = captured / Path(given or "").name
    return str(own) if given is not None and own.is_file() else given


def _callable(given: str | None, captured: Path) -> str | None:
    """Of "file.py:name" the file."""
    file, colon, name = (given or "").rpartition(":")
    own = captured / Path(file).parent.name / Path(file).name
    return f"{own}{colon}{name}" if own.parent.suffix == CODE_SUFFIX and own.is_file() else given
