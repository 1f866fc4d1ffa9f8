"""What every learner does: gives a layer its levels, and the layer's weights adapted to each of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch

from learners.gram import AnyGram
from learners.graph.layers import Layer


@dataclass(frozen=True)
class LevelWeights:
    """A layer's weights adapted to one level.

    `codes` None stands for the float32 weight as it is. Otherwise the weight of output channel o is
    ``2^exponent * scale[o] / 2 * (2 * codes[o] - zero[o])``. The power of two brings the layer's scales to where
    float16 is exact enough, whatever the unit of its inputs.
    """

    level: str  # "fp32", "w8", "w4", ...
    bits: int
    codes: torch.Tensor | None  # uint8, of the weight's shape
    scale: torch.Tensor | None  # float16 [out]
    zero: torch.Tensor | None  # uint8 [out], in half steps
    bias: torch.Tensor | None  # float32 [out], holding float16 values if codes are given
    error: float  # squared output error relative to the output's variance
    method: str
    exponent: int = 0
    bias_exponent: int = 0  # of the biases likewise; `bias` holds the values themselves

    def weight(self, original: torch.Tensor) -> torch.Tensor:
        """The adapted weight in float32, of the original's shape."""
        if self.codes is None or self.scale is None or self.zero is None:
            return original
        shape = (-1, *[1] * (original.dim() - 1))
        half_step = self.scale.float().reshape(shape) * 2.0 ** (self.exponent - 1)
        return (2.0 * self.codes.float() - self.zero.float().reshape(shape)) * half_step


def level_bits(name: str) -> int:
    """The width that a level's name states: 32 for "fp32", 4 for "w4"."""
    return int(name.lstrip("fpw"))


class Learner(Protocol):
    """Makes the levels of layers.

    The library calls `levels` for every layer when it is planned, and `adapt` for every layer when it is built, in the
    order of the graph. A learner sees one layer at a time, given its weights as the learner before it left them; it
    never touches storage. The order of learners is fixed: channels, rank, sparsity, bits.
    """

    name: str
    recipe: str  # changes whenever the same inputs would give other weights; part of the library's address

    def levels(self, layer: Layer) -> Sequence[str]:
        """Names of the levels that `layer` may take, the original first, then ever smaller ones."""
        ...

    def adapt(
        self, layer: Layer, weight: torch.Tensor, bias: torch.Tensor | None, gram: AnyGram
    ) -> Sequence[LevelWeights]:
        """The layer's weights for each of `levels(layer)`, in that order. Deterministic on one thread."""
        ...
