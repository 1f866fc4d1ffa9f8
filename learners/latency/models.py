"""ONNX models of one layer each, small enough to time by the hundred.

Every model is: a cheap layer that makes the tensor which is to be read, of any width, from a fixed narrow input; then
what is to be timed; then a cheap layer that reads one place of the result. Both ends are layers, so that the runtime
has chosen its memory layout and its precision before and after what is timed, as it has in the middle of a network.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from storage.records.space import FLOAT_BITS

OPSET, IR_VERSION = 20, 10  # as learners.export.dense writes them
NARROW = 8  # channels at both ends: the width from which every runtime uses its blocked kernels
# Of every activation grid. Values do not change what a kernel takes, but a grid that ends below 6 makes the Clip of a
# ReLU6 in front of it superfluous, as calibrated ones do, and runtimes then drop the Clip.
STEP = np.float32(1 / 64)
WEIGHT_STEP = np.float32(1 / 256)

JOINS = frozenset({"Add", "Sub", "Mul", "Concat"})  # read two inputs
PARTIAL_INPUTS = frozenset({"Concat"})  # each input has a part of the output's channels
POOLS = frozenset({"MaxPool", "AveragePool"})
UNARY = frozenset(
    {"Relu", "Clip", "Sigmoid", "Tanh", "HardSigmoid", "HardSwish", "LeakyRelu", "Elu", "Softplus", "Gelu", "Mish"}
)
WHOLE = frozenset({"GlobalAveragePool", "ReduceMean", "Flatten"})  # map to a point, to features, to features
BOUNDARY = "Boundary"  # no operation: what reads the tensor has another precision than what has made it
GLUE = JOINS | POOLS | UNARY | WHOLE | {BOUNDARY}


@dataclass(frozen=True)
class Opening:
    """The tensor that is read: channels and size as in `learners.latency.blocks`."""

    size: tuple[int, ...]
    channels: int
    bits: int  # how it is held
    is_input: bool = False  # the model's own input, in float: nothing makes it
    repeats: int = 1  # times that one sample has it along the first axis


@dataclass(frozen=True)
class Layer:
    """A layer with weights; linear unless the tensor is a map. Its output is held as it computes."""

    out_channels: int
    bits: int
    kernel: tuple[int, int] = (1, 1)
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1
    activation: bool = False
    clips: bool = False


@dataclass(frozen=True)
class Glue:
    """An operation without weights. The second input of one that joins two is the opening."""

    op: str
    bits: int  # of a boundary: how the tensor is held from there on
    kernel: tuple[int, int] = (1, 1)
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    activation: bool = False


Step: TypeAlias = Layer | Glue


@dataclass(frozen=True)
class Probe:
    """A model to be timed."""

    opening: Opening
    steps: tuple[Step, ...] = ()


@dataclass(frozen=True)
class _Tensor:
    name: str
    size: tuple[int, ...]
    channels: int
    bits: int


def input_shape(probe: Probe) -> tuple[int, ...]:
    """Shape of the model's input without the batch axis."""
    size, channels = probe.opening.size, probe.opening.channels if probe.opening.is_input else NARROW
    return _shape(channels, size if probe.opening.is_input or size else (1, 1))


def build_model(probe: Probe) -> bytes:
    """The ONNX file of a probe, float in and out, with a free batch axis."""
    return _Builder().build(probe)


def _shape(channels: int, size: tuple[int, ...]) -> tuple[int, ...]:
    return (*size, channels) if len(size) == 1 else (channels, *size)


