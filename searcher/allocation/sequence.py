"""Numbers that cover an interval evenly however many of them are taken."""

from __future__ import annotations

import math

# Share of the numbers that go to costs at which the error is negligible: there is nothing left to gain in accuracy.
LARGE_SHARE = 1 / 16


def van_der_corput(index: int, base: int = 2) -> float:
    """The digits of `index` mirrored behind the point, in base 2: 1/2, 1/4, 3/4, 1/8, 5/8, ..."""
    value, unit = 0.0, 1 / base
    while index:
        index, digit = divmod(index, base)
        value += unit * digit
        unit /= base
    return value


def log_between(share: float, smallest: float, middle: float, largest: float) -> float:
    """The logarithm of a cost from smallest to largest, for a share in [0, 1).

    Most shares lie below `middle`, evenly in the logarithm, the last `LARGE_SHARE` of them above. Costs are positive.
    """
    if share < 1 - LARGE_SHARE:
        low, high, part = smallest, middle, share / (1 - LARGE_SHARE)
    else:
        low, high, part = middle, largest, (share - (1 - LARGE_SHARE)) / LARGE_SHARE
    return math.log(low) + part * (math.log(high) - math.log(low))
