"""What ONNX Runtime makes of the int8 files: integer kernels, and no float ones left over."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import onnx
import onnxruntime
import pytest

from learners.export.packing import assemble_onnx
from objectives.runtimes.onnxruntime import LOG_ERRORS_ONLY, PROVIDER
from tests.built import Built


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
@pytest.mark.parametrize("level", ["w8", "w3"])
def test_everything_runs_on_integers(
    name: str, kernels: dict[str, int], entries: int, level: str, built: Callable[[str], Built], tmp_path: Path
) -> None:
    network = built(name)
    data = assemble_onnx(network.packed(network.library.space.uniform(level)))
    found = optimised(data, tmp_path / "optimised.onnx")
    assert {kind: found[kind] for kind in kernels} == kernels
    assert not {"Conv", "Gemm", "Add", "Relu", "Clip", "AveragePool", "FusedConv"} & found.keys()
    assert found["QuantizeLinear"] <= entries


def test_layers_left_in_float32_stay_float32(built: Callable[[str], Built], tmp_path: Path) -> None:
    network = built("resnet-conv")
    data = assemble_onnx(network.packed(network.library.space.uniform("fp32")))
    found = optimised(data, tmp_path / "optimised.onnx")
    assert found["FusedConv"] + found["Conv"] == 8
    assert not any("Linear" in kind for kind in found)
