"""What learners do: give sites their levels, and layers the weights adapted to each of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import torch

from learners.channel.consumers import Consumer
from learners.channel.criteria.base import CriterionInput
from learners.channel.group_levels import GroupLevels
from learners.channel.groups import ChannelGroup
from learners.channel.reconstruct import Reconstructed
from learners.channel.surgery import Kept
from learners.gram import AnyGram
from learners.graph.layers import Layer


@dataclass(frozen=True)
class LevelWeights:
    """A layer's weights adapted to one level.

    Either `values` holds them in float32, or `codes` do: then the weight of output channel o is
    ``2^exponent * scale[o] / 2 * (2 * codes[o] - zero[o])``. The power of two brings the layer's scales to where
    float16 is exact enough, whatever the unit of its inputs.
    """

    level: str  # "fp32", "w8", "w4", ...
    bits: int
    values: torch.Tensor | None  # float32 [out, ...]; None if there are codes
    codes: torch.Tensor | None  # uint8 [out, ...]
    scale: torch.Tensor | None  # float16 [out]
    zero: torch.Tensor | None  # uint8 [out], in half steps
    bias: torch.Tensor | None  # float32 [out], holding float16 values if codes are given
    row_errors: torch.Tensor | None  # float64 [out], squared, against what it was adapted from; None once it is stored
    method: str
    exponent: int = 0
    bias_exponent: int = 0  # of the biases likewise; `bias` holds the values themselves

    def weight(self) -> torch.Tensor:
        """The weights in float32 [out, ...]."""
        if self.codes is None or self.scale is None or self.zero is None:
            assert self.values is not None
            return self.values
        shape = (-1, *[1] * (self.codes.dim() - 1))
        half_step = self.scale.float().reshape(shape) * 2.0 ** (self.exponent - 1)
        return (2.0 * self.codes.float() - self.zero.float().reshape(shape)) * half_step

    def rows(self, places: torch.Tensor) -> LevelWeights:
        """Those of the output channels at `places` (indices)."""

        def pick(tensor: torch.Tensor | None) -> torch.Tensor | None:
            return None if tensor is None else tensor[places]

        return replace(
            self,
            values=pick(self.values),
            codes=pick(self.codes),
            scale=pick(self.scale),
            zero=pick(self.zero),
            bias=pick(self.bias),
            row_errors=pick(self.row_errors),
        )


@dataclass(frozen=True)
class Adapted:
    """What a candidate is made of."""

    kept: Kept  # which channels stay
    weights: Mapping[str, LevelWeights]  # of every layer and index map, by name, without the channels that go


def level_bits(name: str) -> int:
    """The width that a precision level's name states: 32 for "fp32", 4 for "w4"."""
    return int(name.lstrip("fpw"))


@dataclass(frozen=True)
class LearnerOptions:
    """What the study file says of how levels are made."""

    round_to: int | None = None  # channels that remain are multiples of it; None: by width
    min_channels: int | None = None  # of a group, at least
    criterion: str = "obs"  # key into learners.channel.criteria.table.CRITERIA
    reconstruct: bool = True  # whether readers are fitted to what is left


@runtime_checkable
class Learner(Protocol):
    """Makes levels. The order is fixed: channels, rank, sparsity, bits; one that comes later gets the weights as the
    earlier ones left them. Learners never touch storage. A learner is a `GroupLearner` or a `WeightLearner`, too.
    """

    name: str
    recipe: str  # changes whenever the same inputs would give other weights; part of the library's address

    def __init__(self, options: LearnerOptions) -> None: ...


@runtime_checkable
class GroupLearner(Protocol):
    """Takes channels away.

    For every group the library calls `fewest`, `order` and `group_levels`, in this order, when it is built, and then
    `adapt` for every layer that reads a group, at each of its levels. When it is planned, it calls `group_levels`
    alone, with any order.
    """

    method: str  # what is done to a group at its smaller levels, for people

    def fewest(self, group: ChannelGroup) -> int:
        """How many units the smallest level may leave, at least 1."""
        ...

    def order(self, group: ChannelGroup, given: CriterionInput, fewest: int) -> Sequence[int]:
        """Units in the order of their removal, until `fewest` are left or no more may go."""
        ...

    def group_levels(self, group: ChannelGroup, order: Sequence[int]) -> GroupLevels:
        """The levels if units are removed in `order`: all units first, then ever fewer. Units may be put earlier or
        later where a level must leave certain numbers of channels.
        """
        ...

    def adapt(self, consumer: Consumer, columns: torch.Tensor) -> Reconstructed:
        """The weights of a layer that has only the input `columns` left. Deterministic on one thread."""
        ...


@runtime_checkable
class WeightLearner(Protocol):
    """Changes the weights of one layer and leaves its shape.

    The library calls `levels` for every layer when it is planned, and `adapt` for every layer when it is built, once
    for each number of inputs that is left to it.
    """

    def levels(self, layer: Layer) -> Sequence[str]:
        """Names of the levels that `layer` may take, the original first, then ever smaller ones."""
        ...

    def adapt(
        self, layer: Layer, weight: torch.Tensor, bias: torch.Tensor | None, gram: AnyGram
    ) -> Sequence[LevelWeights]:
        """The layer's weights for each of `levels(layer)`, in that order. Deterministic on one thread."""
        ...


def split(learners: Sequence[Learner]) -> tuple[GroupLearner | None, WeightLearner | None]:
    """The learner of channels and that of weights, where there are such."""
    channels = next((item for item in learners if isinstance(item, GroupLearner)), None)
    return channels, next((item for item in learners if isinstance(item, WeightLearner)), None)
