"""Odd networks: shapes that move channels about, norms, paddings and scales."""

# Calling a module gives Any.
# mypy: disable-error-code="no-any-return"

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from tests.learners.channel.odd_parts import Odd, conv, pooled


def flat_twice() -> Odd:
    def forward(self: Odd, x: torch.Tensor) -> torch.Tensor:
        x = F.max_pool2d(F.relu(self.a(x)), 4)
        y = F.relu(self.inner(x.flatten(1)))
        return self.head(torch.cat([y, x.flatten(1)], 1))

    return Odd(forward, a=conv(4, 10), inner=nn.Linear(90, 12), head=nn.Linear(102, 5))


def grouped_chain() -> Odd:
    def forward(self: Odd, x: torch.Tensor) -> torch.Tensor:
        return pooled(self, self.c(F.relu(self.b(F.relu(self.a(x))))))

    return Odd(
        forward, a=conv(4, 24, groups=2), b=conv(24, 24, groups=6), c=conv(24, 24, groups=4), head=nn.Linear(24, 5)
    )


def multiplied_depthwise() -> Odd:
    def forward(self: Odd, x: torch.Tensor) -> torch.Tensor:
        return pooled(self, self.b(F.relu(self.deep(F.relu(self.a(x))))))

    return Odd(forward, a=conv(4, 8), deep=conv(8, 24, groups=8), b=conv(24, 8, 1), head=nn.Linear(8, 5))


def depthwise_input() -> Odd:
    def forward(self: Odd, x: torch.Tensor) -> torch.Tensor:
        return pooled(self, self.b(F.relu(self.deep(x))))

    return Odd(forward, deep=conv(4, 8, groups=4), b=conv(8, 8, 1), head=nn.Linear(8, 5))


def transposed_tokens() -> Odd:
    def forward(self: Odd, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.a(x)).flatten(2).transpose(1, 2)
        return self.head(F.relu(self.inner(x)).mean(1))

    return Odd(forward, a=conv(4, 12), inner=nn.Linear(12, 9), head=nn.Linear(9, 5))


def merged_tokens() -> Odd:
    def forward(self: Odd, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.a(x)).flatten(2).transpose(1, 2)
        count, tokens, width = x.shape
        x = F.relu(self.inner(x.reshape(count * tokens, width)))
        return self.head(x.reshape(count, tokens, -1).mean(1))

    return Odd(forward, a=conv(4, 12), inner=nn.Linear(12, 9), head=nn.Linear(9, 5))


def partly_added() -> Odd:
    """A part of the channels is paired and the other is not, so that units are of one and of two channels."""

    def forward(self: Odd, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.a(x))
        return pooled(self, self.b(torch.cat([x[:, :4] + x[:, 4:8], x[:, 8:]], 1)))

    return Odd(forward, a=conv(4, 14), b=conv(10, 8), head=nn.Linear(8, 5))


def flat_addition() -> Odd:
    """A unit is one output of the convolution and nine of the linear layer."""

    def forward(self: Odd, x: torch.Tensor) -> torch.Tensor:
        x = F.max_pool2d(F.relu(self.a(x)), 4)
        x = x.flatten(1) + self.inner(x.mean((2, 3)))
        return self.head(F.relu(x))

    return Odd(forward, a=conv(4, 16), inner=nn.Linear(16, 144), head=nn.Linear(144, 5))


def joined_addition() -> Odd:
    """Channels of one layer, of which 8 are made by one and 24 by another layer."""

    def forward(self: Odd, x: torch.Tensor) -> torch.Tensor:
        return pooled(self, F.relu(torch.cat([self.a(x), self.b(x)], 1) + self.c(x)))

    return Odd(forward, a=conv(4, 8), b=conv(4, 24), c=conv(4, 32), head=nn.Linear(32, 5))


def norm_twice() -> Odd:
    def forward(self: Odd, x: torch.Tensor) -> torch.Tensor:
        x = self.a(x)
        return pooled(self, self.b(F.relu(self.norm(x))) + self.c(F.relu(self.other(x))))

    return Odd(
        forward, a=conv(4, 12), norm=nn.BatchNorm2d(12), other=nn.BatchNorm2d(12), b=conv(12, 8), c=conv(12, 8),
        head=nn.Linear(8, 5),
    )  # fmt: skip


def stacked() -> Odd:
    def forward(self: Odd, x: torch.Tensor) -> torch.Tensor:
        x = torch.stack([self.a(x), self.b(x)], 1)
        return pooled(self, x.sum(1))

    return Odd(forward, a=conv(4, 8), b=conv(4, 8), head=nn.Linear(8, 5))


