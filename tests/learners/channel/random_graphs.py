"""Random small networks from everything that the coupling can follow."""

# Calling a module gives Any.
# mypy: disable-error-code="no-any-return"

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from hypothesis import strategies as st
from torch import nn

SHAPE = (3, 8, 8)
CLASSES = 4
KINDS = (
    "conv", "pointwise", "grouped", "depthwise", "residual", "branch", "dense", "split", "shuffle", "gate", "pool",
    "norm", "widen", "slice", "fresh norm", "many parts", "shuffle module",
)  # fmt: skip
WIDTHS = (4, 6, 8, 12)


@dataclass(frozen=True)
class Recipe:
    """What a network is made of: enough to build it again."""

    stem: int
    steps: tuple[tuple[str, int], ...]  # kind, width (of those that choose one)
    flat: bool  # flatten into a linear layer, or mean over the places
    seed: int


def recipes(most: int) -> st.SearchStrategy[Recipe]:
    """Networks of at most `most` steps."""
    steps = st.lists(st.tuples(st.sampled_from(KINDS), st.sampled_from(WIDTHS)), min_size=1, max_size=most)
    return st.builds(Recipe, st.sampled_from(WIDTHS), steps.map(tuple), st.booleans(), st.integers(0, 999))


def norm(channels: int) -> nn.BatchNorm2d:
    """A batch norm that does something."""
    made = nn.BatchNorm2d(channels)
    nn.init.uniform_(made.weight, 0.5, 1.5)
    nn.init.uniform_(made.bias, -0.3, 0.3)
    assert made.running_mean is not None
    nn.init.uniform_(made.running_mean, -0.2, 0.2)
    return made


def layer(inputs: int, outputs: int, kernel: int = 3, groups: int = 1) -> nn.Sequential:
    """A convolution with its batch norm."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, groups=groups, bias=False), norm(outputs)
    )


class Step(nn.Module):
    """One step; `outputs` channels come out of it."""

    def __init__(self, kind: str, inputs: int, width: int) -> None:
        super().__init__()
        self.kind, self.outputs = kind, inputs
        self.first: nn.Module = nn.Identity()
        self.second: nn.Module = nn.Identity()
        if kind in ("conv", "pointwise"):
            self.first, self.outputs = layer(inputs, width, 3 if kind == "conv" else 1), width
        elif kind == "grouped":
            self.first = layer(inputs, inputs, 3, 2)
        elif kind == "depthwise":
            self.first = layer(inputs, inputs, 3, inputs)
        elif kind == "residual":
            self.first, self.second = layer(inputs, width), layer(width, inputs)
        elif kind == "branch":
            self.first, self.second, self.outputs = layer(inputs, width), layer(inputs, width, 1), width
        elif kind == "dense":
            self.first, self.outputs = layer(inputs, width), inputs + width
        elif kind == "split":
            self.first = layer(inputs - inputs // 2, inputs - inputs // 2)
        elif kind == "gate":
            self.first, self.second = nn.Conv2d(inputs, 3, 1), nn.Conv2d(3, inputs, 1)
        elif kind == "norm":
            self.first, self.second, self.outputs = norm(inputs), layer(inputs, width, 1), width
        elif kind == "fresh norm":  # as it is made: all its channels are alike
            self.first, self.second, self.outputs = nn.BatchNorm2d(inputs), layer(inputs, width), width
        elif kind == "shuffle module":
            self.first = nn.ChannelShuffle(2)
        elif kind == "widen":
            self.first, self.outputs = layer(inputs, inputs + 3), inputs + 3
            if self.outputs % 2:
                self.first, self.outputs = layer(inputs, inputs + 4), inputs + 4
        elif kind == "slice":
            self.first = layer(inputs // 2, inputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        match self.kind:
            case "conv" | "pointwise" | "grouped" | "depthwise":
                return F.relu(self.first(x))
            case "residual":
                return F.relu(x + self.second(F.relu(self.first(x))))
            case "branch":
                return torch.sigmoid(self.first(x)) * self.second(x)
            case "dense":
                return torch.cat([x, F.relu(self.first(x))], 1)
            case "split":
                left, right = torch.split(x, [x.size(1) // 2, x.size(1) - x.size(1) // 2], 1)
                return torch.cat([self.first(right), left], 1)
            case "shuffle":
                count, channels, height, width = x.shape
                return x.view(count, 2, channels // 2, height, width).transpose(1, 2).reshape(count, -1, height, width)
            case "gate":
                return x * torch.sigmoid(self.second(F.relu(self.first(F.adaptive_avg_pool2d(x, 1)))))
            case "pool":
                return F.max_pool2d(x, 3, 1, 1)
            case "many parts":
                parts = torch.split(x, [2] * (x.size(1) // 2), 1)
                return torch.cat([*map(F.relu, parts[1::2]), *parts[::2]], 1)
            case "shuffle module":
                return self.first(x)
            case "norm" | "fresh norm":
                return self.second(F.relu(self.first(x)))
            case "widen":
                extra = self.outputs - x.size(1)
                return F.relu(self.first(x) + F.pad(x, (0, 0, 0, 0, extra // 2, extra - extra // 2)))
            case _:
                return F.relu(self.first(x[:, : x.size(1) // 2]) + x)


class RandomNetwork(nn.Module):
    """A stem, the steps of a recipe, and a head."""

    def __init__(self, recipe: Recipe) -> None:
        super().__init__()
        self.stem = layer(SHAPE[0], recipe.stem)
        steps, width = [], recipe.stem
        for kind, chosen in recipe.steps:
            steps.append(Step(kind, width, chosen))
            width = steps[-1].outputs
        self.steps, self.flat = nn.Sequential(*steps), recipe.flat
        self.head = nn.Linear(width * 4 if recipe.flat else width, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.steps(F.relu(self.stem(x)))
        return self.head(F.avg_pool2d(x, 4).flatten(1) if self.flat else x.mean((2, 3)))


def build_random(recipe: Recipe) -> nn.Module:
    """The network in eval mode; the same weights each time."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        return RandomNetwork(recipe).eval()
