"""`export`: the folder is complete, verified, reproducible, and its files give the figures that it states."""

from __future__ import annotations

import json
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from safetensors.torch import load_file, save_file

import slimfront
from objectives.workload.workload import open_workload
from slimfront.export.folder import check_folder
from slimfront.submit import read_config
from storage.errors import FixInputError
from tests.slimfront.finished import Finished
from tests.slimfront.material import Ran, invoke

NAMES = {"model.slim", "model.onnx", "model.safetensors", "plan.json", "README.md"}


def export(reference: str, folder: Path) -> Ran:
    return invoke("export", reference, "-o", str(folder))


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def row_of(finished: Finished, number: int) -> dict[str, Any]:
    row: dict[str, Any] = next(row for row in finished.front["front"] if row["candidate"] == number)
    return row


@pytest.fixture(scope="module")
def exported(finished: Finished, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The best searched candidate, exported."""
    folder = tmp_path_factory.mktemp("export") / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SLIMFRONT_HOME", str(finished.home))
        ran = export(f"tiny/{finished.best()}", folder)
    assert ran.code == 0, ran.err
    assert "verified: model.slim and model.onnx compute the same" in ran.err
    assert {Path(line).name for line in ran.out.splitlines()} == NAMES
    return folder


def test_the_folder_holds_the_five_files_and_nothing_lies_beside_it(exported: Path) -> None:
    assert set(contents(exported)) == NAMES
    assert [entry.name for entry in exported.parent.iterdir()] == ["out"]


def test_the_packed_file_is_the_one_that_was_measured(at_home: Finished, exported: Path) -> None:
    number = at_home.best()
    measured = at_home.home / "artifacts" / "tiny" / str(number) / "model.slim"
    assert (exported / "model.slim").read_bytes() == measured.read_bytes()
    assert (exported / "model.slim").stat().st_size == row_of(at_home, number)["size_bytes"]
    assert (exported / "model.onnx").stat().st_size == row_of(at_home, number)["onnx_bytes"]


def test_the_files_alone_give_the_accuracy_of_the_front(at_home: Finished, exported: Path) -> None:
    images = open_workload(read_config(at_home.folder / "study.toml")).confirmation
    assert images.labels is not None
    session = onnxruntime.InferenceSession(exported / "model.onnx", providers=["CPUExecutionProvider"])
    by_onnx = session.run(None, {session.get_inputs()[0].name: images.images})[0]
    by_slim = slimfront.load(exported / "model.slim")(images.images)
    for outputs in (by_slim, by_onnx):
        accuracy = 100 * float((outputs.argmax(1) == images.labels).mean())
        assert accuracy == pytest.approx(row_of(at_home, at_home.best())["accuracy"], abs=1e-9)


def test_the_state_dict_is_that_of_the_torch_module(exported: Path) -> None:
    state = load_file(exported / "model.safetensors")
    module = slimfront.load_torch(exported / "model.slim")
    assert set(state) == set(module.state_dict())
    assert all(np.array_equal(state[name], value) for name, value in module.state_dict().items())


def test_plan_json_states_layers_figures_and_versions(at_home: Finished, exported: Path) -> None:
    plan = json.loads((exported / "plan.json").read_text())
    shown = json.loads(invoke("show", f"tiny/{at_home.best()}", "--json").out)
    assert {key: plan[key] for key in shown} == shown
    assert plan["target"] == {"size": "3x", "max_drop": 10.0}
    assert plan["input"]["shape"] == [1, 8, 8]
    assert plan["input"]["classes"] == list("0123456789")
    assert plan["files"]["model.slim"] == shown["row"]["size_bytes"]
    assert plan["versions"]["slimfront"] == slimfront.__version__
    assert "agree with the float32 weights" in plan["verification"]
    assert plan["format"] == "slimfront-plan-2"
    assert plan["groups"][0]["name"] == "conv2"


def test_the_readme_states_the_figures_and_runs_as_written(
    at_home: Finished, exported: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (exported / "README.md").read_text()
    row = row_of(at_home, at_home.best())
    for part in (
        f"{row['accuracy']:.2f} %",
        f"{row['drop_upper']:.2f} points",
        f"{row['size_bytes']} bytes",
        "Verified",
    ):
        assert part in text
    programs = [block.partition("```")[0] for block in text.split("```python\n")[1:]]
    assert len(programs) == 3
    monkeypatch.chdir(exported)
    for program in programs:
        names: dict[str, Any] = {}
        exec(program, names)
        assert tuple(names["logits"].shape) == (1, 10)


def test_exporting_again_replaces_and_gives_the_same_bytes(at_home: Finished, tmp_path: Path, exported: Path) -> None:
    folder = tmp_path / "again"
    shutil.copytree(exported, folder)
    (folder / "model.onnx").write_bytes(b"old")
    ran = export(f"tiny/{at_home.best()}", folder)
    assert ran.code == 0, ran.err
    assert "has been replaced" in ran.err
    assert contents(folder) == contents(exported)


def test_a_folder_that_version_0_1_exported_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "plan.json").write_text('{"format": "slimfront-plan-1"}')
    (tmp_path / "model.slim").write_bytes(b"old")
    assert check_folder(tmp_path)
    (tmp_path / "plan.json").write_text('{"format": "another"}')
    with pytest.raises(FixInputError, match="holds other files"):
        check_folder(tmp_path)


def test_a_candidate_with_fewer_channels_is_really_smaller(at_home: Finished, tmp_path: Path) -> None:
    number = next(row["candidate"] for row in at_home.front["baselines"] if row["name"] == "uniform c50")
    assert export(f"tiny/{number}", tmp_path / "out").code == 0
    module = slimfront.load_torch(tmp_path / "out" / "model.slim")
    shapes = {name: tuple(value.shape) for name, value in module.state_dict().items()}
    assert shapes["conv2.weight"] == (12, 12, 3, 3)
    assert shapes["linear.weight"] == (10, 12)
    text = (tmp_path / "out" / "README.md").read_text()
    assert "12 of the 24 channels that can be removed left" in text


def test_the_dense_model_exports_as_a_candidate(at_home: Finished, tmp_path: Path) -> None:
    assert export("tiny/1", tmp_path / "dense").code == 0
    assert set(contents(tmp_path / "dense")) == NAMES
    dense = at_home.front["dense"]
    assert (tmp_path / "dense" / "model.onnx").stat().st_size == dense["size_bytes"]
    plan = json.loads((tmp_path / "dense" / "plan.json").read_text())
    assert {layer["level"] for layer in plan["layers"]} == {"fp32"}


def test_the_baseline_of_onnxruntime_has_no_packed_file(at_home: Finished, tmp_path: Path) -> None:
    ran = export("tiny/2", tmp_path / "int8")
    assert ran.code == 0, ran.err
    assert set(contents(tmp_path / "int8")) == {"model.onnx", "plan.json", "README.md"}
    assert "There is no `model.slim`" in (tmp_path / "int8" / "README.md").read_text()
    assert onnxruntime.InferenceSession(tmp_path / "int8" / "model.onnx").get_inputs()[0].shape[1:] == [1, 8, 8]


def test_a_candidate_without_a_measured_file_is_refused(at_home: Finished, tmp_path: Path) -> None:
    confirmed = {row["candidate"] for row in (*at_home.front["front"], *at_home.front["baselines"])}
    artifacts = {int(entry.name) for entry in (at_home.home / "artifacts" / "tiny").iterdir() if entry.name.isdigit()}
    open_numbers = sorted(set(range(1, 21)) - confirmed - artifacts)
    if not open_numbers:
        pytest.skip("every candidate of this small study was confirmed")
    ran = export(f"tiny/{open_numbers[0]}", tmp_path / "out")
    assert ran.code == 2
    assert "was not confirmed" in ran.err


def test_an_unknown_candidate_gives_4_and_writes_nothing(at_home: Finished, tmp_path: Path) -> None:
    assert export("tiny/999", tmp_path / "out").code == 4
    assert export("tinny/1", tmp_path / "out").code == 4
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("foreign", ["notes.txt", "model.onnx"])
def test_a_folder_with_other_files_is_left_alone(at_home: Finished, tmp_path: Path, foreign: str) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / foreign).write_text("mine")
    ran = export("tiny/1", tmp_path / "mine")
    assert ran.code == 2
    assert "holds other files" in ran.err
    assert contents(tmp_path / "mine") == {foreign: b"mine"}


def test_an_empty_folder_is_taken(at_home: Finished, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert export("tiny/1", tmp_path / "empty").code == 0
    assert set(contents(tmp_path / "empty")) == NAMES


def test_the_current_folder_and_files_are_refused(
    at_home: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.chdir(tmp_path)
    assert "current folder" in export("tiny/1", Path(".")).err
    assert "current folder" in export("tiny/1", tmp_path.parent).err
    assert "is a file" in export("tiny/1", Path("file")).err
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


@pytest.fixture
def copied(finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the home that a test may damage."""
    home = tmp_path / "home"
    shutil.copytree(finished.home, home)
    monkeypatch.setenv("SLIMFRONT_HOME", str(home))
    return home


def test_a_library_that_is_gone_is_built_again(
    finished: Finished, copied: Path, tmp_path: Path, exported: Path
) -> None:
    shutil.rmtree(copied / "cache")
    ran = export(f"tiny/{finished.best()}", tmp_path / "out")
    assert ran.code == 0, ran.err
    assert contents(tmp_path / "out") == contents(exported)


def test_a_library_of_other_weights_is_noticed(finished: Finished, copied: Path, tmp_path: Path) -> None:
    shutil.rmtree(copied / "cache")
    weights, other = finished.folder / "tiny.safetensors", tmp_path / "other.safetensors"
    save_file({key: value * 1.01 for key, value in load_file(weights).items()}, other)
    connection = sqlite3.connect(copied / "slimfront.db")
    with connection:  # as if the file under the old path had changed
        change = "UPDATE studies SET config_json = replace(config_json, ?, ?)"
        connection.execute(change, (str(weights), str(other)))
    connection.close()
    ran = export(f"tiny/{finished.best()}", tmp_path / "out")
    assert ran.code == 2
    assert "has changed since it ran" in ran.err
    assert not (tmp_path / "out").exists()


def test_a_file_that_differs_from_the_measured_one_is_not_passed_off_as_it(
    finished: Finished, copied: Path, tmp_path: Path
) -> None:
    measured = copied / "artifacts" / "tiny" / str(finished.best()) / "model.slim"
    measured.write_bytes(measured.read_bytes()[:-1] + b"?")
    ran = export(f"tiny/{finished.best()}", tmp_path / "out")
    assert ran.code == 1
    assert "is not the one that was measured" in ran.err
    assert not (tmp_path / "out").exists()


def test_measured_files_that_are_gone_are_made_again_if_the_size_is_right(
    finished: Finished, copied: Path, tmp_path: Path, exported: Path
) -> None:
    shutil.rmtree(copied / "artifacts")
    assert export(f"tiny/{finished.best()}", tmp_path / "out").code == 0
    assert contents(tmp_path / "out") == contents(exported)
    ran = export("tiny/2", tmp_path / "int8")
    assert ran.code == 0, ran.err
