"""What is to be timed: layers and the operations between them, each with what a few sites make of it.

A layer or operation is timed among its like: what it reads and what it makes is held in its own precision. Where what
makes a tensor and what reads it differ, a boundary between them counts the conversion, with the change of the memory
layout that comes with it. Precisions are bits: up to 8 is int8 (all of these run alike), 32 is float.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from learners.latency.models import (
    BOUNDARY,
    GLUE,
    JOINS,
    PARTIAL_INPUTS,
    Glue,
    Layer,
    Opening,
    Probe,
)
from storage.records.space import FLOAT_BITS

INT8_BITS = 8


@dataclass(frozen=True)
class LayerCell:
    """What one combination of levels makes of a layer."""

    in_channels: int  # features of a linear layer
    out_channels: int
    bits: int  # of the weights


@dataclass(frozen=True)
class TimedLayer:
    """A convolution or linear layer.

    `size` is that of the input: (height, width) of a map, (tokens,) of [n, tokens, features], () of [n, features].
    Fields that only convolutions have are left at their defaults by linear layers.
    """

    name: str
    kind: str  # "convolution", "grouped convolution", "depthwise convolution", "linear"
    size: tuple[int, ...]
    sites: tuple[int, ...]  # indices into the space's sites
    cells: tuple[LayerCell, ...]  # row-major over the levels of `sites`
    kernel: tuple[int, int] = (1, 1)
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1  # ignored for depthwise convolutions, which have as many as channels
    activation: bool = False  # a Relu or Clip follows that the runtime fuses
    clips: bool = False  # it is a Clip, as of ReLU6: in float runtimes need another pass over the output for it
    from_input: bool = False  # reads the model's input
    extra: bool = False  # counts what a cell takes more than that of its first site's first level, nothing else
    repeats: int = 1  # inputs of one sample along the first axis, where windows or tokens are folded into it


@dataclass(frozen=True)
class GlueCell:
    """What one combination of levels makes of an operation between layers."""

    channels: int  # of the output; of Flatten those of the input
    bits: int  # 8 where it runs in int8; of a boundary, the precision of what makes the tensor
    reader_bits: int | None = None  # of a boundary only: the precision of what reads the tensor


@dataclass(frozen=True)
class TimedGlue:
    """An operation without weights: `op` is one of `learners.latency.models.GLUE`, `size` that of its inputs.

    The operation "Boundary" stands for the conversion between what makes a tensor and what reads it.
    """

    name: str
    op: str
    size: tuple[int, ...]
    sites: tuple[int, ...]
    cells: tuple[GlueCell, ...]
    kernel: tuple[int, int] = (1, 1)  # of pools
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    activation: bool = False
    extra: bool = False  # as of layers
    repeats: int = 1  # as of layers

    def __post_init__(self) -> None:
        if self.op not in GLUE:
            raise ValueError(f"{self.op} of {self.name} cannot be timed; these can: {', '.join(sorted(GLUE))}")


@dataclass(frozen=True)
class Difference:
    """A cost as the difference of two whole models, so that call, input and output cancel."""

    whole: Probe
    without: Probe


def repeats(shape: Sequence[int], axis: int) -> int:
    """How often one sample has a tensor of this shape, the model's for one sample, along the first axis."""
    return shape[0] if axis else 1


def extent(shape: Sequence[int], axis: int) -> tuple[int, ...]:
    """The size, as layers and operations have it, of a tensor [n, ...] of this shape whose channels lie along `axis`.

    Where channels come last, all that is between is tokens, such as the places of [n, height, width, channels].
    """
    between = tuple(length for place, length in enumerate(shape) if place not in (0, axis))
    if axis == len(shape) - 1:
        return (prod(between),) if between else ()
    return prod(between[:-1]), between[-1]


def layer_difference(layer: TimedLayer, cell: LayerCell) -> Difference:
    """The models whose difference in time is what `layer` takes in one cell."""
    groups = cell.in_channels if layer.kind == "depthwise convolution" else layer.groups
    bits = _runs_as(cell.bits)
    # The grid of an int8 output clamps by itself, so that the activation leaves no trace in the file.
    # A Relu fused into a convolution costs 0.3 % of it: too little to time every layer with and without.
    free = bits == INT8_BITS or (len(layer.size) != 1 and not layer.clips)
    activation = layer.activation and not free
    step = Layer(
        out_channels=cell.out_channels,
        bits=bits,
        kernel=layer.kernel,
        stride=layer.stride,
        padding=layer.padding,
        dilation=layer.dilation,
        groups=groups,
        activation=activation,
        clips=activation and layer.clips,
    )
    held = FLOAT_BITS if layer.from_input else bits
    opening = Opening(layer.size, cell.in_channels, held, layer.from_input, layer.repeats)
    return Difference(Probe(opening, (step,)), Probe(opening))


def glue_difference(glue: TimedGlue, cell: GlueCell) -> Difference:
    """The models whose difference in time is what `glue` takes in one cell."""
    bits = _runs_as(cell.bits)
    if glue.op == BOUNDARY:
        assert cell.reader_bits is not None
        reader = _runs_as(cell.reader_bits)
        opening = Opening(glue.size, cell.channels, bits, repeats=glue.repeats)
        return Difference(Probe(opening, () if reader == bits else (Glue(BOUNDARY, reader),)), Probe(opening))
    step = Glue(glue.op, bits, glue.kernel, glue.stride, glue.padding, glue.activation and bits == FLOAT_BITS)
    if glue.op not in JOINS:
        opening = Opening(glue.size, cell.channels, bits, repeats=glue.repeats)
        return Difference(Probe(opening, (step,)), Probe(opening))
    # One input comes from a layer that is also in the base, as in a residual block: runtimes fuse that layer and the
    # addition behind it.
    first = max(1, cell.channels // 2) if glue.op in PARTIAL_INPUTS else cell.channels
    second = max(1, cell.channels - first) if glue.op in PARTIAL_INPUTS else cell.channels
    opening = Opening(glue.size, first, bits, repeats=glue.repeats)
    before = Layer(second, bits)
    return Difference(Probe(opening, (before, step)), Probe(opening, (before,)))


def _runs_as(bits: int) -> int:
    """Every width up to 8 is stored on an int8 grid and runs as int8."""
    return INT8_BITS if bits <= INT8_BITS else FLOAT_BITS
