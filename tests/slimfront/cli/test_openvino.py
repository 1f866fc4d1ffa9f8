"""A study whose runtime is OpenVINO is predicted, confirmed, timed and judged on it, and on nothing else."""

from __future__ import annotations

import json
import shutil
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from learners.export.packing import assemble_onnx
from objectives.accuracy import evaluate
from objectives.runtimes.packed import PackedSession
from objectives.runtimes.table import runtime
from objectives.targets import Figures, meets
from objectives.workload.workload import open_workload
from searcher.stages import files
from storage.artifacts import ArtifactStore
from storage.home import Home
from storage.open import open_store
from storage.records.config import StudyConfig
from storage.records.dense import DenseFacts
from storage.records.latency import LatencyTable
from storage.records.measurement import Rung
from storage.records.study import FILES_RUNTIME
from storage.records.target import Target
from storage.slim import unpack
from tests.slimfront.material import Ran, invoke, write_study

NAME = "tiny"
BASELINES = 11  # at most: higher numbers are of searched candidates
RUNTIME = '\n[runtime]\nname = "openvino"\n'


@dataclass(frozen=True)
class OpenVinoStudy:
    """A finished study; its home is a test's to copy, not to change."""

    home: Path
    ran: Ran
    packed: int  # sessions of ONNX Runtime that were opened on a model.slim

    def front(self) -> dict[str, Any]:
        shown = invoke("front", NAME, "--json")
        assert shown.code == 0, shown.err
        document: dict[str, Any] = json.loads(shown.out)
        return document


@pytest.fixture(scope="module")
def study(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> OpenVinoStudy:
    """A study with a latency target, run in this process."""
    folder, home = tmp_path_factory.mktemp("openvino"), tmp_path_factory.mktemp("home")
    path = write_study(folder, trained, size='"2x"\nlatency = "1.05x"')
    path.write_text(path.read_text() + RUNTIME)
    opened = 0

    class Counted(PackedSession):
        def __init__(self, *arguments: Any) -> None:
            nonlocal opened
            opened += 1
            super().__init__(*arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SLIMFRONT_HOME", str(home))
        patch.setenv("SLIMFRONT_INLINE", "1")
        patch.delenv("SLIMFRONT_STORE", raising=False)
        patch.setattr(files, "PackedSession", Counted)
        ran = invoke("run", str(path))
    return OpenVinoStudy(home, ran, opened)


@pytest.fixture
def at_home(study: OpenVinoStudy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the study's home as the one that commands see."""
    home = tmp_path / "copied"
    shutil.copytree(study.home, home)
    monkeypatch.setenv("SLIMFRONT_HOME", str(home))
    monkeypatch.delenv("SLIMFRONT_STORE", raising=False)
    return home


def test_no_file_is_opened_by_another_runtime(study: OpenVinoStudy, at_home: Path) -> None:
    assert study.ran.code in (0, 3), study.ran.err  # 3: the target is not met
    assert study.packed == 0
    front = study.front()
    assert "openvino" in front["hardware"]
    assert not any("runtime" in note or "on onnxruntime" in note for note in front["notes"])
    assert all(row["latency_ms"] > 0 and row["speedup"] > 0 for row in front["front"])


def test_the_latency_table_is_of_the_runtime(study: OpenVinoStudy, at_home: Path) -> None:
    with_table = _analysis(at_home)
    assert with_table is not None
    table = LatencyTable.from_json(with_table)
    assert table.runtime == "openvino"
    assert table.hardware == study.front()["hardware"]


def test_accuracy_is_what_the_runtime_computes(study: OpenVinoStudy, at_home: Path) -> None:
    store = open_store(Home(at_home).database_url)
    config = StudyConfig.from_json(store.study(NAME).config_json)
    found = {item.number: item.value("accuracy") for item in store.results(NAME, Rung.CONFIRMED)}
    store.close()
    images = open_workload(config).confirmation
    numbers = [row["candidate"] for row in study.front()["front"] if row["candidate"] > BASELINES]
    assert numbers
    for number in numbers:
        packed = ArtifactStore(Home(at_home).artifacts).folder(NAME, str(number)) / "model.slim"
        session = runtime("openvino").session(assemble_onnx(unpack(packed.read_bytes())), 1)
        hits = (evaluate(session, images.images).argmax(1) == images.labels).mean()
        assert found[number] == pytest.approx(100 * float(hits), abs=1e-9)


def test_the_verdict_goes_by_what_was_timed(study: OpenVinoStudy, at_home: Path) -> None:
    front = study.front()
    dense, target = DenseFacts(**front["dense"]), Target.from_dict(front["target"])
    assert dense.latency_ms is not None
    for row in front["front"]:
        figures = Figures(row["accuracy"], row["drop"], row["size_bytes"], row["latency_ms"], row["macs"])
        assert row["meets_target"] == meets(target, figures, dense)
    assert front["target_met"] == any(row["meets_target"] for row in front["front"])
    assert (study.ran.code == 0) == front["target_met"]


def test_speeds_that_an_earlier_version_took_on_another_runtime_count_for_nothing(
    study: OpenVinoStudy, at_home: Path
) -> None:
    _forget_runtime(at_home, "succeeded")
    front = study.front()
    assert all(row["latency_ms"] is None and row["speedup"] is None for row in front["front"])
    assert front["dense"]["latency_ms"] is None
    assert not front["target_met"]  # a latency that nobody has measured is not met
    note = front["notes"][0]
    assert "on onnxruntime, not on openvino" in note
    assert f"note: {note}" in invoke("front", NAME).out.splitlines()


def test_two_runtimes_do_not_mix_in_one_study(study: OpenVinoStudy, at_home: Path) -> None:
    _forget_runtime(at_home, "interrupted")
    ran = invoke("resume", NAME)
    assert ran.code == 2
    (line,) = ran.errors
    assert line.endswith("ran its files on onnxruntime in place of openvino: start a new study")


def test_an_exported_model_says_on_what_it_was_measured(study: OpenVinoStudy, at_home: Path, tmp_path: Path) -> None:
    number = next(row["candidate"] for row in study.front()["front"] if row["candidate"] > BASELINES)
    assert invoke("export", f"{NAME}/{number}", "-o", str(tmp_path / "out")).code == 0
    text = (tmp_path / "out" / "README.md").read_text()
    assert "are those of `model.onnx` on openvino" in text
    assert json.loads((tmp_path / "out" / "plan.json").read_text())["hardware"] == study.front()["hardware"]


def _analysis(home: Path) -> str | None:
    store = open_store(Home(home).database_url)
    found = store.analysis(NAME)
    store.close()
    return None if found is None else found.latency_json


def _forget_runtime(home: Path, state: str) -> None:
    """Makes of the study one that an earlier version has run."""
    with sqlite3.connect(Home(home).database_url.removeprefix("sqlite:///")) as connection:
        removed = connection.execute("delete from events where kind = ?", (FILES_RUNTIME,)).rowcount
        connection.execute("update studies set state = ?", (state,))
    assert removed == 1
