"""Sessions on `model.slim`: what they compute, what they refuse, and what they need."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from objectives.runtimes.packed import INT32_LIMIT, PackedSession, initializers, int8_weight, load, read
from storage.errors import FixInputError, PackedFileError
from storage.slim import PackedLayer, pack
from tests.built import Built
from tests.storage.packed_models import layers


@pytest.fixture
def network(built: Callable[[str], Built]) -> Built:
    return built("resnet-pad")


@pytest.fixture
def file(network: Built, tmp_path: Path) -> Path:
    path = tmp_path / "model.slim"
    path.write_bytes(pack(network.packed(network.library.space.uniform_bits(3))))
    return path


def test_any_batch_gives_the_same_outputs(file: Path, network: Built) -> None:
    session = load(file)
    whole = session(network.images)
    assert whole.dtype == np.float32
    for count in (1, 3):
        np.testing.assert_array_equal(session(network.images[:count]), whole[:count])
    np.testing.assert_array_equal(load(file, threads=2)(network.images), whole)
    np.testing.assert_array_equal(session(network.images[::2][:4]), whole[::2][:4])  # strided input
    assert session.contract == network.contract


def test_two_sessions_do_not_share_their_tensors(network: Built) -> None:
    """ONNX Runtime reads the arrays in place: a session's must outlive the model that they came from."""
    space = network.library.space
    first, second = (PackedSession(network.packed(space.uniform_bits(bits))) for bits in (8, 2))
    expected = first(network.images)
    for _ in range(3):
        PackedSession(network.packed(space.uniform_bits(4)))(network.images)
    np.testing.assert_array_equal(first(network.images), expected)
    assert not np.array_equal(second(network.images), expected)


@pytest.mark.parametrize(
    "batch",
    [
        np.zeros((1, 3, 16, 16), np.float64),
        np.zeros((1, 3, 16, 16), np.uint8),
        np.zeros((3, 16, 16), np.float32),
        np.zeros((1, 16, 16, 3), np.float32),
        np.zeros((1, 3, 16, 17), np.float32),
        np.zeros((), np.float32),
    ],
    ids=lambda batch: f"{batch.dtype}{list(batch.shape)}",
)
def test_other_inputs_are_refused(file: Path, batch: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> None:
    with pytest.raises(FixInputError, match=r"takes float32 \[n, 3, 16, 16\], not") as caught:
        load(file)(batch)
    assert "\n" not in str(caught.value)


def test_files_that_are_none_are_refused(tmp_path: Path, file: Path) -> None:
    with pytest.raises(PackedFileError, match=r"absent\.slim cannot be read \(No such file"):
        read(tmp_path / "absent.slim")
    with pytest.raises(PackedFileError, match="cannot be read"):
        load(str(tmp_path))
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(PackedFileError, match="truncated or altered"):
        load(file)


def test_a_template_that_the_runtime_refuses_is_an_error_of_ours(network: Built) -> None:
    model = network.packed(network.library.space.uniform_bits(4))
    for broken in (replace(model, template=b""), replace(model, template=b"junk"), replace(model, layers=())):
        with pytest.raises(PackedFileError, match="refuses the model") as caught:
            PackedSession(broken)
        assert "\n" not in str(caught.value)


@settings(max_examples=60)
@given(layers(1))
def test_int8_weights_stand_for_the_same_numbers(layer: PackedLayer) -> None:
    weight, scale = int8_weight(layer)
    shape = (-1, *[1] * (weight.ndim - 1))
    exact = layer.scale.astype(np.float64).reshape(shape) / 2 * 2.0**layer.exponent
    exact = exact * (2 * layer.codes.astype(np.float64) - layer.zero.astype(np.float64).reshape(shape))
    assert weight.dtype == np.int8
    np.testing.assert_array_equal(weight.astype(np.float64) * scale.astype(np.float64).reshape(shape), exact)


def test_biases_beyond_int32_are_clipped(network: Built) -> None:
    model = network.packed(network.library.space.uniform_bits(8))
    tiny = np.full_like(model.layers[0].scale, np.float16(6e-5))
    assert model.layers[0].bias is not None
    huge = np.full_like(model.layers[0].bias, np.float16(-6e4))
    activations = tuple(replace(item, scale=1e-9) for item in model.activations)
    changed = replace(model, layers=(replace(model.layers[0], scale=tiny, bias=huge),), activations=activations)
    assert set(initializers(changed)["l0b"].tolist()) == {-INT32_LIMIT}


def test_a_session_needs_numpy_and_onnxruntime_only(file: Path) -> None:
    script = f"""
import sys
before = set(sys.modules)
import numpy, onnxruntime
allowed = {{name.partition(".")[0] for name in set(sys.modules) - before}}
from objectives.runtimes.packed import load
print(load({str(file)!r})(numpy.zeros((1, 3, 16, 16), numpy.float32)).shape)
tops = {{name.partition(".")[0] for name in sys.modules}} - allowed
print(sorted(tops - set(sys.stdlib_module_names) - {{"objectives", "storage"}}))
print("torch" in sys.modules, "onnx" in sys.modules)
"""
    found = subprocess.run(
        [sys.executable, "-S", "-c", f"import sys; sys.path[:0] = {sys.path!r}{script}"], capture_output=True, text=True
    )
    assert found.returncode == 0, found.stderr
    shape, foreign, heavy = found.stdout.splitlines()
    assert shape == "(1, 10)"
    assert set(eval(foreign)) <= {"__main__"}
    assert heavy == "False False"


@given(st.integers(0, 5))
@settings(max_examples=6, deadline=None)
def test_matrix_products_keep_a_float_bias(built: Callable[[str], Built], level: int) -> None:
    network = built("mixer")
    space = network.library.space
    arrays = initializers(network.packed((level,) * len(space.sites)))
    products = [item.form for item in network.packed((level,) * len(space.sites)).layers]
    for index, form in enumerate(products):
        assert arrays[f"l{index}b"].dtype == (np.float32 if form == "matmul" else np.int32)
        assert (f"l{index}t" in arrays) == (form != "matmul")
