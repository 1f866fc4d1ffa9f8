"""Plain rounding, the baseline: symmetric, per output channel, the scale set by the largest weight."""

from __future__ import annotations

import torch

from learners.base import LevelWeights
from learners.quant.grid import BYTE_BITS, BYTE_ZERO, common_exponent, storable, storable_bias
from learners.quant.learner import ROUND_METHOD


def round_to_nearest(weight: torch.Tensor, bias: torch.Tensor | None, bits: int) -> LevelWeights:
    """Codes -(2^(bits-1) - 1) to 2^(bits-1) - 1 around zero, what most tools do by default; no bias correction."""
    exponent = common_exponent(weight)
    rows = weight.reshape(len(weight), -1) * 2.0**-exponent
    reach = 2 ** (bits - 1) - 1
    centre = BYTE_ZERO // 2 if bits == BYTE_BITS else reach
    scale = storable(rows.abs().amax(1, keepdim=True) / reach)
    codes = ((rows / scale).round_().clamp_(-reach, reach) + centre).to(torch.uint8)
    kept, bias_exponent = (None, 0) if bias is None else storable_bias(bias)
    return LevelWeights(
        level=f"w{bits}",
        bits=bits,
        codes=codes.reshape(weight.shape),
        scale=scale.reshape(-1).half(),
        zero=torch.full((len(weight),), 2 * centre, dtype=torch.uint8),
        bias=kept,
        error=float(((rows - (codes.float() - centre) * scale) ** 2).sum() / rows.square().sum().clamp(min=1e-12)),
        method=ROUND_METHOD,
        exponent=exponent,
        bias_exponent=bias_exponent,
    )
