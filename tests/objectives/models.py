"""Small ONNX models for the tests of runtimes and baselines, built without an exporter."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

CHANNELS, SIDE, CLASSES = 3, 8, 5
OPSET, IR_VERSION = 18, 9  # understood by every runtime version that the project allows

Floats = npt.NDArray[np.float32]


def images(count: int, seed: int = 0) -> Floats:
    """float32[count, 3, 8, 8] of standard normal values."""
    return np.random.default_rng(seed).normal(size=(count, CHANNELS, SIDE, SIDE)).astype(np.float32)


def pack(nodes: list[onnx.NodeProto], weights: dict[str, npt.NDArray[np.generic]], batch: str | int = "n") -> bytes:
    """A model from `images` to `logits` made of `nodes`."""
    shape = [batch, CHANNELS, SIDE, SIDE]
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    opsets = [helper.make_opsetid("", OPSET)]
    content: bytes = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION).SerializeToString()
    return content


def linear(weight: Floats, batch: str | int = "n") -> bytes:
    """Flatten, then `weight` [192, k]: logits = flat @ weight."""
    nodes = [
        helper.make_node("Flatten", ["images"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weight"], ["logits"]),
    ]
    return pack(nodes, {"weight": weight}, batch)


def linear_weight(seed: int = 0) -> Floats:
    """float32[192, 5]."""
    return np.random.default_rng(seed).normal(size=(CHANNELS * SIDE * SIDE, CLASSES)).astype(np.float32)


def computed_bias() -> bytes:
    """A linear model whose bias is the mean of the input, about which ONNX Runtime's quantiser warns."""
    nodes = [
        helper.make_node("Flatten", ["images"], ["flat"]),
        helper.make_node("ReduceMean", ["flat", "axes"], ["mean"], keepdims=1),
        helper.make_node("Gemm", ["flat", "weight", "mean"], ["logits"]),
    ]
    return pack(nodes, {"axes": np.array([1], np.int64), "weight": linear_weight()})


def logarithm() -> bytes:
    """Logarithm of the mean: NaN for images whose mean is below 0."""
    nodes = [
        helper.make_node("ReduceMean", ["images", "axes"], ["mean"], keepdims=0),
        helper.make_node("Log", ["mean"], ["logits"]),
    ]
    return pack(nodes, {"axes": np.array([2, 3], np.int64)})


def convolutional(width: int = 32, batch: str | int = "n", seed: int = 0) -> bytes:
    """Two 3x3 convolutions with ReLU, global average pooling and a linear classifier."""
    generator = np.random.default_rng(seed)

    def scaled(*shape: int) -> Floats:
        values = generator.normal(size=shape) * np.sqrt(2 / np.prod(shape[1:]))
        return np.asarray(values, dtype=np.float32)

    nodes = [
        helper.make_node("Conv", ["images", "w1", "b1"], ["c1"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c1"], ["r1"]),
        helper.make_node("Conv", ["r1", "w2", "b2"], ["c2"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c2"], ["r2"]),
        helper.make_node("GlobalAveragePool", ["r2"], ["pool"]),
        helper.make_node("Flatten", ["pool"], ["flat"]),
        helper.make_node("Gemm", ["flat", "w3", "b3"], ["logits"], transB=1),
    ]
    weights: dict[str, npt.NDArray[np.generic]] = {
        "w1": scaled(width, CHANNELS, 3, 3),
        "b1": scaled(width, 1)[:, 0] * np.float32(0.1),
        "w2": scaled(width, width, 3, 3),
        "b2": scaled(width, 1)[:, 0] * np.float32(0.1),
        "w3": scaled(CLASSES, width),
        "b3": scaled(CLASSES, 1)[:, 0] * np.float32(0.1),
    }
    return pack(nodes, weights, batch)
