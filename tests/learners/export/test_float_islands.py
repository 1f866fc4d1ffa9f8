"""Float layers between int8 tensors: found however the runtime gets there, and left alone elsewhere."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from learners.export.float_islands import keep_in_float
from tests.learners.agreement import onnx_session
from tests.learners.export.test_fusion import optimised

CHANNELS, SIZE = 8, 6
CONSTANTS = {"scale", "zero", "weight", "gamma", "low", "high"}


def pair(name: str) -> list[onnx.NodeProto]:
    return [
        helper.make_node("QuantizeLinear", [name, "scale", "zero"], [f"{name}_q"]),
        helper.make_node("DequantizeLinear", [f"{name}_q", "scale", "zero"], [f"{name}_d"]),
    ]


def conv(source: str, output: str) -> onnx.NodeProto:
    return helper.make_node("Conv", [source, "weight"], [output], kernel_shape=[1, 1])


def relu(source: str, output: str) -> onnx.NodeProto:
    return helper.make_node("Relu", [source], [output])


def model(nodes: list[onnx.NodeProto]) -> bytes:
    generator = np.random.default_rng(0)
    weight = generator.normal(size=(CHANNELS, CHANNELS, 1, 1)).astype(np.float32)
    weight[0] *= 50  # one scale for all of it leaves little of the other rows
    constants = {
        "scale": np.float32(1 / 16),
        "zero": np.uint8(128),
        "weight": weight,
        "gamma": generator.normal(size=(CHANNELS, 1, 1)).astype(np.float32),
        "low": np.float32(0),
        "high": np.float32(6),
    }
    shape: list[str | int | None] = ["n", CHANNELS, SIZE, SIZE]
    graph = helper.make_graph(
        nodes,
        "model",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y_d", TensorProto.FLOAT, ["n", CHANNELS, None, None])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.checker.check_model(proto)
    data: bytes = proto.SerializeToString()
    return data


POOL = helper.make_node("MaxPool", ["x_d"], ["p"], kernel_shape=[2, 2], strides=[2, 2])
GRAPHS = {
    "alone": [*pair("x"), conv("x_d", "y"), *pair("y")],
    "relu": [*pair("x"), conv("x_d", "c"), relu("c", "y"), *pair("y")],
    "clip": [*pair("x"), conv("x_d", "c"), helper.make_node("Clip", ["c", "low", "high"], ["y"]), *pair("y")],
    "pool before": [*pair("x"), POOL, conv("p", "y"), *pair("y")],
    "pool behind": [
        *pair("x"),
        conv("x_d", "c"),
        helper.make_node("MaxPool", ["c"], ["y"], kernel_shape=[2, 2], strides=[2, 2]),
        *pair("y"),
    ],
    "constant factor": [*pair("x"), conv("x_d", "c"), helper.make_node("Mul", ["c", "gamma"], ["y"]), *pair("y")],
    "constant summand": [*pair("x"), conv("x_d", "c"), helper.make_node("Add", ["c", "gamma"], ["y"]), *pair("y")],
}


@pytest.mark.parametrize("name", sorted(GRAPHS))
def test_the_layer_computes_in_float(name: str, tmp_path: Path) -> None:
    unoptimised = onnx_session(model(GRAPHS[name]), onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL)
    nodes = [onnx.NodeProto.FromString(node.SerializeToString()) for node in GRAPHS[name]]
    kept = model(keep_in_float(nodes, CONSTANTS))
    found: Counter[str] = optimised(kept, tmp_path / "optimised.onnx")
    assert found["QLinearConv"] == 0
    assert found["Conv"] + found["FusedConv"] == 1
    images = np.random.default_rng(1).normal(size=(2, CHANNELS, SIZE, SIZE)).astype(np.float32)
    # One step of the output's grid is a rounding; the runtime left to itself is further off.
    assert np.abs(onnx_session(kept)(images) - unoptimised(images)).max() <= 1 / 16 + 1e-6


def test_other_layers_are_left_alone() -> None:
    float_input = [conv("x", "y"), *pair("y")]
    float_output = [*pair("x"), conv("x_d", "c"), relu("c", "y_d")]
    read_twice = [*pair("x"), conv("x_d", "c"), relu("c", "y"), helper.make_node("Add", ["c", "y"], ["s"]), *pair("s")]
    varying = [*pair("x"), conv("x_d", "c"), helper.make_node("Add", ["c", "x"], ["y"]), *pair("y")]
    for nodes in (float_input, float_output, read_twice, varying):
        before = [node.SerializeToString() for node in nodes]
        assert [node.SerializeToString() for node in keep_in_float(nodes, CONSTANTS)] == before


def test_int8_layers_are_left_alone() -> None:
    weight = helper.make_node("DequantizeLinear", ["w", "scale", "zero"], ["weight"])
    nodes = [*pair("x"), weight, conv("x_d", "y"), *pair("y")]
    assert len(keep_in_float(nodes, CONSTANTS)) == len(nodes)
