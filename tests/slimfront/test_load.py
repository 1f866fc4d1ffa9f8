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
from tests.slimfront.finished import Finished
from tests.slimfront.material import ROOT

# Nothing but numpy, onnxruntime and the standard library can be imported, as after `pip install --no-deps`.
LONELY = """
import sys
from importlib.machinery import PathFinder
ALLOWED = {"numpy", "onnxruntime", "storage", "objectives", "slimfront"}

class Deployment:
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        origin = str(getattr(PathFinder.find_spec(name), "origin", "")) if path is None else ""
        if top not in ALLOWED and "site-packages" in origin:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return None

sys.meta_path.insert(0, Deployment())
import numpy as np
import slimfront
model = slimfront.load(sys.argv[1])
images = np.load(sys.argv[2])
np.save(sys.argv[3], model(images))
print(*sorted({name.partition(".")[0] for name in sys.modules} - set(sys.stdlib_module_names)), file=sys.stderr)
ours = {name for name in sys.modules if name.partition(".")[0] in ("storage", "objectives", "slimfront", "learners")}
print(*sorted(ours), sep="\\n")
"""


@pytest.fixture(scope="module")
def slim(finished: Finished) -> Path:
    return finished.home / "artifacts" / "tiny" / str(finished.best()) / "model.slim"


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return digits_part("val").images


def test_load_needs_numpy_and_onnxruntime_only(slim: Path, images: np.ndarray, tmp_path: Path) -> None:
    np.save(tmp_path / "images.npy", images)
    ran = subprocess.run(
        [sys.executable, "-c", LONELY, slim, tmp_path / "images.npy", tmp_path / "outputs.npy"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    foreign = {
        "torch",
        "onnx",
        "sqlalchemy",
        "pydantic",
        "filelock",
        "scipy",
        "typer",
        "rich",
        "safetensors",
        "sklearn",
    }
    assert {"numpy", "onnxruntime", "slimfront"} <= set(ran.stderr.split())
    assert not foreign & set(ran.stderr.split())
    loaded = ran.stdout.split()
    assert "storage.slim" in loaded
    assert not [name for name in loaded if name.startswith(("learners", "storage.records", "objectives.workload"))]
    outputs = np.load(tmp_path / "outputs.npy")
    assert np.array_equal(outputs, slimfront.load(slim)(images))


def test_importing_slimfront_imports_nothing_else() -> None:
    code = "import sys; before = set(sys.modules); import slimfront; print(*set(sys.modules) - before)"
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    tops = {name.partition(".")[0] for name in ran.stdout.split()}
    assert tops - sys.stdlib_module_names == {"slimfront"}


def test_load_torch_agrees_with_load(slim: Path, images: np.ndarray) -> None:
    outputs = slimfront.load(slim)(images)
    module = slimfront.load_torch(slim)
    assert not module.training
    with torch.no_grad():
        wanted = module(torch.from_numpy(images)).numpy()
    assert outputs.shape == wanted.shape == (360, 10)
    # The network is hardly trained, and many of its decisions are close: the logits themselves tell more.
    assert np.abs(outputs - wanted).mean() <= 0.05 * wanted.std()
    assert (outputs.argmax(1) == wanted.argmax(1)).mean() >= 0.95
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
    with pytest.raises(PackedFileError, match=r"nothing\.slim"):
        loader(tmp_path / "nothing.slim")


@pytest.mark.parametrize("batch", [np.zeros((1, 1, 8, 8)), np.zeros((1, 8, 8), np.float32)])
def test_a_wrong_batch_is_refused(slim: Path, batch: np.ndarray) -> None:
    with pytest.raises(FixInputError, match=r"float32 \[n, 1, 8, 8\]"):
        slimfront.load(slim)(batch)
