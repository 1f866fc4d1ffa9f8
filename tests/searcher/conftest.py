"""What the controller's tests share."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from searcher.stages.prepare import Prepared, prepare
from tests.searcher.controlled import Recorder, config
from tests.slimfront.finished import trained_in


@pytest.fixture(scope="module")
def workplace(shared_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of our own with a trained network."""
    folder = tmp_path_factory.mktemp("controller") / "trained"
    shutil.copytree(trained_in(shared_folder / "front-door"), folder)
    return folder


@pytest.fixture(scope="module")
def prepared(workplace: Path) -> Prepared:
    return prepare(config(workplace), Recorder())
