"""ONNX Runtime's own 8-bit quantisation: runs, is smaller, is close, is quiet, repeats."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest

from objectives.accuracy import evaluate
from objectives.baselines import ort_int8
from objectives.runtimes.base import Session
from objectives.runtimes.onnxruntime import PROVIDER, OnnxRuntime
from storage.errors import FixInputError, GiveUpError
from tests.objectives.models import computed_bias, convolutional, images

CALIBRATION = images(70, seed=5)  # a whole batch and a partial one

SCRIPT = """
import logging, sys
from pathlib import Path
from objectives.baselines import ort_int8
from tests.objectives.models import images
ort_int8(Path(sys.argv[1]), images(70, seed=5), Path(sys.argv[2]))
assert not logging.getLogger().handlers
"""


@pytest.fixture
def dense(tmp_path: Path) -> Path:
    path = tmp_path / "dense.onnx"
    path.write_bytes(convolutional())
    return path


def summing_exactly(path: Path) -> Session:
    """A session whose int8 sums do not saturate on processors without VNNI, as they do by default."""
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.x64quantprecision", "1")
    session = onnxruntime.InferenceSession(path, options, providers=[PROVIDER])
    (source,) = session.get_inputs()

    def run(batch: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        output: npt.NDArray[np.float32] = session.run(None, {source.name: batch})[0]
        return output

    return run


def test_file_runs_is_smaller_and_close(dense: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    quantised = tmp_path / "new" / "int8.onnx"
    root = logging.getLogger()
    before = (list(root.handlers), list(root.filters), root.level)
    ort_int8(dense, CALIBRATION, quantised)
    assert capfd.readouterr() == ("", "")
    assert (root.handlers, root.filters, root.level) == before
    assert list(quantised.parent.iterdir()) == [quantised]
    assert quantised.stat().st_size < 0.6 * dense.stat().st_size
    runtime = OnnxRuntime()
    feed = images(40, seed=9)
    exact = evaluate(runtime.session(dense.read_bytes(), 1), feed)
    rounded = evaluate(summing_exactly(quantised), feed, batch=7)
    assert 0 < np.abs(exact - rounded).max() < 0.1 * np.ptp(exact)
    assert (exact.argmax(axis=1) == rounded.argmax(axis=1)).mean() >= 0.9


def test_format_is_unsigned_activations_and_signed_weights_per_channel(dense: Path, tmp_path: Path) -> None:
    ort_int8(dense, CALIBRATION, tmp_path / "int8.onnx")
    model = onnx.load(tmp_path / "int8.onnx")
    arrays = {item.name: onnx.numpy_helper.to_array(item) for item in model.graph.initializer}
    activations = [node for node in model.graph.node if node.op_type == "QuantizeLinear"]
    assert activations
    assert {arrays[node.input[2]].dtype for node in activations} == {np.dtype(np.uint8)}
    weights = [arrays[name] for name in arrays if arrays[name].dtype == np.int8 and arrays[name].ndim == 4]
    assert sorted(weight.shape for weight in weights) == [(32, 3, 3, 3), (32, 32, 3, 3)]
    scales = {
        arrays[node.input[1]].size
        for node in model.graph.node
        if node.op_type == "DequantizeLinear" and node.input[0] in arrays and arrays[node.input[0]].ndim == 4
    }
    assert scales == {32}
    assert model.graph.input[0].type.tensor_type.shape.dim[0].dim_param
    assert "onnx.quant.pre_process" in {entry.key for entry in model.metadata_props}


def test_same_bytes_in_every_process_and_not_a_word(dense: Path, tmp_path: Path) -> None:
    results = []
    for seed in ("1", "2"):
        destination = tmp_path / f"int8-{seed}.onnx"
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", SCRIPT, str(dense), str(destination)],
            capture_output=True,
            text=True,
            check=False,
            cwd=Path(__file__).parents[2],
            env={**os.environ, "PYTHONHASHSEED": seed},
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        results.append(destination.read_bytes())
    assert results[0] == results[1]


def test_warnings_of_the_quantiser_go_to_the_log_alone(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    dense = tmp_path / "dense.onnx"
    dense.write_bytes(computed_bias())
    destination = tmp_path / "int8.onnx"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", SCRIPT, str(dense), str(destination)],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[2],
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    with caplog.at_level(logging.DEBUG, logger="objectives.baselines"):
        ort_int8(dense, CALIBRATION, destination)
    assert [record.name for record in caplog.records] == ["objectives.baselines"]
    assert "is not constant" in caplog.text
    assert capfd.readouterr() == ("", "")


def test_what_a_killed_one_leaves_lies_beside_its_destination(
    dense: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders: list[Path] = []

    def stopped(_name: str, _content: bytes, _calibration: object, folder: Path) -> bytes:
        folders.append(folder)
        raise KeyboardInterrupt

    monkeypatch.setattr("objectives.baselines._quantise", stopped)
    destination = tmp_path / "new" / "int8.onnx"
    with pytest.raises(KeyboardInterrupt):
        ort_int8(dense, np.zeros((1, 3, 8, 8), np.float32), destination)
    assert [folder.parent for folder in folders] == [destination.parent]
    assert not list(destination.parent.iterdir())


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(FixInputError, match=r"absent\.onnx cannot be read"):
        ort_int8(tmp_path / "absent.onnx", CALIBRATION, tmp_path / "int8.onnx")
    assert not (tmp_path / "int8.onnx").exists()


@pytest.mark.parametrize("content", [b"junk", b"", convolutional(batch=1)])
def test_model_that_cannot_be_quantised(tmp_path: Path, content: bytes, capfd: pytest.CaptureFixture[str]) -> None:
    dense, destination = tmp_path / "dense.onnx", tmp_path / "int8.onnx"
    dense.write_bytes(content)
    with pytest.raises(GiveUpError, match=r"dense\.onnx: .+; (export|go)") as caught:
        ort_int8(dense, CALIBRATION, destination)
    assert "\n" not in str(caught.value)
    assert not destination.exists()
    assert capfd.readouterr() == ("", "")


def test_no_calibration_images(dense: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least one"):
        ort_int8(dense, CALIBRATION[:0], tmp_path / "int8.onnx")


def test_other_log_records_pass(dense: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    ort_int8(dense, CALIBRATION, tmp_path / "int8.onnx")
    logging.getLogger().warning("from elsewhere")
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == ["from elsewhere"]
