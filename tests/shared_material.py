"""The CIFAR-10 models and images beside the checkout; tests that need them skip where they are absent."""

from __future__ import annotations

from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]


def shared_folder() -> Path:
    """The folder `shared` beside the repository root or beside one of the folders above it; else a skip."""
    for folder in (REPOSITORY, *REPOSITORY.parents):
        candidate = folder.parent / "shared"
        if (candidate / "models").is_dir():
            return candidate
    pytest.skip("no folder `shared` with models/ beside the checkout")


def shared_file(relative: str) -> Path:
    """A file of the shared folder, such as "models/resnet20.safetensors"; else a skip that names it."""
    path = shared_folder() / relative
    if not path.is_file():
        pytest.skip(f"{relative} is not in the shared folder")
    return path
