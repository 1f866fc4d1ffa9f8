"""Consumers: the layers that read the channels of a group, and what they lose when some go."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from learners.channel.coupling import Coupling
from learners.gram import AnyGram, Gram
from learners.graph.layers import DEPTHWISE, INDEX_MAP, Layer

SMALLEST_POWER = 1e-12


@dataclass(frozen=True)
class Consumer:
    """A layer as a reader of channels. Its weight is seen as `groups` matrices [rows, columns]."""

    layer: Layer
    weight: torch.Tensor  # float64 [groups, rows, columns]
    gram: AnyGram
    columns: Mapping[int, torch.Tensor]  # unit -> indices of its columns in each group's matrix

    @property
    def power(self) -> float:
        """Variance of the outputs, of all together; errors are relative to it."""
        return max(SMALLEST_POWER, float(row_powers(self.weight, self.gram).sum()))


def unit_columns(layer: Layer, coupling: Coupling) -> dict[int, torch.Tensor]:
    """For every unit that a layer reads, its columns in the matrix of each of the layer's groups."""
    units = coupling.inputs[layer.name]
    units = units[: len(units) // layer.groups]  # the same places of all groups go together
    each = layer.columns // len(units)  # a kernel's taps
    found: dict[int, torch.Tensor] = {}
    for unit in dict.fromkeys(units.tolist()):
        places = torch.from_numpy(np.flatnonzero(units == unit))
        found[int(unit)] = (places[:, None] * each + torch.arange(each)[None, :]).reshape(-1)
    return found


def find_consumers(
    layers: Sequence[Layer], coupling: Coupling, tensors: Mapping[str, torch.Tensor], grams: Mapping[str, AnyGram]
) -> dict[int, list[Consumer]]:
    """For every unit the layers that read it. Depthwise convolutions only pass their channels on."""
    found: dict[int, list[Consumer]] = {}
    for layer in layers:
        if layer.kind == DEPTHWISE or not coupling.inputs[layer.name].any():
            continue
        weight = tensors[layer.weight].reshape(layer.matrix_shape).double()
        consumer = Consumer(layer, weight, grams[layer.name], unit_columns(layer, coupling))
        for unit in consumer.columns:
            found.setdefault(unit, []).append(consumer)
    return found


def row_powers(weight: torch.Tensor, gram: AnyGram) -> torch.Tensor:
    """Variance of each output [groups, rows] of a weight [groups, rows, columns], in float64."""
    weight = weight.double()
    if isinstance(gram, Gram):
        return ((weight @ gram.covariance.to(weight.device)) * weight).sum(2).clamp_(min=0)
    return (weight.square() * gram.variance.to(weight.device)[:, None, :]).sum(2)


def can_reconstruct(consumer: Consumer) -> bool:
    """Whether the weights may be fitted anew: those of an index map are zeros and ones for good."""
    return consumer.layer.kind != INDEX_MAP and isinstance(consumer.gram, Gram)
