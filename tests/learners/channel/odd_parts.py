"""What the networks that try to break the coupling of channels are made of; they read 4 x 12 x 12 images."""

# Calling a module gives Any.
# mypy: disable-error-code="no-any-return"

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

SHAPE = (4, 12, 12)
Forward = Callable[["Odd", torch.Tensor], torch.Tensor]


def conv(inputs: int, outputs: int, kernel: int = 3, groups: int = 1) -> nn.Conv2d:
    """A convolution that keeps the size."""
    return nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, groups=groups)


class Odd(nn.Module):
    """Layers by name, and a forward of the caller's choice."""

    def __init__(self, forward: Forward, **layers: nn.Module) -> None:
        super().__init__()
        for name, layer in layers.items():
            self.add_module(name, layer)
        self._forward = forward

    def __getattr__(self, name: str) -> Any:
        return super().__getattr__(name)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self._forward(self, x)


def pooled(self: Odd, x: torch.Tensor) -> torch.Tensor:
    """The head behind an activation and a mean over the map."""
    return self.head(F.relu(x).mean((2, 3)))
