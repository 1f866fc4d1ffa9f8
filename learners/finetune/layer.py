"""A layer under training: float32 master weights, rounded as its level has them in every forward pass."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import nn

from learners.base import LevelWeights
from learners.finetune.straight_through import rounded_weight
from learners.quant.grid import common_exponent, largest_code, storable, storable_bias

SMALLEST = 1e-12  # of what numbers are divided by
LEAST_BIAS = 0.01  # of a layer whose biases are all about zero, beside the size of its weights' sums


class TrainedLayer(nn.Module):
    """The weights of one layer at one level.

    What is trained are numbers around 1: master weights in units of their output channel's root mean square, the
    logarithm of each step, biases in units of the layer's. With batch norms folded channels differ in size by orders of
    magnitude, and an optimiser whose steps are of one size (Adam) would otherwise leave the large ones as they are and
    wipe out the small ones.
    """

    size: torch.Tensor  # buffers
    bias_size: torch.Tensor
    first_step: torch.Tensor
    zero: torch.Tensor

    def __init__(self, level: LevelWeights) -> None:
        super().__init__()
        self.first = level
        weight = level.weight().clone()
        self._shape = (-1, *[1] * (weight.dim() - 1))
        size = weight.reshape(len(weight), -1).square().mean(1).sqrt().clamp(min=SMALLEST).reshape(self._shape)
        self.register_buffer("size", size)
        self.weight = nn.Parameter(weight / size)
        self.bias: nn.Parameter | None = None
        self.step: nn.Parameter | None = None
        if level.bias is not None:
            scale = level.bias.square().mean().sqrt().clamp(min=LEAST_BIAS * float(size.mean()))
            self.register_buffer("bias_size", scale)
            self.bias = nn.Parameter(level.bias / scale)
        if level.codes is not None:
            assert level.scale is not None
            assert level.zero is not None
            self.register_buffer("first_step", (level.scale.float() * 2.0**level.exponent).reshape(self._shape))
            self.register_buffer("zero", level.zero.float().reshape(self._shape))
            self.step = nn.Parameter(torch.zeros(len(weight)))

    def tensors(self) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Weight and bias of the forward pass; gradients pass through."""
        weight = self.weight * self.size
        if self.step is not None:
            weight = rounded_weight(weight, self._step(), self.zero, largest_code(self.first.bits))
        return weight, None if self.bias is None else self.bias * self.bias_size

    def _step(self) -> torch.Tensor:
        assert self.step is not None
        return self.first_step * self.step.exp().reshape(self._shape)

    @torch.no_grad()
    def level(self) -> LevelWeights:
        """The trained weights as a file stores them."""
        weight = (self.weight * self.size).cpu()
        bias = None if self.bias is None else (self.bias * self.bias_size).cpu()
        if self.step is None:
            return replace(self.first, values=weight, bias=bias, row_errors=None)
        step = self._step().cpu()
        exponent = common_exponent(step * largest_code(self.first.bits))
        scale = storable(step * 2.0**-exponent)
        zero = self.zero.cpu()
        largest = largest_code(self.first.bits)
        codes = (weight / (scale * 2.0**exponent) + zero / 2).round().clamp(0, largest)
        kept, bias_exponent = (None, 0) if bias is None else storable_bias(bias)
        return replace(
            self.first,
            codes=codes.to(torch.uint8),
            scale=scale.reshape(-1).half(),
            exponent=exponent,
            bias=kept,
            bias_exponent=bias_exponent,
            row_errors=None,
        )
