"""The small models: every one runs, int8 ones in integer kernels, and each always is the same file."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from learners.latency.blocks import (
    GlueCell,
    LayerCell,
    TimedGlue,
    TimedLayer,
    glue_difference,
    layer_difference,
)
from learners.latency.models import BOUNDARY, GLUE, JOINS, Glue, Layer, Opening, Probe, build_model, input_shape
from objectives.runtimes.onnxruntime import OnnxRuntime

MAP, TOKENS, FEATURES = (8, 8), (4,), ()


def run(probe: Probe, batch: int) -> tuple[int, ...]:
    """Shape of the output for a batch."""
    images = np.random.default_rng(0).normal(size=(batch, *input_shape(probe))).astype(np.float32)
    return OnnxRuntime().session(build_model(probe), 1)(images).shape


def optimised(probe: Probe, folder: Path) -> Counter[str]:
    """Operations that ONNX Runtime makes of a probe."""
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(folder / "optimised.onnx")
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    onnxruntime.InferenceSession(build_model(probe), options, providers=["CPUExecutionProvider"])
    return Counter(node.op_type for node in onnx.load(folder / "optimised.onnx").graph.node)


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("bits", [32, 8])
@pytest.mark.parametrize("size", [MAP, TOKENS, FEATURES])
@pytest.mark.parametrize("channels", [3, 8, 13])
def test_openings_run(size: tuple[int, ...], bits: int, channels: int, batch: int) -> None:
    assert run(Probe(Opening(size, channels, bits)), batch) == (batch, 8)


@pytest.mark.parametrize("bits", [8, 32])
@pytest.mark.parametrize(
    ("kind", "size", "inputs", "outputs", "kernel", "stride", "groups"),
    [
        ("convolution", MAP, 5, 7, (3, 3), (2, 2), 1),
        ("grouped convolution", MAP, 6, 8, (3, 1), (1, 1), 2),
        ("depthwise convolution", MAP, 6, 6, (3, 3), (1, 1), 9),
        ("linear", FEATURES, 5, 7, (1, 1), (1, 1), 1),
        ("linear", TOKENS, 5, 7, (1, 1), (1, 1), 1),
    ],
)
def test_layers_run_in_every_precision(
    kind: str,
    size: tuple[int, ...],
    inputs: int,
    outputs: int,
    kernel: tuple[int, int],
    stride: tuple[int, int],
    groups: int,
    bits: int,
) -> None:
    cell = LayerCell(inputs, outputs, bits)
    layer = TimedLayer("a", kind, size, (), (cell,), kernel, stride, groups=groups, activation=True, clips=True)
    pair = layer_difference(layer, cell)
    assert run(pair.whole, 2) == run(pair.without, 2) == (2, 8)


@pytest.mark.parametrize("bits", [32, 8])
@pytest.mark.parametrize("op", sorted(GLUE))
def test_glue_runs(op: str, bits: int) -> None:
    kernel, stride = ((2, 2), (2, 2)) if op.endswith("Pool") else ((1, 1), (1, 1))
    cell = GlueCell(7, bits, 40 - bits if op == BOUNDARY else None)
    pair = glue_difference(TimedGlue("a", op, MAP, (), (cell,), kernel, stride), cell)
    assert run(pair.whole, 2) == run(pair.without, 2) == (2, 8)


@pytest.mark.parametrize("op", ["Add", "Mul", "Concat", "Relu", "ReduceMean"])
def test_glue_of_tokens_runs(op: str) -> None:
    cell = GlueCell(6, 32)
    pair = glue_difference(TimedGlue("a", op, TOKENS, (), (cell,)), cell)
    assert run(pair.whole, 2) == run(pair.without, 2) == (2, 8)


def test_joins_are_compared_with_the_same_layer_alone() -> None:
    cell = GlueCell(8, 32, 8)
    for op in GLUE:
        pair = glue_difference(TimedGlue("a", op, MAP, (), (cell,)), cell)
        assert len(pair.whole.steps) - len(pair.without.steps) == 1
        assert bool(pair.without.steps) == (op in JOINS)


def test_int8_layers_run_in_integer_kernels(tmp_path: Path) -> None:
    found = optimised(Probe(Opening(MAP, 8, 8), (Layer(8, 8), Glue("Add", 8))), tmp_path)
    assert found["QLinearConv"] == 3  # the two ends, too
    assert found["Conv"] == 0
    found = optimised(Probe(Opening(FEATURES, 8, 8), (Layer(8, 8),)), tmp_path)
    assert found["QGemm"] == 2
    assert found["Gemm"] == 0


def test_float_additions_are_fused_into_the_layer_before(tmp_path: Path) -> None:
    steps = (Layer(16, 32), Glue("Add", 32, activation=True))
    found = optimised(Probe(Opening(MAP, 16, 32), steps), tmp_path)
    assert found["Add"] == found["Relu"] == 0


def test_widths_up_to_eight_bits_are_one_model() -> None:
    layer = TimedLayer("a", "convolution", MAP, (), ())
    assert len({layer_difference(layer, LayerCell(8, 8, bits)) for bits in (8, 6, 4, 3, 2)}) == 1


def test_int8_layers_leave_no_activation() -> None:
    cell = LayerCell(8, 8, 8)
    plain = TimedLayer("a", "convolution", MAP, (), (cell,))
    active = TimedLayer("b", "convolution", MAP, (), (cell,), activation=True, clips=True)
    assert layer_difference(plain, cell) == layer_difference(active, cell)


def test_the_file_of_a_probe_is_always_the_same() -> None:
    probe = Probe(Opening(MAP, 8, 8), (Layer(8, 8, (3, 3)),))
    assert build_model(probe) == build_model(probe)
    onnx.checker.check_model(onnx.load_from_string(build_model(probe)))


def test_unknown_operations_are_refused() -> None:
    with pytest.raises(ValueError, match=r"Erf of x cannot be timed; these can: Add, "):
        TimedGlue("x", "Erf", MAP, (), ())
