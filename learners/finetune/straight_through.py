"""Rounding that gradients pass through (Bengio et al. 2013, 1308.3432), with learned steps (LSQ, Esser et al. 2020,
1902.08153)."""

from __future__ import annotations

from typing import Any

import torch


def rounded_weight(weight: torch.Tensor, step: torch.Tensor, zero: torch.Tensor, largest: int) -> torch.Tensor:
    """`weight` [out, ...] on the grid of each output channel; see `learners.quant.grid`.

    Its gradients are LSQ's: to the weights within the grid one, beyond it zero; to the step what rounding or clipping
    has moved a weight by, in steps (section 2, equation 3). LSQ's factor 1 / sqrt(n * largest) of that gradient is
    left out: steps are trained as logarithms, by Adam, which scales every gradient itself.

    Args:
        step: [out, 1, ...], positive.
        zero: likewise, in half steps.
        largest: the largest code; the smallest is 0.
    """
    place = (weight / step + zero / 2).clamp(0, largest)
    code = place + (place.round() - place).detach()
    return (code - zero / 2) * step


class _RoundedActivation(torch.autograd.Function):
    """Written by hand for speed: on a processor these few passes cost as much as a convolution."""

    @staticmethod
    def forward(
        ctx: Any, values: torch.Tensor, width: float, low: int, high: int, step: torch.Tensor | None
    ) -> torch.Tensor:
        ctx.bounds = low * width, high * width
        clipped = torch.nn.functional.hardtanh(values, *ctx.bounds)
        rounded = clipped.mul_(1 / width).round_().mul_(width)
        ctx.width, ctx.learn = width, step is not None
        ctx.save_for_backward(*((values, rounded) if ctx.learn else (values,)))
        return rounded

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        values = ctx.saved_tensors[0]
        passed = torch.ops.aten.hardtanh_backward(gradient, values, *ctx.bounds)
        if not ctx.learn:
            return passed, None, None, None, None
        rounded = ctx.saved_tensors[1]
        # Beyond the range a value is an end of the grid, whose derivative is its code; within it is what rounding adds.
        moved = (rounded * gradient).sum(dtype=torch.float32) - (values * passed).sum(dtype=torch.float32)
        return passed, None, None, None, moved / ctx.width


def rounded_activation(
    values: torch.Tensor, width: float, low: int, high: int, step: torch.Tensor | None
) -> torch.Tensor:
    """Activations in any floating type on a uint8 grid that holds zero: clipped to its range, and rounded.

    Gradients pass straight through within the range; to the step as LSQ has it.

    Args:
        width: of a step, positive.
        low: the code of the lower end, where zero's is 0.
        high: of the upper end.
        step: the width as a tensor that gets a gradient; None where it is not to.
    """
    result: torch.Tensor = _RoundedActivation.apply(values, width, low, high, step)  # type: ignore[no-untyped-call]
    return result
