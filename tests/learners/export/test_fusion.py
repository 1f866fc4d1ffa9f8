"""What ONNX Runtime makes of the int8 files: integer kernels, and no float ones left over."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from learners.export.packing import assemble_onnx
from objectives.runtimes.onnxruntime import LOG_ERRORS_ONLY, PROVIDER
from storage.records.space import FLOAT_BITS, QUANT
from tests.built import Built
from tests.learners.agreement import onnx_session

MEAN_ERROR = 0.01  # of the outputs' mean size


def optimised(data: bytes, path: Path) -> Counter[str]:
    """How often each operation occurs in what the runtime really runs."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.optimized_model_filepath = str(path)
    options.log_severity_level = LOG_ERRORS_ONLY
    onnxruntime.InferenceSession(data, options, providers=[PROVIDER])
    return Counter(node.op_type for node in onnx.load(path).graph.node)


@pytest.mark.parametrize(
    ("name", "kernels", "entries"),
    [
        # An entry quantises what float32 has computed: the input, and what no integer kernel of the runtime does.
        # Seven layers, and the index map that stands for the slice and the pad.
        ("resnet-pad", {"QLinearConv": 8, "QLinearAdd": 3, "QLinearAveragePool": 1, "QGemm": 1}, 1),
        ("resnet-conv", {"QLinearConv": 8, "QLinearAdd": 3, "QLinearAveragePool": 1, "QGemm": 1}, 1),
        ("mobilenet", {"QLinearConv": 10, "QLinearAdd": 2, "QLinearGlobalAveragePool": 1, "QGemm": 1}, 1),
        ("shufflenet", {"QLinearConv": 6, "QLinearConcat": 1, "QLinearGlobalAveragePool": 1, "QGemm": 1}, 3),  # Split
        ("vgg", {"QLinearConv": 2, "MaxPool": 2, "QGemm": 2}, 1),
        # Sigmoid
        ("squeeze-excite", {"QLinearConv": 4, "QLinearMul": 1, "QLinearGlobalAveragePool": 2, "QGemm": 1}, 2),
    ],
)
@pytest.mark.parametrize("bits", [8, 3])
def test_everything_runs_on_integers(
    name: str, kernels: dict[str, int], entries: int, bits: int, built: Callable[[str], Built], tmp_path: Path
) -> None:
    network = built(name)
    data = assemble_onnx(network.packed(network.library.space.uniform_bits(bits)))
    found = optimised(data, tmp_path / "optimised.onnx")
    assert {kind: found[kind] for kind in kernels} == kernels
    assert not {"Conv", "Gemm", "Add", "Relu", "Clip", "AveragePool", "FusedConv"} & found.keys()
    assert found["QuantizeLinear"] <= entries


def test_layers_left_in_float32_stay_float32(built: Callable[[str], Built], tmp_path: Path) -> None:
    network = built("resnet-conv")
    data = assemble_onnx(network.packed(network.library.space.uniform_bits(FLOAT_BITS)))
    found = optimised(data, tmp_path / "optimised.onnx")
    assert found["FusedConv"] + found["Conv"] == 8
    assert not any("Linear" in kind for kind in found)


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("name", ["resnet-pad", "resnet-conv", "mobilenet", "vgg", "squeeze-excite", "densenet"])
def test_a_float32_layer_between_int8_ones_stays_float32(
    name: str, first: int, built: Callable[[str], Built], tmp_path: Path
) -> None:
    network = built(name)
    space = network.library.space
    w8, fp32 = space.uniform_bits(8), space.uniform_bits(FLOAT_BITS)
    alternating, in_float = list(fp32), 0
    for place, index in enumerate(i for i, site in enumerate(space.sites) if site.learner == QUANT):
        if place % 2 == first:
            alternating[index] = w8[index]
        else:
            in_float += 1
    data = assemble_onnx(network.packed(tuple(alternating)))
    found = optimised(data, tmp_path / "optimised.onnx")
    # An index map is a convolution too, and runs as its input does.
    maps = len(network.library.analysis.maps)
    assert 0 <= found["Conv"] + found["FusedConv"] + found["Gemm"] + found["FusedGemm"] - in_float <= maps
    plain = onnx_session(data, onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL)
    wanted = plain(network.images)
    # Integer kernels round halves elsewhere.
    assert np.abs(onnx_session(data)(network.images) - wanted).mean() < MEAN_ERROR * np.abs(wanted).mean()