def selective_kernel() -> Odd:
    """Two branches weighed by a softmax over the branches for each channel (SKNet)."""

    def forward(self: Odd, x: torch.Tensor) -> torch.Tensor:
        first, second = F.relu(self.a(x)), F.relu(self.b(x))
        weights = self.weigh(F.relu(self.squeeze((first + second).mean((2, 3))))).reshape(-1, 2, 8, 1, 1)
        one, other = torch.sigmoid(weights).unbind(1)
        return pooled(self, first * one + second * other)

    return Odd(
        forward, a=conv(4, 8), b=conv(4, 8, 1), squeeze=nn.Linear(8, 6), weigh=nn.Linear(6, 16), head=nn.Linear(8, 5)
    )


def instance_norm() -> Odd:
    return Odd(
        lambda self, x: pooled(self, self.b(F.relu(self.norm(self.a(x))))),
        a=conv(4, 12), norm=nn.InstanceNorm2d(12, affine=True), b=conv(12, 8), head=nn.Linear(8, 5),
    )  # fmt: skip


def padded_channels() -> Odd:
    def forward(self: Odd, x: torch.Tensor) -> torch.Tensor:
        y = F.relu(self.a(x))
        return pooled(self, self.b(y) + F.pad(y, (0, 0, 0, 0, 0, 5)))

    return Odd(forward, a=conv(4, 7), b=conv(7, 12), head=nn.Linear(12, 5))


def padded_input() -> Odd:
    def forward(self: Odd, x: torch.Tensor) -> torch.Tensor:
        return pooled(self, F.relu(self.a(x)) + F.pad(x[:, :, ::1], (0, 0, 0, 0, 3, 3)))

    return Odd(forward, a=conv(4, 10), head=nn.Linear(10, 5))


def padded_with_ones() -> Odd:
    def forward(self: Odd, x: torch.Tensor) -> torch.Tensor:
        y = F.relu(self.a(x))
        return pooled(self, self.b(y) + F.pad(y, (0, 0, 0, 0, 2, 3), value=1.0))

    return Odd(forward, a=conv(4, 7), b=conv(7, 12), head=nn.Linear(12, 5))


def expanded() -> Odd:
    def forward(self: Odd, x: torch.Tensor) -> torch.Tensor:
        y = F.relu(self.a(x))
        gate = self.gate(y.mean((2, 3)))[:, :, None, None].expand(-1, 8, 12, 12)
        return pooled(self, y * gate)

    return Odd(forward, a=conv(4, 8), gate=nn.Linear(8, 8), head=nn.Linear(8, 5))


def upsampled_sizes() -> Odd:
    def forward(self: Odd, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.a(x))
        y = F.relu(self.b(F.max_pool2d(x, 2)))
        return pooled(self, self.c(torch.cat([F.interpolate(y, size=x.shape[2:]), x], 1)))

    return Odd(forward, a=conv(4, 8), b=conv(8, 8), c=conv(16, 8), head=nn.Linear(8, 5))


def learned_scale() -> Odd:
    model = Odd(
        lambda self, x: pooled(self, self.b(F.relu(self.a(x)) * self.get_parameter("scale"))),
        a=conv(4, 12), b=conv(12, 8), head=nn.Linear(8, 5),
    )  # fmt: skip
    model.register_parameter("scale", nn.Parameter(torch.rand(1, 12, 1, 1) + 0.5))
    return model


def shared_scale() -> Odd:
    def forward(self: Odd, x: torch.Tensor) -> torch.Tensor:
        scale = self.get_parameter("scale")
        return pooled(self, self.b(F.relu(self.a(x)) * scale) * scale)

    model = Odd(forward, a=conv(4, 12), b=conv(12, 12), head=nn.Linear(12, 5))
    model.register_parameter("scale", nn.Parameter(torch.rand(1, 12, 1, 1) + 0.5))
    return model


def flattened_gate() -> Odd:
    def forward(self: Odd, x: torch.Tensor) -> torch.Tensor:
        y = F.relu(self.a(x))
        count, channels, _, _ = y.shape
        gate = torch.sigmoid(self.up(F.relu(self.down(y.mean((2, 3)).view(count, channels)))))
        return pooled(self, self.b(y * gate.view(count, channels, 1, 1).expand_as(y)))

    return Odd(forward, a=conv(4, 12), down=nn.Linear(12, 4), up=nn.Linear(4, 12), b=conv(12, 8), head=nn.Linear(8, 5))
