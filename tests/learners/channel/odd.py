"""Networks that try to break the coupling of channels: what they return for 4 x 12 x 12 images."""

# Calling a module gives Any.
# mypy: disable-error-code="no-any-return"

from __future__ import annotations

from collections.abc import Callable, Mapping
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


def _pooled(self: Odd, x: torch.Tensor) -> torch.Tensor:
    return self.head(F.relu(x).mean((2, 3)))


def _odd_counts() -> Odd:
    return Odd(
        lambda self, x: _pooled(self, self.b(F.relu(self.a(x)))), a=conv(4, 13), b=conv(13, 7), head=nn.Linear(7, 5)
    )


def _own_addition() -> Odd:
    def forward(self: Odd, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.a(x))
        return _pooled(self, x + self.b(x))

    return Odd(forward, a=conv(4, 12), b=conv(12, 12), head=nn.Linear(12, 5))


def _grouped_addition() -> Odd:
    def forward(self: Odd, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.a(x))
        return _pooled(self, x + self.b(x))

    return Odd(forward, a=conv(4, 12), b=conv(12, 12, groups=3), head=nn.Linear(12, 5))


def _protected_reader() -> Odd:
    def forward(self: Odd, x: torch.Tensor) -> torch.Tensor:
        return _pooled(self, self.up(F.relu(self.b(F.relu(self.a(x))))))

    return Odd(forward, a=conv(4, 12), b=conv(12, 10), up=nn.ConvTranspose2d(10, 6, 2, 2), head=nn.Linear(6, 5))


def _two_heads() -> Odd:
    def forward(self: Odd, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.b(F.relu(self.a(x)))).mean((2, 3))
        return torch.cat([self.head(x), self.other(x)], 1)

    return Odd(forward, a=conv(4, 12), b=conv(12, 10), head=nn.Linear(10, 5), other=nn.Linear(10, 3))


def _merged_with_space() -> Odd:
    def forward(self: Odd, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.b(F.relu(self.a(x))))
        return self.head(F.relu(self.c(x.reshape(x.size(0), 24, 6, -1))).flatten(1))

    return Odd(forward, a=conv(4, 12), b=conv(12, 12), c=conv(24, 6), head=nn.Linear(6 * 72, 5))


def _pixel_shuffle() -> Odd:
    def forward(self: Odd, x: torch.Tensor) -> torch.Tensor:
        return _pooled(self, self.b(F.pixel_shuffle(F.relu(self.a(x)), 2)))

    return Odd(forward, a=conv(4, 16), b=conv(4, 8), head=nn.Linear(8, 5))


def _one_channel() -> Odd:
    def forward(self: Odd, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.a(x))
        return _pooled(self, self.c(x * torch.sigmoid(self.gate(x))) + self.b(F.relu(self.narrow(x))))

    return Odd(
        forward, a=conv(4, 12), gate=conv(12, 1, 1), narrow=conv(12, 1), b=conv(1, 8), c=conv(12, 8),
        head=nn.Linear(8, 5),
    )  # fmt: skip


def _dead_channels() -> Odd:
    model = Odd(
        lambda self, x: _pooled(self, self.b(F.relu(self.a(x)))), a=conv(4, 12), b=conv(12, 8), head=nn.Linear(8, 5)
    )
    with torch.no_grad():
        for name in ("a", "b"):
            layer = model.get_submodule(name)
            layer.get_parameter("weight")[::2] = 0.0
            layer.get_parameter("bias")[::2] = -1.0
    return model


def _twice_the_same() -> Odd:
    def forward(self: Odd, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.a(x))
        return _pooled(self, self.b(torch.cat([x, x], 1)))

    return Odd(forward, a=conv(4, 8), b=conv(16, 8), head=nn.Linear(8, 5))


def _sliced() -> Odd:
    def forward(self: Odd, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.a(x))
        return _pooled(self, self.b(x[:, :5]) + self.c(x[:, -7:]))

    return Odd(forward, a=conv(4, 14), b=conv(5, 8), c=conv(7, 8), head=nn.Linear(8, 5))


def _every_second() -> Odd:
    def forward(self: Odd, x: torch.Tensor) -> torch.Tensor:
        return _pooled(self, self.b(F.relu(self.a(x))[:, ::2]))

    return Odd(forward, a=conv(4, 12), b=conv(6, 8), head=nn.Linear(8, 5))


