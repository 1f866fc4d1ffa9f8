"""The grid of low-bit weights: `bits`-wide codes with a scale and a half-step zero point per output channel.

A weight is ``scale / 2 * (2 * code - zero)``. Counting the zero point in half steps lets a channel choose, at the price
of one byte, between a grid with a level at zero and one that straddles it, which at 2 and 3 bits fits bell-shaped
weights better than the usual two's-complement range; and ``2 * code - zero`` is still an 8-bit integer.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

BYTE_BITS = 8
MOST_VALUES = 2**17  # of all grids that are tried at once: for small layers one call costs more than what it computes
# The int8 values that weights are run as stay within +-64. Processors without VNNI add the products of two weights with
# two uint8 activations in 16 bits, which larger ones overflow: 255 * (64 + 64) is just below 2^15. ONNX Runtime's own
# remedy, `session.x64quantprecision`, takes the whole gain of int8 there (docs/why/low-bits.md).
LARGEST_INT8 = 64
BYTE_ZERO = 2 * LARGEST_INT8  # 8-bit codes are symmetric, 0 to 128 around 64: a weight has 129 values, in one byte

# Shares of the full range that the search tries as the width of the grid. Clipping pays below 8 bits; at 2 bits the
# best width for a normal distribution is less than half the range of a thousand samples.
RANGE_SHARES = tuple(0.30 + 0.035 * step for step in range(21))


@dataclass(frozen=True)
class Grid:
    """Grids of the rows of a matrix, which may differ in width; every tensor is [groups, rows, 1]."""

    largest: torch.Tensor  # the largest code of the row; the smallest is 0
    scale: torch.Tensor  # positive, already rounded to what float16 can hold
    zero: torch.Tensor  # in half steps, whole numbers in floating point

    def encode(self, weight: torch.Tensor) -> torch.Tensor:
        """Nearest codes, as floating point, of `weight` [groups, rows, any]."""
        return torch.minimum((weight / self.scale + self.zero / 2).round_().clamp_(min=0), self.largest)

    def decode(self, code: torch.Tensor) -> torch.Tensor:
        """The weights that codes stand for."""
        return (code - self.zero / 2) * self.scale

    def nearest(self, weight: torch.Tensor) -> torch.Tensor:
        """`weight` rounded to the grid."""
        return self.decode(self.encode(weight))

    def rows(self, start: int, stop: int) -> Grid:
        """The grids of some of the rows."""
        return Grid(self.largest[:, start:stop], self.scale[:, start:stop], self.zero[:, start:stop])

    @classmethod
    def stack(cls, grids: Sequence[Grid]) -> Grid:
        """The rows of several grids, one after the other."""
        return cls(
            torch.cat([grid.largest for grid in grids], 1),
            torch.cat([grid.scale for grid in grids], 1),
            torch.cat([grid.zero for grid in grids], 1),
        )


def largest_code(bits: int) -> int:
    """The largest code of a width: 2^bits - 1, but 128 at 8 bits (see BYTE_ZERO)."""
    return BYTE_ZERO if bits == BYTE_BITS else 2**bits - 1


# The exponent to which the largest value of a layer is brought before its scales or biases are rounded to float16:
# scales of 2 bits stay below the largest float16, those of rows a million times smaller above the subnormal ones.
LARGEST_EXPONENT = 10


def common_exponent(values: torch.Tensor) -> int:
    """The power of two by which a layer's values are divided before they are kept in float16; 0 if all are zero."""
    largest = float(values.abs().max()) if values.numel() else 0.0
    return math.frexp(largest)[1] - LARGEST_EXPONENT if largest > 0 else 0


def storable_bias(bias: torch.Tensor) -> tuple[torch.Tensor, int]:
    """`bias` as float32 values that float16 holds after division by a power of two, and that exponent."""
    exponent = common_exponent(bias)
    return (bias.double() * 2.0**-exponent).half().float() * 2.0**exponent, exponent


def storable(scale: torch.Tensor) -> torch.Tensor:
    """`scale` rounded to float16, and never so small that it becomes zero or subnormal there."""
    smallest = torch.finfo(torch.float16).smallest_normal
    return scale.clamp(min=smallest, max=torch.finfo(torch.float16).max).half().to(scale.dtype)


def fit_grid(weight: torch.Tensor, importance: torch.Tensor, bits: int) -> Grid:
    """The grid of least squared rounding error for each row of `weight` [groups, rows, columns].

    `importance` [groups, columns] weighs the columns: the variance of the input that each one multiplies.
    Tries every width of RANGE_SHARES at up to three centres: zero on a level, zero between levels, the row's middle.
    """
    largest = largest_code(bits)
    limit = torch.full_like(weight[:, :, :1], float(largest))
    low = weight.amin(2, keepdim=True).clamp(max=0)
    high = weight.amax(2, keepdim=True).clamp(min=0)
    reach = torch.maximum(-low, high)
    tries = [pair for share in RANGE_SHARES for pair in _centres(low, high, reach, share, bits)]
    best_error = torch.full_like(low, torch.inf)
    best_scale, best_zero = torch.ones_like(low), limit
    at_once = max(1, MOST_VALUES // max(1, weight.numel()))
    for start in range(0, len(tries), at_once):
        scales = storable(torch.stack([span for span, _ in tries[start : start + at_once]]) / largest)
        zeros = torch.stack([zero for _, zero in tries[start : start + at_once]])
        grid = Grid(limit, scales, zeros)
        errors = ((grid.nearest(weight) - weight).square_() * importance[:, None, :]).sum(3, keepdim=True)
        error, place = errors.min(0)
        chosen = place[None]
        better = error < best_error
        best_error = torch.where(better, error, best_error)
        best_scale = torch.where(better, scales.gather(0, chosen)[0], best_scale)
        best_zero = torch.where(better, zeros.gather(0, chosen)[0], best_zero)
    return Grid(limit, best_scale, best_zero)


def _centres(
    low: torch.Tensor, high: torch.Tensor, reach: torch.Tensor, share: float, bits: int
) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Spans of the grid, and zero points in half steps, to try at one width."""
    largest = largest_code(bits)
    symmetric = 2 * share * reach
    if bits == BYTE_BITS:
        return [(symmetric, torch.full_like(low, float(BYTE_ZERO)))]
    span = share * (high - low)
    start = (high + low - span) / 2
    skewed = (-2 * start / storable(span / largest)).round().clamp(0, 2 * largest)
    return [
        (symmetric, torch.full_like(low, float(largest))),
        (symmetric, torch.full_like(low, float(largest + 1))),
        (symmetric, torch.full_like(low, float(largest - 1))),
        *([(span, skewed)] if largest <= LARGEST_INT8 // 2 else []),  # a wider grid off centre would leave +-64
    ]
