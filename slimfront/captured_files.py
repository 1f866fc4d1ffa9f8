"""Captured models, code and arrays that no study needs any more."""

from __future__ import annotations

import shutil

from storage.home import Home
from storage.store import StudyStore


def remove_captured(home: Home, store: StudyStore, config_json: str) -> None:
    """Removes the captured files that a deleted study has named, and no other study of the store does."""
    others = [study.config_json for study in store.studies()]
    for path in home.captured.glob("*"):
        if path.name in config_json and not any(path.name in other for other in others):
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
