"""`slimfront.compress`: from live objects to the front that a study file gives, whatever happens on the way."""

from __future__ import annotations

import inspect
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pytest
import torch
from safetensors import safe_open
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import slimfront
from benchmarks.timeless import timeless
from slimfront.result import StudyResult
from storage.errors import FixInputError, SlimfrontError, StudyExistsError
from storage.records.config import SearchConfig
from tests.slimfront.finished import Finished
from tests.slimfront.material import execute, invoke
from tests.slimfront.python_api import OPTIONS, TARGET, arrays, live_network, start_script, tensors, with_latencies

Compressed: TypeAlias = tuple[StudyResult, nn.Module, Path]  # a result, its network, its home


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home."""
    monkeypatch.setenv("SLIMFRONT_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("SLIMFRONT_STORE", raising=False)
    return tmp_path / "home"


@pytest.fixture(scope="module")
def compressed(
    finished: Finished, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[StudyResult, nn.Module, Path]]:
    """The study of the study file, asked for from Python in this process, its network and its home."""
    home = with_latencies(tmp_path_factory.mktemp("python") / "home", finished.home)
    model = live_network(finished.folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SLIMFRONT_HOME", str(home))
        patch.delenv("SLIMFRONT_STORE", raising=False)
        yield slimfront.compress(model, arrays("train"), arrays("val"), TARGET, progress=False, **OPTIONS), model, home


def front_of(document: dict[str, Any]) -> Any:
    """What two studies of the same things have in common."""
    return {**timeless(json.loads(json.dumps(document))), "study": ""}


def refused(model: Any, train: Any, val: Any, target: Any = TARGET, **options: Any) -> str:
    with pytest.raises(SlimfrontError) as caught:
        slimfront.compress(model, train, val, target, progress=False, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_the_front_is_that_of_the_study_file(finished: Finished, compressed: Compressed) -> None:
    result, _, home = compressed
    assert result.state == "succeeded"
    assert front_of(result.to_dict()) == front_of(finished.front)
    for row in result.front:
        ours, theirs = (
            folder / str(row.candidate)
            for folder in (home / "artifacts" / result.name, finished.home / "artifacts" / "tiny")
        )
        names = {file.name for file in ours.iterdir()}
        assert names == {file.name for file in theirs.iterdir()}
        assert all((ours / name).read_bytes() == (theirs / name).read_bytes() for name in names)


def test_the_name_is_that_of_the_class_and_of_what_is_asked(compressed: Compressed) -> None:
    result, model, home = compressed
    assert result.name.startswith("TinyNet-")
    assert model.training
    files = sorted((home / "captured").iterdir())
    assert [file.suffix for file in files] == [".safetensors", ".safetensors"]


def test_the_same_call_returns_the_same_study(
    compressed: Compressed, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    result, model, home = compressed
    monkeypatch.setenv("SLIMFRONT_HOME", str(home))
    monkeypatch.delenv("SLIMFRONT_STORE", raising=False)
    # However the same images come; a quiet call says nothing.
    loader = DataLoader(TensorDataset(*tensors("val")), batch_size=64)
    dataset = TensorDataset(*tensors("train"))
    again = slimfront.compress(model, dataset, loader, {"size": "3x", "max_drop": 10}, progress=False, **OPTIONS)
    assert capfd.readouterr() == ("", "")
    assert again.name == result.name
    assert again.to_dict() == result.to_dict()
    again = slimfront.compress(model, dataset, loader, TARGET, **OPTIONS)
    assert again.front == result.front
    assert f"study {result.name} is there already: this is its result" in capfd.readouterr().err
    assert [line.study for line in slimfront.list_studies()] == [result.name]


def test_a_home_by_another_path_holds_the_same_study(
    compressed: Compressed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result, model, home = compressed
    (tmp_path / "elsewhere").symlink_to(home)
    monkeypatch.setenv("SLIMFRONT_HOME", str(tmp_path / "elsewhere"))
    again = slimfront.compress(model, arrays("train"), arrays("val"), TARGET, progress=False, **OPTIONS)
    assert again.name == result.name
    assert again.front == result.front


def test_every_option_of_the_search_is_a_keyword() -> None:
    assert set(SearchConfig.model_fields) <= set(inspect.signature(slimfront.compress).parameters)


def test_another_study_of_that_name_is_refused(compressed: Compressed, monkeypatch: pytest.MonkeyPatch) -> None:
    result, model, home = compressed
    monkeypatch.setenv("SLIMFRONT_HOME", str(home))
    options = {**OPTIONS, "name": result.name}
    train, val = arrays("train"), arrays("val")
    assert slimfront.compress(model, train, val, TARGET, progress=False, **options).name == result.name
    changed = {
        "target": refused(model, train, val, "size=4x", **options),
        "search": refused(model, train, val, TARGET, **{**options, "candidates": 13}),
        "data": refused(model, train, (val[0][:200], val[1][:200]), TARGET, **options),
        "seed": refused(model, train, val, TARGET, seed=1, **options),
    }
    for key, message in changed.items():
        assert f"study {result.name} exists already with another {key}: choose another name, or" in message
    with pytest.raises(StudyExistsError):
        slimfront.compress(nn.Sequential(nn.Flatten(), nn.Linear(64, 10)), train, val, TARGET, **options)


def test_its_files_are_exported_without_the_class(compressed: Compressed, tmp_path: Path) -> None:
    result, _, home = compressed
    number = result.best().candidate
    ran = execute(home, "export", f"{result.name}/{number}", "-o", str(tmp_path / "out"))
    assert ran.code == 0, ran.err
    module = slimfront.load_torch(tmp_path / "out" / "model.slim")
    assert {"conv1.weight", "depthwise.weight", "conv2.weight", "linear.weight"} <= set(module.state_dict())
    assert "Normalised as the images were that the study was given." in (tmp_path / "out" / "README.md").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("again", ["compress", "resume"])
def test_a_killed_call_goes_on(
    finished: Finished, compressed: Compressed, again: str, home: Path, tmp_path: Path
) -> None:
    result, _, _ = compressed
    with_latencies(home, finished.home)
    weights = finished.folder / "tiny.safetensors"
    with start_script(home, weights, tmp_path) as process:
        assert process.stderr is not None
        assert any(line.startswith("quick") for line in process.stderr)
        process.kill()
        process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert slimfront.load_study(result.name).state == "interrupted"
    if again == "compress":
        with start_script(home, weights, tmp_path) as process:
            out, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
        assert out.strip() == result.name
        assert f"study {result.name} is there already: going on with it" in err
    else:  # in a process that has neither the class nor the loaders
        ran = execute(home, "resume", result.name)
        assert ran.code == 0, ran.err
    assert front_of(slimfront.load_study(result.name).to_dict()) == front_of(result.to_dict())


def test_an_interrupted_call_says_how_it_goes_on(
    finished: Finished, compressed: Compressed, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result, model, _ = compressed
    with_latencies(home, finished.home)
    monkeypatch.setattr("searcher.controller.confirm", interrupt)
    with pytest.raises(KeyboardInterrupt) as caught:
        slimfront.compress(model, arrays("train"), arrays("val"), TARGET, progress=False, **OPTIONS)
    wanted = f"study {result.name} is interrupted: the same call again, or `slimfront resume {result.name}`, goes on"
    assert caught.value.__notes__[0].startswith(wanted)
    found = slimfront.load_study(result.name)
    assert found.state == "interrupted"
    assert len(found.front) > 0
    assert "~" in repr(found.front)  # quick figures


def interrupt(*_: object) -> None:
    """Ctrl-C at this moment."""
    raise KeyboardInterrupt


def test_deleting_a_study_removes_what_only_it_needs(
    compressed: Compressed, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, model, _ = compressed
    monkeypatch.setattr("slimfront.compression.Controller.run", lambda *_: None)
    for name, seed in (("a", 0), ("b", 1)):
        slimfront.compress(model, arrays("train"), arrays("val"), TARGET, name=name, seed=seed, progress=False)
    kept = sorted((home / "captured").iterdir())
    assert len(kept) == 2
    assert invoke("delete", "a", "--yes").code == 0
    assert sorted((home / "captured").iterdir()) == kept
    assert invoke("delete", "b", "--yes").code == 0
    assert list((home / "captured").iterdir()) == []


def test_a_captured_file_that_is_gone_is_named(
    compressed: Compressed, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, model, _ = compressed
    with monkeypatch.context() as patch:
        patch.setattr("slimfront.compression.Controller.run", lambda *_: None)
        slimfront.compress(model, arrays("train"), arrays("val"), TARGET, name="gone", progress=False)
    for path in (home / "captured").iterdir():
        path.unlink()
    ran = invoke("resume", "gone")
    assert ran.code == 2
    assert "there is no such file; set [data] path, or call slimfront.compress again" in ran.errors[0]


def test_options_are_checked_before_a_loader_is_run(home: Path) -> None:
    def never() -> Iterator[Any]:
        raise AssertionError("the loader was run")
        yield

    model = nn.Linear(3, 2)
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"target": "size=0.5x"}, "target: size = '0.5x' asks for more than the dense model has"),
        ({"target": ""}, "target: the target is empty; write for example"),
        ({"target": {"speed": "2x"}}, "target: 'speed' is not a target; the targets are size, latency, macs, max_drop"),
        ({"target": 8}, 'target: is of type int; write for example "size=8x drop<=1"'),
        ({"sampler": "magic"}, 'compress(): [search] sampler = "magic" is not known; Known: allocation'),
        ({"learners": ["prune"]}, 'compress(): [search] learners = "prune" is not known'),
        ({"learners": "quant"}, 'learners is one string; give a list, such as ["quant"]'),
        ({"runtime": "onnx"}, 'did you mean "onnxruntime"?'),
        ({"candidates": 0}, "compress(): [search] candidates = 0: must be greater than or equal to 1"),
        ({"candidates": 5, "minutes": 1.0}, "minutes cannot go with candidates"),
        ({"metric": "f1"}, 'compress(): [data] metric = "f1" is not known'),
        ({"metric": len}, 'which cannot go to workers: write it into a file and give "file.py:callable"'),
        ({"name": "my study"}, 'name = "my study" is not a study name'),
        ({"name": ""}, 'name = "" is not a study name'),
        ({"seed": -1}, "compress(): seed = -1"),
        ({"train_images": 0}, "train_images = 0 is no number"),
        ({"val_images": -5}, "val_images = -5 is no number"),
        ({"workers": 0}, "workers = 0 is no number"),
        ({"store": "mysql://x"}, "store 'mysql://x' is none that Slimfront opens"),
    ]
    for options, expected in wrong:
        target = options.pop("target", TARGET)
        assert expected in refused(model, never(), never(), target, **options), options
    assert "model is of type int; give a trained torch.nn.Module" in refused(7, never(), never())


IMAGES, LABELS = np.zeros((40, 3), np.float32), np.arange(40) % 2


@pytest.mark.parametrize(
    ("train", "val", "expected"),
    [
        ((IMAGES, LABELS), (IMAGES[:, :2], LABELS), "val has images of shape [2], but those of train are [3]"),
        ((IMAGES, LABELS), (IMAGES[:5], LABELS[:5]), "the val split has 5 images; at least 20 are needed"),
        ((IMAGES, LABELS), (IMAGES, LABELS + 0.5), "val has labels of type float64"),
        ((IMAGES, LABELS), (IMAGES, LABELS + 1), "labels up to 2 and the model has 2 outputs"),
        ([{"image": IMAGES}], (IMAGES, LABELS), "train holds dicts ('image')"),
        ((1 / 0 for _ in range(2)), (IMAGES, LABELS), "train raised ZeroDivisionError: division by zero"),
        ((IMAGES[:, :2], LABELS), (IMAGES, LABELS), "Linear cannot run on an input of shape [2, 2], as train gives it"),
    ],
)
def test_data_that_cannot_be_used(home: Path, train: Any, val: Any, expected: str) -> None:
    assert expected in refused(nn.Linear(3, 2), train, val, "drop<=50")
    assert slimfront.list_studies() == ()


def test_a_part_of_the_classes_is_noted(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sorted_labels = torch.arange(4).repeat_interleave(25)
    loader = DataLoader(TensorDataset(torch.zeros(100, 3), sorted_labels), batch_size=10)
    with pytest.raises(FixInputError):  # after capturing: the target is out of reach
        slimfront.compress(nn.Linear(3, 4), loader, loader, "size=1000x", train_images=30, calibration=30)
    noted = capsys.readouterr().err
    assert "captured the model, 30 images of train and 100 of val" in noted
    assert "the images of train hold 2 of the 4 classes of val: let its loader shuffle, or raise train_images" in noted


def test_shuffling_loaders_give_the_same_study(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("slimfront.compression.Controller.run", lambda *_: None)
    images, labels = tensors("val")
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    before = torch.get_rng_state()
    names = []
    for _ in range(2):
        loader = DataLoader(TensorDataset(images, labels), batch_size=32, shuffle=True)
        names.append(slimfront.compress(model, loader, loader, "size=2x", progress=False).name)
        torch.rand(3)  # whatever a notebook does between two calls
    assert names[0] == names[1]
    assert names[0].startswith("Sequential-")
    torch.set_rng_state(before)


def test_a_metric_of_the_user_and_images_without_labels(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("slimfront.compression.Controller.run", lambda *_: None)
    images, _ = arrays("val")
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    (tmp_path / "metric.py").write_text("def score(outputs, labels):\n    return outputs[:, 0] * 0 + 1\n")
    monkeypatch.chdir(tmp_path)
    names = [slimfront.compress(model, images, images, "size=2x", progress=False, metric="metric.py:score").name]
    (tmp_path / "metric.py").write_text("def score(outputs, labels):\n    return outputs[:, 0] * 0 + 0.5\n")
    names.append(slimfront.compress(model, images, images, "size=2x", progress=False, metric="metric.py:score").name)
    names.append(slimfront.compress(model, images, images, "size=2x", progress=False).name)
    assert len(set(names)) == 3
    stored = json.loads(invoke("list", "--json").out)
    assert [line["study"] for line in stored] == names


def test_importing_the_package_loads_no_torch() -> None:
    code = (
        "import sys, slimfront; assert 'compress' in dir(slimfront); before = 'torch' in sys.modules; "
        "slimfront.load_study; middle = 'torch' in sys.modules; slimfront.compress; "
        "print(before, middle, 'torch' in sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["False", "False", "True"]
    with pytest.raises(AttributeError, match="has no attribute 'compres'"):
        _ = slimfront.compres


def test_finalists_are_trained_and_certified_on_test_images(finished: Finished, home: Path) -> None:
    model, options = live_network(finished.folder), {**OPTIONS, "finetune": {"finalists": 1, "final_epochs": 2}}
    assert "test=" in refused(model, arrays("train"), arrays("val"), certificate=True, **options)
    result = slimfront.compress(
        model,
        arrays("train"),
        arrays("val"),
        TARGET,
        test=arrays("test"),
        certificate=True,
        progress=False,
        **options,
    )
    document = result.to_dict()
    trained = [row for row in document["front"] if row["tuned"]]
    assert trained
    certified = [row["certificate"] for row in document["front"] if row["certificate"] is not None]
    assert {item["n"] for item in certified} == {len(arrays("test")[0])}
    shapes = []
    for path in (home / "captured").glob("*.safetensors"):
        with safe_open(path, "np") as opened:
            if "train.images" in opened.keys():  # noqa: SIM118  (it is no mapping)
                shapes.append(opened.get_slice("train.images").get_shape()[0])
    assert shapes == [len(arrays("train")[0])]  # all of them
