"""Odd networks: additions, readers, slices, splits and gates."""

# Calling a module gives Any.
# mypy: disable-error-code="no-any-return"

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from tests.learners.channel.odd_parts import Odd, conv, pooled


def odd_counts() -> Odd:
    return Odd(
        lambda self, x: pooled(self, self.b(F.relu(self.a(x)))), a=conv(4, 13), b=conv(13, 7), head=nn.Linear(7, 5)
    )


def own_addition() -> Odd:
    def forward(self: Odd, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.a(x))
        return pooled(self, x + self.b(x))

    return Odd(forward, a=conv(4, 12), b=conv(12, 12), head=nn.Linear(12, 5))


def shortcut_first() -> Odd:
    def forward(self: Odd, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.stem(x))
        identity = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 4, 4))
        return pooled(self, self.b(F.relu(self.a(x))) + identity)

    a = nn.Conv2d(8, 16, 3, stride=2, padding=1)
    return Odd(forward, stem=conv(4, 8), a=a, b=conv(16, 16), head=nn.Linear(16, 5))


def grouped_addition() -> Odd:
    def forward(self: Odd, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.a(x))
        return pooled(self, x + self.b(x))

    return Odd(forward, a=conv(4, 12), b=conv(12, 12, groups=3), head=nn.Linear(12, 5))


def protected_reader() -> Odd:
    def forward(self: Odd, x: torch.Tensor) -> torch.Tensor:
        return pooled(self, self.up(F.relu(self.b(F.relu(self.a(x))))))

    return Odd(forward, a=conv(4, 12), b=conv(12, 10), up=nn.ConvTranspose2d(10, 6, 2, 2), head=nn.Linear(6, 5))


def two_heads() -> Odd:
    def forward(self: Odd, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.b(F.relu(self.a(x)))).mean((2, 3))
        return torch.cat([self.head(x), self.other(x)], 1)

    return Odd(forward, a=conv(4, 12), b=conv(12, 10), head=nn.Linear(10, 5), other=nn.Linear(10, 3))


def merged_with_space() -> Odd:
    def forward(self: Odd, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.b(F.relu(self.a(x))))
        return self.head(F.relu(self.c(x.reshape(x.size(0), 24, 6, -1))).flatten(1))

    return Odd(forward, a=conv(4, 12), b=conv(12, 12), c=conv(24, 6), head=nn.Linear(6 * 72, 5))


def pixel_shuffle() -> Odd:
    def forward(self: Odd, x: torch.Tensor) -> torch.Tensor:
        return pooled(self, self.b(F.pixel_shuffle(F.relu(self.a(x)), 2)))

    return Odd(forward, a=conv(4, 16), b=conv(4, 8), head=nn.Linear(8, 5))


def one_channel() -> Odd:
    def forward(self: Odd, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.a(x))
        return pooled(self, self.c(x * torch.sigmoid(self.gate(x))) + self.b(F.relu(self.narrow(x))))

    return Odd(
        forward, a=conv(4, 12), gate=conv(12, 1, 1), narrow=conv(12, 1), b=conv(1, 8), c=conv(12, 8),
        head=nn.Linear(8, 5),
    )  # fmt: skip


def dead_channels() -> Odd:
    model = Odd(
        lambda self, x: pooled(self, self.b(F.relu(self.a(x)))), a=conv(4, 12), b=conv(12, 8), head=nn.Linear(8, 5)
    )
    with torch.no_grad():
        for name in ("a", "b"):
            layer = model.get_submodule(name)
            layer.get_parameter("weight")[::2] = 0.0
            layer.get_parameter("bias")[::2] = -1.0
    return model


def twice_the_same() -> Odd:
    def forward(self: Odd, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.a(x))
        return pooled(self, self.b(torch.cat([x, x], 1)))

    return Odd(forward, a=conv(4, 8), b=conv(16, 8), head=nn.Linear(8, 5))


def sliced() -> Odd:
    def forward(self: Odd, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.a(x))
        return pooled(self, self.b(x[:, :5]) + self.c(x[:, -7:]))

    return Odd(forward, a=conv(4, 14), b=conv(5, 8), c=conv(7, 8), head=nn.Linear(8, 5))


def rolled() -> Odd:
    def forward(self: Odd, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.a(x))
        x = x + torch.cat([x[:, 3:], x[:, :3]], 1)  # each channel with the third after it, and so with all
        return pooled(self, F.relu(self.b(x)))

    return Odd(forward, a=conv(4, 8), b=conv(8, 8), head=nn.Linear(8, 5))


def every_second() -> Odd:
    def forward(self: Odd, x: torch.Tensor) -> torch.Tensor:
        return pooled(self, self.b(F.relu(self.a(x))[:, ::2]))

    return Odd(forward, a=conv(4, 12), b=conv(6, 8), head=nn.Linear(8, 5))


