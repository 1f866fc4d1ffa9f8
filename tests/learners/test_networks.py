"""Every network of `tests.networks` through the whole engine: analysis, library, files."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnxruntime
import pytest
import torch

from learners.device import single_thread
from learners.export.packing import assemble_onnx
from learners.materialise import materialise
from objectives.runtimes.onnxruntime import LOG_ERRORS_ONLY, PROVIDER
from objectives.runtimes.packed import PackedSession
from storage.records.space import SearchSpace
from storage.slim import pack, unpack
from tests.built import Built, Floats
from tests.networks import NETWORKS

EXACT = 1e-5  # of the largest output, between float32 computations in another order
SMALL_FILE_BYTES = 64  # what 2 % of a file of some kilobytes would be too little for
FP32_SHARE = 0.05  # the fixed part is that of an int8 graph, which in files of some kilobytes shows


@pytest.fixture(params=sorted(NETWORKS))
def network(request: pytest.FixtureRequest, built: Callable[[str], Built]) -> Built:
    return built(request.param)


def candidates(space: SearchSpace) -> dict[str, tuple[int, ...]]:
    """All in float32, uniform, mixed, and mixed with layers left in float32."""
    generator = np.random.default_rng(0)
    count = len(space.sites)
    return {
        **{name: space.uniform(name) for name in ("fp32", "w8", "w4", "w2")},
        "mixed": tuple(int(level) for level in generator.integers(1, 6, count)),
        "some fp32": tuple(int(level) for level in generator.integers(0, 6, count)),
        "every other": tuple(index % 2 for index in range(count)),
    }


def difference(found: Floats, wanted: Floats) -> float:
    """The largest, relative to the largest output."""
    assert found.shape == wanted.shape
    return float(np.abs(found - wanted).max() / max(1.0, float(np.abs(wanted).max())))


def test_every_weight_is_a_layers_or_protected_with_a_reason(network: Built) -> None:
    analysis = network.library.analysis
    assert {item.name for item in analysis.protected} == NETWORKS[network.name].protected
    assert all(item.reason for item in analysis.protected)
    weights = {name for name in analysis.graph.parameters() if analysis.tensors[name].dim() >= 2}
    layers = {layer.weight for layer in analysis.layers}
    assert {name.removesuffix(".weight") for name in weights - layers} == NETWORKS[network.name].protected


def test_the_dense_file_computes_what_the_model_computes(network: Built) -> None:
    session = onnx_session(network.library.analysis.dense.SerializeToString())
    dense = network.dense()
    assert difference(session(network.images), dense) < EXACT
    assert difference(session(network.images[:1]), dense[:1]) < EXACT  # the batch axis is free


def test_all_files_of_a_candidate_agree(network: Built) -> None:
    space = network.library.space
    for name, levels in candidates(space).items():
        packed = network.packed(levels)
        data = pack(packed)
        assert pack(network.packed(levels)) == data, name
        model = unpack(data)
        assert pack(model) == data, name
        stitched = network.stitched(levels)
        with single_thread(), torch.no_grad():
            materialised = materialise(model)(torch.from_numpy(network.images)).numpy()
        assert difference(materialised, stitched) < EXACT, name
        slim = PackedSession(model)(network.images)
        assert difference(onnx_session(assemble_onnx(model))(network.images), slim) < EXACT, name
        share = FP32_SHARE if name == "fp32" else 0.02
        assert abs(space.size_bytes(levels) - len(data)) <= max(share * len(data), SMALL_FILE_BYTES), name
        if name == "fp32":
            assert difference(slim, network.dense()) < EXACT


def test_int8_files_are_close_to_the_float32_weights(network: Built) -> None:
    for name in ("w8", "w3"):
        levels = network.library.space.uniform(name)
        stitched = network.stitched(levels)
        slim = PackedSession(unpack(pack(network.packed(levels))))(network.images)
        error = np.sqrt(np.square(slim - stitched).mean()) / stitched.std(0).mean()
        assert error < NETWORKS[network.name].tolerance, name


def test_integer_kernels_compute_what_the_graph_says(network: Built) -> None:
    """Fused kernels against every operation by itself: a wrong fusion would go unnoticed elsewhere."""
    levels = network.library.space.uniform("w8")
    data = assemble_onnx(network.packed(levels))
    plain = onnx_session(data, onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL)(network.images)
    fused = onnx_session(data)(network.images)
    error = np.sqrt(np.square(fused - plain).mean()) / plain.std(0).mean()
    assert error < 0.02  # a value on the border of two steps may fall to either side


def onnx_session(
    data: bytes,
    level: onnxruntime.GraphOptimizationLevel = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL,
) -> Callable[[Floats], Floats]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.graph_optimization_level = level
    options.log_severity_level = LOG_ERRORS_ONLY
    session = onnxruntime.InferenceSession(data, options, providers=[PROVIDER])
    source = session.get_inputs()[0].name

    def run(batch: Floats) -> Floats:
        output: Floats = session.run(None, {source: batch})[0]
        return output

    return run
