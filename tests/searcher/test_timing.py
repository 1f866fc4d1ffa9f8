"""The last stage: files as they are stored, and what is said of a machine that was busy."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from objectives.latency import Latency, Model, Reference
from searcher.controller import Controller
from searcher.stages import timing
from searcher.stages.prepare import Prepared
from storage.artifacts import ArtifactStore
from storage.records.latency import LatencyTable
from storage.records.measurement import Rung
from storage.records.study import SEARCH_NOTE, StudyState
from storage.slim import SLIM_FILE
from tests.searcher.controlled import NAME, Killed, Recorder, started


def test_a_file_that_was_damaged_is_made_again_before_it_is_timed(prepared: Prepared, tmp_path: Path) -> None:
    def kill(text: str) -> None:
        if text.startswith("latency 0/"):
            raise Killed

    store, home = started(prepared, tmp_path)
    with pytest.raises(Killed):
        Controller(store, home, Recorder(kill)).run(NAME, prepared)
    searched = {trial.number for trial in store.trials(NAME) if trial.baseline is None}
    number = next(row.number for row in store.front(NAME) if row.number in searched)
    path = ArtifactStore(home.artifacts).folder(NAME, str(number)) / SLIM_FILE
    data = path.read_bytes()
    path.write_bytes(data[:-10])
    assert Controller(store, home, Recorder()).run(NAME, prepared).state is StudyState.SUCCEEDED
    assert path.read_bytes() == data
    assert number in {item.number for item in store.results(NAME, Rung.TIMED)}


def test_files_that_were_timed_while_disturbed_are_noted(
    prepared: Prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy(reference: Reference, candidates: dict[str, Model], sample: object) -> dict[str, Latency]:
        del sample
        assert reference.is_trusted  # by the latency table
        return {name: Latency(1.0, 1.0, 1.0, 1.0, 3, name != "2", 0.1 if name == "2" else 0.01) for name in candidates}

    read = LatencyTable.from_json

    def read_quiet(text: str) -> LatencyTable:
        """The machine may not have had a quiet moment when the table was made."""
        return replace(read(text), quiet_ms=1.0)

    monkeypatch.setattr(LatencyTable, "from_json", read_quiet)
    monkeypatch.setattr(timing, "measure", busy)
    store, home = started(prepared, tmp_path)
    Controller(store, home, Recorder()).run(NAME, prepared)
    notes = [event.text for event in store.events(NAME) if event.kind == SEARCH_NOTE]
    assert any("1 of " in text and "files (2) have standard errors of up to 10 %" in text for text in notes)