def _uneven_chunks() -> Odd:
    def forward(self: Odd, x: torch.Tensor) -> torch.Tensor:
        first, second, third = F.relu(self.a(x)).chunk(3, 1)
        return _pooled(self, self.b(torch.cat([third, first], 1)) + self.c(second))

    return Odd(forward, a=conv(4, 14), b=conv(9, 8), c=conv(5, 8), head=nn.Linear(8, 5))


def _split_sizes() -> Odd:
    def forward(self: Odd, x: torch.Tensor) -> torch.Tensor:
        first, second = torch.split(F.relu(self.a(x)), [4, 10], 1)
        return _pooled(self, self.b(first) + self.c(second)[:, :8])

    return Odd(forward, a=conv(4, 14), b=conv(4, 8), c=conv(10, 12), head=nn.Linear(8, 5))


def _overlapping_slices() -> Odd:
    def forward(self: Odd, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.a(x))
        return _pooled(self, x[:, :8] + x[:, 4:])

    return Odd(forward, a=conv(4, 12), head=nn.Linear(8, 5))


def _in_place() -> Odd:
    def forward(self: Odd, x: torch.Tensor) -> torch.Tensor:
        x = self.a(x).relu_()
        y = self.b(x)
        y += x
        y.mul_(0.5).clamp_(min=0.1)
        return _pooled(self, self.c(y).sigmoid_())

    return Odd(forward, a=conv(4, 12), b=conv(12, 12), c=conv(12, 8), head=nn.Linear(8, 5))


def _maxout() -> Odd:
    def forward(self: Odd, x: torch.Tensor) -> torch.Tensor:
        first, second = self.a(x).chunk(2, 1)
        return _pooled(self, self.b(torch.maximum(first, second)))

    return Odd(forward, a=conv(4, 16), b=conv(8, 8), head=nn.Linear(8, 5))


def _gated_by_input() -> Odd:
    def forward(self: Odd, x: torch.Tensor) -> torch.Tensor:
        y = F.relu(self.b(F.relu(self.a(x))))
        return _pooled(self, y * torch.cat([x, x], 1))

    return Odd(forward, a=conv(4, 10), b=conv(10, 8), head=nn.Linear(8, 5))


def _joined_with_the_input() -> Odd:
    def forward(self: Odd, x: torch.Tensor) -> torch.Tensor:
        return _pooled(self, self.b(torch.cat([x, F.relu(self.a(x))], 1)))

    return Odd(forward, a=conv(4, 12), b=conv(16, 8), head=nn.Linear(8, 5))


def _softmax_over_channels() -> Odd:
    def forward(self: Odd, x: torch.Tensor) -> torch.Tensor:
        return _pooled(self, self.b(self.a(x).softmax(1)))

    return Odd(forward, a=conv(4, 12), b=conv(12, 8), head=nn.Linear(8, 5))


def _mean_over_channels() -> Odd:
    def forward(self: Odd, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.a(x))
        return _pooled(self, self.b(x * torch.sigmoid(x.mean(1, keepdim=True))))

    return Odd(forward, a=conv(4, 12), b=conv(12, 8), head=nn.Linear(8, 5))


def _flat_twice() -> Odd:
    def forward(self: Odd, x: torch.Tensor) -> torch.Tensor:
        x = F.max_pool2d(F.relu(self.a(x)), 4)
        y = F.relu(self.inner(x.flatten(1)))
        return self.head(torch.cat([y, x.flatten(1)], 1))

    return Odd(forward, a=conv(4, 10), inner=nn.Linear(90, 12), head=nn.Linear(102, 5))


def _grouped_chain() -> Odd:
    def forward(self: Odd, x: torch.Tensor) -> torch.Tensor:
        return _pooled(self, self.c(F.relu(self.b(F.relu(self.a(x))))))

    return Odd(
        forward, a=conv(4, 24, groups=2), b=conv(24, 24, groups=6), c=conv(24, 24, groups=4), head=nn.Linear(24, 5)
    )


def _multiplied_depthwise() -> Odd:
    def forward(self: Odd, x: torch.Tensor) -> torch.Tensor:
        return _pooled(self, self.b(F.relu(self.deep(F.relu(self.a(x))))))

    return Odd(forward, a=conv(4, 8), deep=conv(8, 24, groups=8), b=conv(24, 8, 1), head=nn.Linear(8, 5))


