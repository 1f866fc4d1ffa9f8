"""Means over a map become poolings, and compute the same."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from learners.export.pooling import pool_means

SHAPE = (2, 3, 4, 5)


def _model(
    axes: tuple[int, ...], keepdims: int, rank_known: bool = True, kind: int = TensorProto.FLOAT
) -> onnx.ModelProto:
    nodes = [
        helper.make_node("Relu", ["input"], ["map"]),
        helper.make_node("ReduceMean", ["map", "axes"], ["output"], keepdims=keepdims),
    ]
    graph = helper.make_graph(
        nodes,
        "model",
        [helper.make_tensor_value_info("input", kind, SHAPE)],
        [helper.make_tensor_value_info("output", kind, None)],
        [numpy_helper.from_array(np.array(axes, np.int64), "axes")],
        value_info=[helper.make_tensor_value_info("map", kind, SHAPE)] if rank_known else [],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def _run(model: onnx.ModelProto) -> np.ndarray:
    values = np.random.default_rng(0).normal(size=SHAPE).astype(np.float32)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"input": values})[0])


@pytest.mark.parametrize("keepdims", [0, 1])
@pytest.mark.parametrize("axes", [(2, 3), (-1, -2)])
def test_spatial_means_are_poolings(axes: tuple[int, ...], keepdims: int) -> None:
    before = _model(axes, keepdims)
    after = onnx.ModelProto()
    after.CopyFrom(before)
    pool_means(after)
    assert {node.op_type for node in after.graph.node} >= {"GlobalAveragePool"}
    assert "axes" not in {item.name for item in after.graph.initializer}
    expected, found = _run(before), _run(after)
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("axes", [(1, 2), (3,), (1, 2, 3)])
def test_other_means_stay(axes: tuple[int, ...]) -> None:
    model = _model(axes, 1)
    pool_means(model)
    assert [node.op_type for node in model.graph.node] == ["Relu", "ReduceMean"]
    assert [item.name for item in model.graph.initializer] == ["axes"]


def test_a_mean_over_a_tensor_of_unknown_rank_stays() -> None:
    model = _model((2, 3), 1, rank_known=False)
    pool_means(model)
    assert [node.op_type for node in model.graph.node] == ["Relu", "ReduceMean"]


def test_a_mean_in_double_precision_stays() -> None:
    model = _model((2, 3), 1, kind=TensorProto.DOUBLE)
    pool_means(model)
    assert [node.op_type for node in model.graph.node] == ["Relu", "ReduceMean"]


def test_a_name_that_is_taken_is_not_used_again() -> None:
    model = _model((2, 3), 0)
    model.graph.node[0].output[0] = model.graph.node[1].input[0] = "output_pooled"
    model.graph.value_info[0].name = "output_pooled"
    pool_means(model)
    names = [name for node in model.graph.node for name in node.output]
    assert len(set(names)) == len(names) == 3
