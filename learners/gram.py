"""Gram matrices of the inputs of every layer: all that fitting its weights needs to know of the data."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import torch
import torch.nn.functional as F

from learners.graph.graph import Graph, Node
from learners.graph.layers import Layer
from learners.graph.run import Program

RECIPE = "gram-2"  # changes whenever the same images would give other matrices
POSITIONS = 128  # output positions sampled from an image; neighbouring ones say nearly the same
BATCH = 32
# Wider layers keep the diagonal alone: the matrix of VGG's first linear layer, 25,088 columns, would take 5 GB, and its
# factorisation hours.
WIDEST = 8192


@dataclass(frozen=True)
class Gram:
    """Second moments of a layer's unfolded inputs with a constant 1 appended: [groups, columns + 1, columns + 1]."""

    matrix: torch.Tensor  # float64, divided by the number of samples
    samples: int

    @property
    def variance(self) -> torch.Tensor:
        """Variance of each input [groups, columns]."""
        return self.covariance.diagonal(dim1=1, dim2=2)

    @property
    def mean(self) -> torch.Tensor:
        """Mean input [groups, columns]."""
        return self.matrix[:, -1, :-1]

    @property
    def covariance(self) -> torch.Tensor:
        """Covariance of the inputs [groups, columns, columns].

        The squared output error of a changed weight under the best bias for it: the constant absorbs every mean shift.
        """
        mean = self.mean
        return self.matrix[:, :-1, :-1] - mean[:, :, None] * mean[:, None, :]


@dataclass(frozen=True)
class DiagonalGram:
    """Mean and variance of the inputs of a layer that is too wide for its Gram matrix; float64 [groups, columns]."""

    mean: torch.Tensor
    variance: torch.Tensor
    samples: int


AnyGram: TypeAlias = Gram | DiagonalGram


def on_device(gram: AnyGram, device: torch.device) -> AnyGram:
    """The statistics where the weights are that are fitted with them."""
    if isinstance(gram, Gram):
        return Gram(gram.matrix.to(device), gram.samples)
    return DiagonalGram(gram.mean.to(device), gram.variance.to(device), gram.samples)


def collect_grams(
    graph: Graph,
    tensors: Mapping[str, torch.Tensor],
    layers: Sequence[Layer],
    images: torch.Tensor,
    seed: int,
) -> dict[str, AnyGram]:
    """The Gram matrix of each layer by name, over calibration `images` [n, ...]; one forward pass of the dense model.

    The sampled positions depend on `seed` alone. Non-finite inputs are the caller's to refuse beforehand.
    """
    generator = np.random.Generator(np.random.PCG64(seed))
    by_source: dict[str, list[Layer]] = {}
    for layer in layers:
        by_source.setdefault(layer.source, []).append(layer)
    sums: dict[str, torch.Tensor] = {}
    shifts: dict[str, torch.Tensor] = {}
    samples: dict[str, int] = {}

    def add(source: str, value: torch.Tensor) -> None:
        for layer in by_source.get(source, ()):
            rows = unfold(layer, value, generator)
            if layer.name not in shifts:
                shifts[layer.name] = _shift(rows)
            product = _moments(rows.sub_(shifts[layer.name])).double().cpu()
            sums[layer.name] = sums[layer.name] + product if layer.name in sums else product
            samples[layer.name] = samples.get(layer.name, 0) + rows.shape[1]

    def observe(node: Node, value: torch.Tensor) -> None:
        add(node.name, value)

    program = Program(graph)
    with torch.no_grad():
        for batch in torch.split(images, BATCH):
            add(graph.input, batch)
            program(tensors, batch, observe)
    wide = {layer.name for layer in layers if layer.columns > WIDEST}
    found: dict[str, AnyGram] = {}
    for name, total in sums.items():
        moments, shift = total / samples[name], shifts[name].double().cpu()
        build: Callable[[torch.Tensor, torch.Tensor, int], AnyGram] = _diagonal_gram if name in wide else _gram
        found[name] = build(moments, shift, samples[name])
    return found