def _depthwise_input() -> Odd:
    def forward(self: Odd, x: torch.Tensor) -> torch.Tensor:
        return _pooled(self, self.b(F.relu(self.deep(x))))

    return Odd(forward, deep=conv(4, 8, groups=4), b=conv(8, 8, 1), head=nn.Linear(8, 5))


def _transposed_tokens() -> Odd:
    def forward(self: Odd, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.a(x)).flatten(2).transpose(1, 2)
        return self.head(F.relu(self.inner(x)).mean(1))

    return Odd(forward, a=conv(4, 12), inner=nn.Linear(12, 9), head=nn.Linear(9, 5))


def _merged_tokens() -> Odd:
    def forward(self: Odd, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.a(x)).flatten(2).transpose(1, 2)
        count, tokens, width = x.shape
        x = F.relu(self.inner(x.reshape(count * tokens, width)))
        return self.head(x.reshape(count, tokens, -1).mean(1))

    return Odd(forward, a=conv(4, 12), inner=nn.Linear(12, 9), head=nn.Linear(9, 5))


def _partly_added() -> Odd:
    """A part of the channels is paired and the other is not, so that units are of one and of two channels."""

    def forward(self: Odd, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.a(x))
        return _pooled(self, self.b(torch.cat([x[:, :4] + x[:, 4:8], x[:, 8:]], 1)))

    return Odd(forward, a=conv(4, 14), b=conv(10, 8), head=nn.Linear(8, 5))


def _norm_twice() -> Odd:
    def forward(self: Odd, x: torch.Tensor) -> torch.Tensor:
        x = self.a(x)
        return _pooled(self, self.b(F.relu(self.norm(x))) + self.c(F.relu(self.other(x))))

    return Odd(
        forward, a=conv(4, 12), norm=nn.BatchNorm2d(12), other=nn.BatchNorm2d(12), b=conv(12, 8), c=conv(12, 8),
        head=nn.Linear(8, 5),
    )  # fmt: skip


def _stacked() -> Odd:
    def forward(self: Odd, x: torch.Tensor) -> torch.Tensor:
        x = torch.stack([self.a(x), self.b(x)], 1)
        return _pooled(self, x.sum(1))

    return Odd(forward, a=conv(4, 8), b=conv(4, 8), head=nn.Linear(8, 5))


def _selective_kernel() -> Odd:
    """Two branches weighed by a softmax over the branches for each channel (SKNet)."""

    def forward(self: Odd, x: torch.Tensor) -> torch.Tensor:
        first, second = F.relu(self.a(x)), F.relu(self.b(x))
        weights = self.weigh(F.relu(self.squeeze((first + second).mean((2, 3))))).reshape(-1, 2, 8, 1, 1)
        one, other = torch.sigmoid(weights).unbind(1)
        return _pooled(self, first * one + second * other)

    return Odd(
        forward, a=conv(4, 8), b=conv(4, 8, 1), squeeze=nn.Linear(8, 6), weigh=nn.Linear(6, 16), head=nn.Linear(8, 5)
    )


def _instance_norm() -> Odd:
    return Odd(
        lambda self, x: _pooled(self, self.b(F.relu(self.norm(self.a(x))))),
        a=conv(4, 12), norm=nn.InstanceNorm2d(12, affine=True), b=conv(12, 8), head=nn.Linear(8, 5),
    )  # fmt: skip


def _padded_channels() -> Odd:
    def forward(self: Odd, x: torch.Tensor) -> torch.Tensor:
        y = F.relu(self.a(x))
        return _pooled(self, self.b(y) + F.pad(y, (0, 0, 0, 0, 0, 5)))

    return Odd(forward, a=conv(4, 7), b=conv(7, 12), head=nn.Linear(12, 5))


def _padded_input() -> Odd:
    def forward(self: Odd, x: torch.Tensor) -> torch.Tensor:
        return _pooled(self, F.relu(self.a(x)) + F.pad(x[:, :, ::1], (0, 0, 0, 0, 3, 3)))

    return Odd(forward, a=conv(4, 10), head=nn.Linear(10, 5))


def _padded_with_ones() -> Odd:
    def forward(self: Odd, x: torch.Tensor) -> torch.Tensor:
        y = F.relu(self.a(x))
        return _pooled(self, self.b(y) + F.pad(y, (0, 0, 0, 0, 2, 3), value=1.0))

    return Odd(forward, a=conv(4, 7), b=conv(7, 12), head=nn.Linear(12, 5))


