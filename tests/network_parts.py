"""Networks of the usual families, a few thousand weights each."""

# Calling a module gives Any.
# mypy: disable-error-code="no-any-return"

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import nn

CLASSES = 10


def conv_bn(inputs: int, outputs: int, kernel: int = 3, stride: int = 1, groups: int = 1) -> nn.Sequential:
    """A convolution without bias and its batch norm; the size stays but for the stride."""
    convolution = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs))


class Plain(nn.Module):
    """Convolution, batch norm, ReLU, twice."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.body = conv_bn(3, 16), conv_bn(16, 24, stride=2)
        self.head = nn.Linear(24, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.body(F.relu(self.stem(x))))
        return self.head(x.mean((2, 3)))


class Block(nn.Module):
    """A basic residual block with one of two shortcuts."""

    def __init__(self, inputs: int, outputs: int, stride: int, shortcut: str) -> None:
        super().__init__()
        self.first, self.second = conv_bn(inputs, outputs, stride=stride), conv_bn(outputs, outputs)
        self.extra = (outputs - inputs) // 2
        self.shortcut = conv_bn(inputs, outputs, 1, stride) if shortcut == "conv" and stride > 1 else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.second(F.relu(self.first(x)))
        if self.shortcut is not None:
            return F.relu(y + self.shortcut(x))
        if self.extra:
            x = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.extra, self.extra))
        return F.relu(y + x)


class ResNet(nn.Module):
    """Residual blocks; "pad" slices and pads at the change of width, "conv" has a 1x1 convolution."""

    def __init__(self, shortcut: str) -> None:
        super().__init__()
        self.stem = conv_bn(3, 16)
        self.blocks = nn.Sequential(Block(16, 16, 1, shortcut), Block(16, 32, 2, shortcut), Block(32, 32, 1, shortcut))
        self.head = nn.Linear(32, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.blocks(F.relu(self.stem(x)))
        x = F.avg_pool2d(x, x.size()[3])
        return self.head(x.view(x.size(0), -1))


class Inverted(nn.Module):
    """An inverted residual: 1x1, depthwise 3x3, 1x1, ReLU6."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        hidden = 3 * inputs
        self.expand = nn.Sequential(*conv_bn(inputs, hidden, 1), nn.ReLU6(inplace=True))
        self.depthwise = nn.Sequential(*conv_bn(hidden, hidden, 3, stride, hidden), nn.ReLU6(inplace=True))
        self.project = conv_bn(hidden, outputs, 1)
        self.residual = inputs == outputs and stride == 1

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.project(self.depthwise(self.expand(x)))
        return x + y if self.residual else y