def uneven_chunks() -> Odd:
    def forward(self: Odd, x: torch.Tensor) -> torch.Tensor:
        first, second, third = F.relu(self.a(x)).chunk(3, 1)
        return pooled(self, self.b(torch.cat([third, first], 1)) + self.c(second))

    return Odd(forward, a=conv(4, 14), b=conv(9, 8), c=conv(5, 8), head=nn.Linear(8, 5))


def split_sizes() -> Odd:
    def forward(self: Odd, x: torch.Tensor) -> torch.Tensor:
        first, second = torch.split(F.relu(self.a(x)), [4, 10], 1)
        return pooled(self, self.b(first) + self.c(second)[:, :8])

    return Odd(forward, a=conv(4, 14), b=conv(4, 8), c=conv(10, 12), head=nn.Linear(8, 5))


def overlapping_slices() -> Odd:
    def forward(self: Odd, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.a(x))
        return pooled(self, x[:, :8] + x[:, 4:])

    return Odd(forward, a=conv(4, 12), head=nn.Linear(8, 5))


def in_place() -> Odd:
    def forward(self: Odd, x: torch.Tensor) -> torch.Tensor:
        x = self.a(x).relu_()
        y = self.b(x)
        y += x
        y.mul_(0.5).clamp_(min=0.1)
        return pooled(self, self.c(y).sigmoid_())

    return Odd(forward, a=conv(4, 12), b=conv(12, 12), c=conv(12, 8), head=nn.Linear(8, 5))


def maxout() -> Odd:
    def forward(self: Odd, x: torch.Tensor) -> torch.Tensor:
        first, second = self.a(x).chunk(2, 1)
        return pooled(self, self.b(torch.maximum(first, second)))

    return Odd(forward, a=conv(4, 16), b=conv(8, 8), head=nn.Linear(8, 5))


def gated_by_input() -> Odd:
    def forward(self: Odd, x: torch.Tensor) -> torch.Tensor:
        y = F.relu(self.b(F.relu(self.a(x))))
        return pooled(self, y * torch.cat([x, x], 1))

    return Odd(forward, a=conv(4, 10), b=conv(10, 8), head=nn.Linear(8, 5))


def joined_with_the_input() -> Odd:
    def forward(self: Odd, x: torch.Tensor) -> torch.Tensor:
        return pooled(self, self.b(torch.cat([x, F.relu(self.a(x))], 1)))

    return Odd(forward, a=conv(4, 12), b=conv(16, 8), head=nn.Linear(8, 5))


def softmax_over_channels() -> Odd:
    def forward(self: Odd, x: torch.Tensor) -> torch.Tensor:
        return pooled(self, self.b(self.a(x).softmax(1)))

    return Odd(forward, a=conv(4, 12), b=conv(12, 8), head=nn.Linear(8, 5))


def mean_over_channels() -> Odd:
    def forward(self: Odd, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.a(x))
        return pooled(self, self.b(x * torch.sigmoid(x.mean(1, keepdim=True))))

    return Odd(forward, a=conv(4, 12), b=conv(12, 8), head=nn.Linear(8, 5))


def split_into_ten() -> Odd:
    """Its sizes are more bytes than other constants of a template."""

    def forward(self: Odd, x: torch.Tensor) -> torch.Tensor:
        parts = torch.split(F.relu(self.a(x)), [4, 2, 2, 2, 2, 2, 2, 2, 2, 4], 1)
        return pooled(self, self.b(torch.cat(parts[::-1], 1)))

    return Odd(forward, a=conv(4, 24), b=conv(24, 8), head=nn.Linear(8, 5))


def channel_shuffle() -> Odd:
    def forward(self: Odd, x: torch.Tensor) -> torch.Tensor:
        return pooled(self, self.b(self.shuffle(F.relu(self.a(x)))))

    return Odd(forward, a=conv(4, 16), shuffle=nn.ChannelShuffle(4), b=conv(16, 8), head=nn.Linear(8, 5))


def local_response_norm() -> Odd:
    def forward(self: Odd, x: torch.Tensor) -> torch.Tensor:
        return pooled(self, self.c(F.relu(self.b(self.norm(F.relu(self.a(x)))))))

    norm = nn.LocalResponseNorm(5)
    return Odd(forward, a=conv(4, 12), norm=norm, b=conv(12, 12), c=conv(12, 8), head=nn.Linear(8, 5))


def bare_squeeze() -> Odd:
    def forward(self: Odd, x: torch.Tensor) -> torch.Tensor:
        return self.head(F.adaptive_avg_pool2d(self.b(F.relu(self.a(x))), 1).squeeze())

    return Odd(forward, a=conv(4, 12), b=conv(12, 8), head=nn.Linear(8, 5))