def _expanded() -> Odd:
    def forward(self: Odd, x: torch.Tensor) -> torch.Tensor:
        y = F.relu(self.a(x))
        gate = self.gate(y.mean((2, 3)))[:, :, None, None].expand(-1, 8, 12, 12)
        return _pooled(self, y * gate)

    return Odd(forward, a=conv(4, 8), gate=nn.Linear(8, 8), head=nn.Linear(8, 5))


def _upsampled_sizes() -> Odd:
    def forward(self: Odd, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.a(x))
        y = F.relu(self.b(F.max_pool2d(x, 2)))
        return _pooled(self, self.c(torch.cat([F.interpolate(y, size=x.shape[2:]), x], 1)))

    return Odd(forward, a=conv(4, 8), b=conv(8, 8), c=conv(16, 8), head=nn.Linear(8, 5))


def _learned_scale() -> Odd:
    model = Odd(
        lambda self, x: _pooled(self, self.b(F.relu(self.a(x)) * self.get_parameter("scale"))),
        a=conv(4, 12), b=conv(12, 8), head=nn.Linear(8, 5),
    )  # fmt: skip
    model.register_parameter("scale", nn.Parameter(torch.rand(1, 12, 1, 1) + 0.5))
    return model


def _shared_scale() -> Odd:
    def forward(self: Odd, x: torch.Tensor) -> torch.Tensor:
        scale = self.get_parameter("scale")
        return _pooled(self, self.b(F.relu(self.a(x)) * scale) * scale)

    model = Odd(forward, a=conv(4, 12), b=conv(12, 12), head=nn.Linear(12, 5))
    model.register_parameter("scale", nn.Parameter(torch.rand(1, 12, 1, 1) + 0.5))
    return model


def _flattened_gate() -> Odd:
    def forward(self: Odd, x: torch.Tensor) -> torch.Tensor:
        y = F.relu(self.a(x))
        count, channels, _, _ = y.shape
        gate = torch.sigmoid(self.up(F.relu(self.down(y.mean((2, 3)).view(count, channels)))))
        return _pooled(self, self.b(y * gate.view(count, channels, 1, 1).expand_as(y)))

    return Odd(forward, a=conv(4, 12), down=nn.Linear(12, 4), up=nn.Linear(4, 12), b=conv(12, 8), head=nn.Linear(8, 5))


ODD: Mapping[str, Callable[[], Odd]] = {
    "odd counts": _odd_counts,
    "x + conv(x)": _own_addition,
    "x + grouped(x)": _grouped_addition,
    "protected reader": _protected_reader,
    "two heads": _two_heads,
    "channels merged with space": _merged_with_space,
    "pixel shuffle": _pixel_shuffle,
    "one channel": _one_channel,
    "dead channels": _dead_channels,
    "cat([x, x])": _twice_the_same,
    "slices": _sliced,
    "every second channel": _every_second,
    "uneven chunks": _uneven_chunks,
    "split by sizes": _split_sizes,
    "overlapping slices": _overlapping_slices,
    "in place": _in_place,
    "maxout": _maxout,
    "gated by the input": _gated_by_input,
    "joined with the input": _joined_with_the_input,
    "softmax over channels": _softmax_over_channels,
    "mean over channels": _mean_over_channels,
    "flattened twice": _flat_twice,
    "grouped chain": _grouped_chain,
    "depthwise that multiplies": _multiplied_depthwise,
    "depthwise on the input": _depthwise_input,
    "tokens": _transposed_tokens,
    "tokens merged with the batch": _merged_tokens,
    "channels added to some others": _partly_added,
    "two norms of one layer": _norm_twice,
    "stacked": _stacked,
    "selective kernel": _selective_kernel,
    "instance norm": _instance_norm,
    "padded channels": _padded_channels,
    "padded input": _padded_input,
    "padded with ones": _padded_with_ones,
    "expanded": _expanded,
    "resized to a size": _upsampled_sizes,
    "learned scale": _learned_scale,
    "scale read twice": _shared_scale,
    "flattened gate": _flattened_gate,
}


def build_odd(name: str) -> nn.Module:
    """The network called `name` in eval mode; the same weights each time."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        model = ODD[name]()
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                nn.init.uniform_(module.weight, 0.5, 1.5)
                nn.init.uniform_(module.bias, -0.3, 0.3)
                assert module.running_mean is not None
                nn.init.uniform_(module.running_mean, -0.2, 0.2)
    return model.eval()
