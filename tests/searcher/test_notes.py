"""What is said of a search while it runs is kept for those who read its front."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from dashboards.front import front_view
from dashboards.study import read_study
from searcher import controller
from searcher.controller import Controller
from searcher.notes import keep_note
from storage.errors import DiskFullError, GiveUpError
from storage.home import Home
from storage.records.config import StudyConfig
from storage.store import StudyStore
from tests.built import Built
from tests.dashboards import samples
from tests.searcher.controlled import Events


def notes(store: StudyStore, tmp_path: Path) -> tuple[str, ...]:
    return front_view(read_study(store, samples.NAME), Home(tmp_path)).notes


def test_a_note_is_told_at_every_attempt_and_kept_once(tmp_path: Path) -> None:
    store, progress = samples.new_store(), Events()
    for text in ("HiGHS: 0.50 %", "another", "HiGHS: 0.50 %"):
        keep_note(store, samples.NAME, text, progress)
    assert progress.seen == ["HiGHS: 0.50 %", "another", "HiGHS: 0.50 %"]
    assert notes(store, tmp_path) == ("HiGHS: 0.50 %", "another")


def test_why_latency_is_not_predicted_is_kept(
    built: Callable[[str], Built], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise GiveUpError("layer conv1 cannot be timed alone")

    monkeypatch.setattr(controller, "open_or_measure", refuse)
    store, progress = samples.new_store(), Events()
    running = Controller(store, Home(tmp_path), progress)
    config = StudyConfig.from_json(store.study(samples.NAME).config_json)
    assert running._latency_table(samples.NAME, built("vgg").library, config, progress) is None
    assert notes(store, tmp_path) == ("latency is not predicted: layer conv1 cannot be timed alone",)
    assert progress.seen == list(notes(store, tmp_path))


def test_a_full_disk_is_no_reason_to_go_without_predictions(
    built: Callable[[str], Built], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise DiskFullError("the disk is full")

    monkeypatch.setattr(controller, "open_or_measure", refuse)
    store, progress = samples.new_store(), Events()
    config = StudyConfig.from_json(store.study(samples.NAME).config_json)
    with pytest.raises(DiskFullError):
        Controller(store, Home(tmp_path), progress)._latency_table(samples.NAME, built("vgg").library, config, progress)
    assert notes(store, tmp_path) == ()