class _Builder:
    """Collects nodes; names count up, weights come from one seed, so that a probe always gives the same file."""

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []
        self._generator = np.random.Generator(np.random.PCG64(0))
        self._count = 0

    def build(self, probe: Probe) -> bytes:
        opened = self._open(probe)
        tensor = opened
        for step in probe.steps:
            tensor = self._layer(tensor, step) if isinstance(step, Layer) else self._glue(tensor, opened, step)
        output = self._close(tensor)
        graph = helper.make_graph(
            self._nodes,
            "probe",
            [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["n", *input_shape(probe)])],
            [helper.make_tensor_value_info(output, TensorProto.FLOAT, ["n", NARROW])],
            self._constants,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
        content: bytes = model.SerializeToString(deterministic=True)
        return content

    def _open(self, probe: Probe) -> _Tensor:
        opening = probe.opening
        if opening.is_input:
            return self._held("input", opening.size, opening.channels, opening.bits)
        # Features are made by a convolution at one place, whose result is flattened.
        size = opening.size or (1, 1)
        source = self._held("input", size, NARROW, opening.bits)
        tensor = self._layer(source, Layer(opening.channels, opening.bits, activation=True))
        return tensor if opening.size else self._glue(tensor, tensor, Glue("Flatten", opening.bits))

    def _close(self, tensor: _Tensor) -> str:
        if len(tensor.size) == 1:
            ends = [self._constant(np.array([value], np.int64)) for value in (0, 1, 1)]
            name = self._node("Slice", [tensor.name, *ends])
            tensor = _Tensor(name, (1,), tensor.channels, tensor.bits)
        # A stride as long as the map: one place is read, whatever the size. Not by a 1x1 kernel: OpenVINO moves its
        # stride to the layer before, of which then one place is computed. What leaves the last layer is a held tensor
        # too, or int8 layers would not run as such.
        end = Layer(NARROW, tensor.bits)
        if len(tensor.size) == 2:
            height, width = tensor.size
            end = replace(end, kernel=(min(height, 2), min(width, 2)), stride=(height, width))
        end_name = self._layer(tensor, end).name
        shape = self._constant(np.array([-1, NARROW], np.int64))
        return self._node("Reshape", [end_name, shape])

    def _layer(self, tensor: _Tensor, step: Layer) -> _Tensor:
        if step.bits < tensor.bits:  # an int8 layer reads int8
            tensor = self._held(tensor.name, tensor.size, tensor.channels, step.bits)
        kernel = step.kernel if len(tensor.size) == 2 else ()
        matrix = len(tensor.size) == 1
        shape = (step.out_channels, tensor.channels // step.groups, *kernel)
        weight, bias = self._weights(shape[::-1] if matrix else shape, 1 if matrix else 0, step.bits)
        if matrix:
            product = self._node("MatMul", [tensor.name, weight])
            name = self._node("Add", [product, self._constant(np.zeros(step.out_channels, np.float32))])
            size = tensor.size
        elif kernel:
            name = self._node("Conv", [tensor.name, weight, bias], **_attributes(step), group=step.groups)
            size = _reduced(tensor.size, step)
        else:
            name = self._node("Gemm", [tensor.name, weight, bias], transB=1)
            size = ()
        if step.activation and step.bits == FLOAT_BITS:
            name = self._node("Clip", [name, *self._bounds()]) if step.clips else self._node("Relu", [name])
        return self._held(name, size, step.out_channels, step.bits)

    def _glue(self, tensor: _Tensor, opened: _Tensor, step: Glue) -> _Tensor:
        if step.op == BOUNDARY:
            if tensor.bits < FLOAT_BITS:
                return replace(tensor, bits=step.bits)  # what is held can be read as float as it is
            return self._held(tensor.name, tensor.size, tensor.channels, step.bits)
        size, channels, inputs = tensor.size, tensor.channels, [tensor.name]
        attributes: dict[str, Any] = {}
        if step.op in JOINS:
            inputs.append(opened.name)
            if step.op == "Concat":
                channels += opened.channels
                attributes["axis"] = 2 if len(size) == 1 else 1
        elif step.op in POOLS:
            attributes = _attributes(step)
            size = _reduced(size, step)
        elif step.op == "GlobalAveragePool":
            size = (1, 1)
        elif step.op == "ReduceMean":
            inputs.append(self._constant(np.array([2, 3] if len(size) == 2 else [1], np.int64)))
            attributes["keepdims"], size = 0, ()
        elif step.op == "Flatten":
            channels, size = channels * prod(size), ()
            inputs.append(self._constant(np.array([-1, channels], np.int64)))
        elif step.op == "Clip":
            inputs += self._bounds()
        name = self._node("Reshape" if step.op == "Flatten" else step.op, inputs, **attributes)
        if step.activation and step.bits == FLOAT_BITS:
            name = self._node("Relu", [name])
        return self._held(name, size, channels, step.bits)

    def _held(self, name: str, size: tuple[int, ...], channels: int, bits: int) -> _Tensor:
        """The tensor behind a quantise-dequantise pair if it is held in int8."""
        if bits < FLOAT_BITS:
            grid = [self._constant(np.array(STEP, np.float32)), self._constant(np.array(0, np.uint8))]
            name = self._node("DequantizeLinear", [self._node("QuantizeLinear", [name, *grid]), *grid])
        return _Tensor(name, size, channels, bits)

    def _weights(self, shape: tuple[int, ...], axis: int, bits: int) -> tuple[str, str]:
        """Names of a weight and its bias, in int8 behind a dequantisation each as the exporter writes them."""
        rows = shape[axis]
        if bits == FLOAT_BITS:
            fan_in = prod(shape) / rows
            weight = self._generator.normal(0, fan_in**-0.5, shape).astype(np.float32)
            return self._constant(weight), self._constant(np.zeros(rows, np.float32))
        codes = self._generator.integers(-127, 128, shape).astype(np.int8)
        steps = np.full(rows, WEIGHT_STEP, np.float32)
        weight_name = self._dequantised(codes, steps, axis)
        # Runtimes take the bias for the integer kernel only if its step is the product of the other two.
        return weight_name, self._dequantised(np.zeros(rows, np.int32), steps * STEP, 0)

    def _dequantised(self, codes: npt.NDArray[np.signedinteger], steps: npt.NDArray[np.float32], axis: int) -> str:
        zeros = np.zeros(len(steps), codes.dtype)
        return self._node("DequantizeLinear", [self._constant(array) for array in (codes, steps, zeros)], axis=axis)

    def _bounds(self) -> list[str]:
        """Those of a ReLU6."""
        return [self._constant(np.array(bound, np.float32)) for bound in (0, 6)]

    def _node(self, kind: str, inputs: list[str], **attributes: Any) -> str:
        name = self._name()
        self._nodes.append(helper.make_node(kind, inputs, [name], **attributes))
        return name

    def _constant(self, array: npt.NDArray[np.generic]) -> str:
        name = self._name()
        self._constants.append(numpy_helper.from_array(array, name))
        return name

    def _name(self) -> str:
        self._count += 1
        return f"t{self._count}"


def _attributes(step: Layer | Glue) -> dict[str, Any]:
    found: dict[str, Any] = {
        "kernel_shape": step.kernel,
        "strides": step.stride,
        "pads": (*step.padding, *step.padding),
    }
    if isinstance(step, Layer):
        found["dilations"] = step.dilation
    return found


def _reduced(size: tuple[int, ...], step: Layer | Glue) -> tuple[int, ...]:
    """Height and width behind a convolution or pool."""
    spread = step.dilation if isinstance(step, Layer) else (1, 1)
    return tuple(
        (length + 2 * padding - reach * (kernel - 1) - 1) // stride + 1
        for length, padding, reach, kernel, stride in zip(
            size, step.padding, spread, step.kernel, step.stride, strict=True
        )
    )