class MobileNet(nn.Module):
    """MobileNetV2 in small."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            conv_bn(3, 16, stride=2), nn.ReLU6(), Inverted(16, 16, 1), Inverted(16, 24, 2), Inverted(24, 24, 1)
        )
        self.head = nn.Sequential(nn.Dropout(0.2), nn.Linear(24, CLASSES))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(F.adaptive_avg_pool2d(self.features(x), 1).flatten(1))


class ShuffleNet(nn.Module):
    """Grouped convolutions, channel shuffle and split halves."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = conv_bn(3, 16)
        self.grouped = conv_bn(16, 16, 1, groups=4)
        self.branch = nn.Sequential(conv_bn(8, 8, 1), nn.ReLU(), conv_bn(8, 8, 3, groups=8), conv_bn(8, 8, 1))
        self.last = conv_bn(16, 24, groups=2, stride=2)
        self.head = nn.Linear(24, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.grouped(F.relu(self.stem(x))))
        x = self.shuffle(x, 4)
        left, right = x.chunk(2, dim=1)
        x = self.shuffle(torch.cat([left, F.relu(self.branch(right))], 1), 2)
        return self.head(F.relu(self.last(x)).mean([2, 3]))

    @staticmethod
    def shuffle(x: torch.Tensor, groups: int) -> torch.Tensor:
        """Channels of the groups in turn."""
        count, channels, height, width = x.shape
        x = x.view(count, groups, channels // groups, height, width).transpose(1, 2).contiguous()
        return x.view(count, -1, height, width)


class SqueezeExcite(nn.Module):
    """A gate of pooled channels multiplies the channels."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.body = conv_bn(3, 16), conv_bn(16, 16)
        self.reduce, self.expand = nn.Conv2d(16, 8, 1), nn.Conv2d(8, 16, 1)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.head = nn.Linear(16, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.body(F.relu(self.stem(x))))
        x = x * torch.sigmoid(self.expand(F.relu(self.reduce(self.pool(x)))))
        return self.head(self.pool(x).flatten(1))


class DenseNet(nn.Module):
    """Concatenations, and batch norms that come before their convolutions."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 12, 3, padding=1, bias=False)
        self.norms = nn.ModuleList(nn.BatchNorm2d(12 + 8 * step) for step in range(3))
        self.convs = nn.ModuleList(nn.Conv2d(12 + 8 * step, 8, 3, padding=1, bias=False) for step in range(2))
        self.transition = nn.Conv2d(28, 16, 1, bias=False)
        self.pool = nn.AvgPool2d(2)
        self.last = nn.BatchNorm2d(16)
        self.head = nn.Linear(16, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        for norm, convolution in zip(self.norms, self.convs, strict=False):
            x = torch.cat([x, convolution(F.relu(norm(x)))], 1)
        x = self.pool(self.transition(F.relu(self.norms[2](x))))
        return self.head(F.relu(self.last(x)).mean((2, 3)))


class Vgg(nn.Module):
    """Max pools, a flatten and a large linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 16, 3, padding=1), nn.ReLU(True), nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(True), nn.MaxPool2d(3, 2, 1),
        )  # fmt: skip
        self.classifier = nn.Sequential(
            nn.Flatten(), nn.Linear(32 * 16, 64), nn.ReLU(True), nn.Dropout(), nn.Linear(64, CLASSES)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.classifier(self.features(x))


class Mlp(nn.Module):
    """Linear layers with a batch norm on the flattened input."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm = nn.Linear(768, 48, bias=False), nn.BatchNorm1d(48)
        self.second, self.third = nn.Linear(48, 32, bias=False), nn.Linear(32, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.norm(self.first(torch.flatten(x, 1))))
        return self.third(torch.tanh(self.second(x)))


class Activated(nn.Module):
    """Two convolutions with an activation of the caller's choice."""

    def __init__(self, activation: Callable[[], nn.Module]) -> None:
        super().__init__()
        self.stem, self.act = conv_bn(3, 16), activation()
        self.body = nn.Conv2d(16, 16, 3, padding=1)
        self.again = activation()
        self.head = nn.Linear(16, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.again(self.body(self.act(self.stem(x))))
        return self.head(F.adaptive_avg_pool2d(x, (1, 1)).reshape(-1, 16))


class Bare(nn.Module):
    """Layers without bias and batch norm: equal shapes, so that their zero biases are equal too."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 16, 3, bias=False)
        self.second = nn.Conv2d(16, 16, 3, bias=False)
        self.third = nn.Conv2d(16, 16, 1, bias=False)
        self.tokens = nn.Linear(16, 16, bias=False)
        self.head = nn.Linear(16, CLASSES, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.third(F.relu(self.second(F.relu(self.first(x))))))
        x = F.relu(self.tokens(x.flatten(2).transpose(1, 2)))
        return self.head(x.mean(1))


class PaddingSame(nn.Module):
    """Padding by words, and dilation."""

    def __init__(self) -> None:
        super().__init__()
        self.same = nn.Conv2d(3, 16, 3, padding="same")
        self.dilated = nn.Conv2d(16, 16, 3, padding="same", dilation=2, bias=False)
        self.norm = nn.BatchNorm2d(16)
        self.tall = nn.Conv2d(16, 16, (5, 1), padding="same", groups=2)
        self.valid = nn.Conv2d(16, 16, 3, padding="valid")
        self.head = nn.Linear(16, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.norm(self.dilated(F.relu(self.same(x)))))
        return self.head(F.relu(self.valid(F.relu(self.tall(x)))).amax((2, 3)))


class Strided(nn.Module):
    """Uneven strides, paddings and dilations, and a convolution of two dimensions that differ."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 16, (3, 5), stride=(1, 2), padding=(0, 2))
        self.second = nn.Conv2d(16, 16, 3, stride=2, padding=2, dilation=(1, 2), groups=4)
        self.third = nn.Conv2d(16, 32, (1, 3), groups=16)
        self.head = nn.Linear(32, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(F.relu(self.third(F.relu(self.second(F.relu(self.first(x)))))).mean((-1, -2)))


class InPlace(nn.Module):
    """Everything in place that can be."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.body = conv_bn(3, 16), conv_bn(16, 16)
        self.head = nn.Linear(16, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x).relu_()
        y = self.body(x)
        y += x
        y.mul_(0.5).clamp_(min=0)
        y[:, :4] = 0.0
        return self.head(y.mean((2, 3)))


class Position(nn.Module):
    """Buffers and parameters that are added: a position, a scale, a constant made in the forward."""

    position: torch.Tensor
    table: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, padding=1)
        self.register_buffer("position", 0.3 * torch.randn(1, 16, 16, 16))
        self.register_buffer("table", torch.randperm(16), persistent=False)
        self.gain = nn.Parameter(torch.rand(16, 1, 1).squeeze() + 0.5)
        self.body = nn.Conv2d(16, 16, 3, padding=1)
        self.head = nn.Linear(16, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.stem(x) + self.position)[:, self.table]
        x = F.relu(self.body(x * self.gain[:, None, None])) + torch.linspace(0, 1, 16)
        return self.head(x.mean((2, 3)))


class GroupNorm(nn.Module):
    """Group and instance norms, which cannot be folded."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.norm = nn.Conv2d(3, 16, 3, padding=1), nn.GroupNorm(4, 16)
        self.body, self.instance = nn.Conv2d(16, 16, 3, padding=1), nn.InstanceNorm2d(16)
        self.head = nn.Linear(16, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.instance(self.body(F.relu(self.norm(self.stem(x))))))
        return self.head(x.amax((2, 3)))


class Upsample(nn.Module):
    """A small encoder and decoder with a skipping concatenation."""

    def __init__(self) -> None:
        super().__init__()
        self.down, self.middle, self.up = conv_bn(3, 16), conv_bn(16, 16, stride=2), conv_bn(32, 16)
        self.nearest = nn.Upsample(scale_factor=2)
        self.head = nn.Linear(16, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.down(x))
        y = F.relu(self.middle(x))
        y = self.nearest(y) + F.interpolate(y, size=(16, 16), mode="bilinear", align_corners=False)
        y = F.relu(self.up(torch.cat([x, y], 1)))
        return self.head(y.mean((2, 3)))


class Pools(nn.Module):
    """Average and max pools, padded, between convolutions."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.left, self.right = conv_bn(3, 16), conv_bn(16, 8), conv_bn(16, 8, 1)
        self.average = nn.AvgPool2d(3, 1, 1)
        self.exclusive = nn.AvgPool2d(3, 2, 1, count_include_pad=False)
        self.maximum = nn.MaxPool2d(3, 2, 1, ceil_mode=True)
        self.body = conv_bn(32, 16)
        self.head = nn.Linear(16, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)  # below zero too: padding must not win over it
        y = torch.cat([F.relu(self.left(self.average(x))), self.right(x)], 1)
        y = F.relu(self.body(torch.cat([self.exclusive(y), self.maximum(x)[:, :, :8, :8]], 1)))
        return self.head(F.adaptive_max_pool2d(y, 1).squeeze(-1).squeeze(-1))
