"""`slimfront.load` in a deployment that has numpy and onnxruntime only, and `load_torch` beside it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import slimfront
from objectives.workload.digits import digits_part
from storage.errors import FixInputError, PackedFileError
from tests.slimfront.conftest import Finished
from tests.slimfront.material import ROOT

# Nothing but numpy, onnxruntime and what these two need can be imported, as after `pip install --no-deps`.
LONELY = """
import importlib.metadata, sys
from importlib.machinery import PathFinder
ALLOWED = {"numpy", "onnxruntime", "storage", "objectives", "slimfront", "flatbuffers", "google", "packaging", "sympy",
           "coloredlogs", "humanfriendly", "mpmath"}
asked = []

class Deployment:
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if path is None and top not in ALLOWED and "site-packages" in str(getattr(PathFinder.find_spec(name), "origin", "")):
            asked.append(name)
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return None

sys.meta_path.insert(0, Deployment())
import numpy as np
import slimfront
model = slimfront.load(sys.argv[1])
images = np.load(sys.argv[2])
np.save(sys.argv[3], model(images))
ours = {name for name in sys.modules if name.partition(".")[0] in ("storage", "objectives", "slimfront", "learners")}
print(*sorted(ours), sep="\\n")
"""


@pytest.fixture(scope="module")
def slim(finished: Finished) -> Path:
    return finished.home / "artifacts" / "tiny" / str(finished.best()) / "model.slim"


@pytest.fixture(scope="module")
def images() -> np.ndarray:  # type: ignore[type-arg]
    return digits_part("val").images[:64]


def test_load_needs_numpy_and_onnxruntime_only(slim: Path, images: np.ndarray, tmp_path: Path) -> None:  # type: ignore[type-arg]
    np.save(tmp_path / "images.npy", images)
    ran = subprocess.run(
        [sys.executable, "-c", LONELY, slim, tmp_path / "images.npy", tmp_path / "outputs.npy"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stderr == ""
    loaded = ran.stdout.split()
    assert "storage.slim" in loaded
    assert not [name for name in loaded if name.startswith(("learners", "storage.records", "objectives.workload"))]
    outputs = np.load(tmp_path / "outputs.npy")
    assert np.array_equal(outputs, slimfront.load(slim)(images))


def test_importing_slimfront_imports_nothing_else() -> None:
    code = "import sys; before = set(sys.modules); import slimfront; print(*sorted(set(sys.modules) - before))"
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["slimfront"]


def test_load_torch_agrees_with_load(slim: Path, images: np.ndarray) -> None:  # type: ignore[type-arg]
    outputs = slimfront.load(slim)(images)
    module = slimfront.load_torch(slim)
    assert not module.training
    with torch.no_grad():
        wanted = module(torch.from_numpy(images)).numpy()
    assert outputs.shape == wanted.shape == (64, 10)
    assert (outputs.argmax(1) == wanted.argmax(1)).mean() >= 0.98
    names = {name for name, _ in module.named_parameters()}
    assert {"conv1.weight", "depthwise.weight", "conv2.weight", "linear.weight", "linear.bias"} <= names


def test_the_contract_travels_with_the_file(slim: Path) -> None:
    contract = slimfront.load(slim).contract
    assert contract.shape == (1, 8, 8)
    assert (contract.mean, contract.std) == ((0.0,), (1.0,))
    assert contract.classes == tuple("0123456789")


@pytest.mark.parametrize("loader", [slimfront.load, slimfront.load_torch])
def test_what_is_no_model_is_refused(loader, slim: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    data = slim.read_bytes()
    for content in (b"", b"SLIM", data[:-1], data[:50] + bytes([data[50] ^ 1]) + data[51:], b"PK" + data):
        (tmp_path / "bad.slim").write_bytes(content)
        with pytest.raises(PackedFileError):
            loader(tmp_path / "bad.slim")
    with pytest.raises(PackedFileError, match="nothing.slim"):
        loader(tmp_path / "nothing.slim")


@pytest.mark.parametrize("batch", [np.zeros((1, 1, 8, 8)), np.zeros((1, 8, 8), np.float32)])
def test_a_wrong_batch_is_refused(slim: Path, batch: np.ndarray) -> None:  # type: ignore[type-arg]
    with pytest.raises(FixInputError, match=r"float32 \[n, 1, 8, 8\]"):
        slimfront.load(slim)(batch)
