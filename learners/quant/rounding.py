"""Plain rounding, the baseline: symmetric, per output channel, the scale set by the largest weight."""

from __future__ import annotations

import torch

from learners.base import LevelWeights
from learners.quant.grid import BYTE_BITS, LARGEST_INT8, common_exponent, storable, storable_bias
from learners.quant.learner import ROUND_METHOD


def round_to_nearest(weight: torch.Tensor, bias: torch.Tensor | None, bits: int) -> LevelWeights:
    """Codes -(2^(bits-1) - 1) to 2^(bits-1) - 1 around zero, what most tools do by default; no bias correction.

    At 8 bits -64 to 64 (see learners.quant.grid).
    """
    exponent = common_exponent(weight)
    rows = weight.reshape(len(weight), -1) * 2.0**-exponent
    reach = LARGEST_INT8 if bits == BYTE_BITS else 2 ** (bits - 1) - 1
    centre = reach
    scale = storable(rows.abs().amax(1, keepdim=True) / reach)
    codes = ((rows / scale).round_().clamp_(-reach, reach) + centre).to(torch.uint8)
    kept, bias_exponent = (None, 0) if bias is None else storable_bias(bias)
    return LevelWeights(
        level=f"w{bits}",
        bits=bits,
        values=None,
        codes=codes.reshape(weight.shape),
        scale=scale.reshape(-1).half(),
        zero=torch.full((len(weight),), 2 * centre, dtype=torch.uint8),
        bias=kept,
        row_errors=torch.zeros(len(weight), dtype=torch.float64),  # nobody has measured them
        method=ROUND_METHOD,
        exponent=exponent,
        bias_exponent=bias_exponent,
    )