def _shift(rows: torch.Tensor) -> torch.Tensor:
    """What is taken off the rows of all batches before their product [groups, 1, columns + 1].

    About the mean of each column, and 0 of the constant: where the mean is far larger than the spread, products in
    float32 would lose the covariance in their rounding.
    """
    shift = rows.mean(1, keepdim=True)
    shift[:, :, -1] = 0
    return shift


def _moments(rows: torch.Tensor) -> torch.Tensor:
    """Summed moments [groups, columns + 1, columns + 1]; of a wide layer, sums and squares [groups, 2, columns]."""
    if rows.shape[2] - 1 > WIDEST:
        inputs = rows[:, :, :-1]
        return torch.stack([inputs.sum(1), inputs.square().sum(1)], 1)
    return rows.transpose(1, 2) @ rows


def _gram(moments: torch.Tensor, shift: torch.Tensor, samples: int) -> Gram:
    """Adds the shift a again: E[xy'] = E[(x - a)(y - b)'] + a E[y]' + E[x] b' - a b'; all in double."""
    matrix = moments.clone()
    matrix[:, -1:, :] += shift
    matrix[:, :, -1:] += shift.transpose(1, 2)
    mean, shift = matrix[:, -1:, :-1], shift[:, :, :-1]
    across = shift.transpose(1, 2) @ mean
    matrix[:, :-1, :-1] += across + across.transpose(1, 2) - shift.transpose(1, 2) @ shift
    return Gram(matrix, samples)


def _diagonal_gram(moments: torch.Tensor, shift: torch.Tensor, samples: int) -> DiagonalGram:
    mean = moments[:, 0]
    return DiagonalGram(mean + shift[:, 0, :-1], (moments[:, 1] - mean.square()).clamp_(min=0), samples)


def unfold(layer: Layer, value: torch.Tensor, generator: np.random.Generator) -> torch.Tensor:
    """Inputs of a layer as rows [groups, samples, columns + 1] with a trailing 1, at sampled output positions."""
    if layer.kind == "linear":
        rows = value.reshape(1, -1, value.shape[-1])
        if rows.shape[1] > POSITIONS * len(value):
            kept = np.sort(generator.choice(rows.shape[1], POSITIONS * len(value), replace=False))
            rows = rows[:, torch.from_numpy(kept).to(value.device)]
    else:
        rows = _patches(layer, value, generator)
    return torch.cat([rows, rows.new_ones(*rows.shape[:2], 1)], 2)


def _patches(layer: Layer, value: torch.Tensor, generator: np.random.Generator) -> torch.Tensor:
    """Patches under the kernel [groups, images x positions, columns]."""
    kernel_height, kernel_width = layer.shape[2:]
    (step_y, step_x), (pad_y, pad_x), (gap_y, gap_x) = layer.stride, layer.padding, layer.dilation
    padded = F.pad(value, (pad_x, pad_x, pad_y, pad_y))
    count, channels, height, width = padded.shape
    out_height = (height - gap_y * (kernel_height - 1) - 1) // step_y + 1
    out_width = (width - gap_x * (kernel_width - 1) - 1) // step_x + 1
    total = out_height * out_width
    chosen = torch.from_numpy(np.sort(generator.choice(total, min(POSITIONS, total), replace=False)))
    top, left = chosen // out_width * step_y, chosen % out_width * step_x
    rows = top[:, None, None] + torch.arange(kernel_height)[None, :, None] * gap_y
    columns = left[:, None, None] + torch.arange(kernel_width)[None, None, :] * gap_x
    patches = padded[:, :, rows.to(value.device), columns.to(value.device)]  # [n, channels, positions, kh, kw]
    patches = patches.reshape(count, layer.groups, channels // layer.groups, len(chosen), kernel_height, kernel_width)
    return patches.permute(1, 0, 3, 2, 4, 5).reshape(layer.groups, count * len(chosen), layer.columns)
