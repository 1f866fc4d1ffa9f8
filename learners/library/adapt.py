"""Adapts one layer: channels first, then bits on what is left."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod

import torch

from learners.base import GroupLearner, LevelWeights, WeightLearner
from learners.channel.consumers import Consumer
from learners.channel.reconstruct import part_of_gram
from learners.gram import AnyGram
from learners.graph.layers import INDEX_MAP, Layer
from learners.quant.grid import storable_bias

ORIGINAL = "fp32"
FLOAT_BITS = 32


@dataclass(frozen=True)
class Variant:
    """A layer with some of its inputs, at every width, for all its output channels."""

    levels: tuple[LevelWeights, ...]
    pruned: torch.Tensor  # float64 [out]: squared output error of doing without the other inputs


def adapt_layer(
    consumer: Consumer,
    bias: torch.Tensor | None,
    columns: torch.Tensor,
    channels: GroupLearner | None,
    weights: WeightLearner | None,
) -> Variant:
    """The variant of a layer that has the input `columns` (indices into each group's matrix) left."""
    layer, gram = consumer.layer, consumer.gram
    if len(columns) == layer.columns:
        matrix = consumer.weight.float()
        lost = torch.zeros(layer.shape[0], dtype=torch.float64)
    else:
        assert channels is not None
        columns = columns.to(consumer.weight.device)
        found = channels.adapt(consumer, columns)
        matrix, lost = found.weight.float(), found.errors.reshape(-1)
        shift = found.shift.reshape(-1)
        bias = (shift if bias is None else bias.double() + shift).float()
        gram = part_of_gram(gram, columns)
        layer = replace(layer, shape=_shape(layer, len(columns)))
    weight = matrix.reshape(layer.shape)
    if layer.kind == INDEX_MAP and bias is not None:
        bias = storable_bias(bias)[0]  # what it is in an int8 file
    if weights is None or layer.kind == INDEX_MAP:
        exact = torch.zeros(len(weight), dtype=torch.float64)
        levels: Sequence[LevelWeights] = [
            LevelWeights(ORIGINAL, FLOAT_BITS, weight, None, None, None, bias, exact, "unchanged")
        ]
    else:
        levels = weights.adapt(layer, weight, bias, gram)
    return Variant(tuple(_on_cpu(level) for level in levels), lost.cpu())


def consumer_of(layer: Layer, weight: torch.Tensor, gram: AnyGram, columns: dict[int, torch.Tensor]) -> Consumer:
    """A layer with its weight as a matrix."""
    return Consumer(layer, weight.reshape(layer.matrix_shape).double(), gram, columns)


def _shape(layer: Layer, columns: int) -> tuple[int, ...]:
    taps = prod(layer.shape[2:])
    return (layer.shape[0], columns // taps, *layer.shape[2:])


def _on_cpu(level: LevelWeights) -> LevelWeights:
    def move(tensor: torch.Tensor | None) -> torch.Tensor | None:
        return None if tensor is None else tensor.cpu()

    return replace(
        level,
        values=move(level.values),
        codes=move(level.codes),
        scale=move(level.scale),
        zero=move(level.zero),
        bias=move(level.bias),
        row_errors=move(level.row_errors),
    )
