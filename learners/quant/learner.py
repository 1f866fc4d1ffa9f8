"""The quantisation learner: weights at 8, 6, 4, 3 and 2 bits, or left in float32."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch

from learners.base import LearnerOptions, LevelWeights
from learners.gram import AnyGram, Gram
from learners.graph.layers import Layer
from learners.quant.gptq import gptq
from learners.quant.grid import Grid, common_exponent, fit_grid, storable_bias
from learners.quant.refine import coordinate_descent, output_error, refit_scale

WIDTHS = (8, 6, 4, 3, 2)
ORIGINAL = "fp32"
ROUNDS = 2  # of refitting the scales and running GPTQ on them again; a third one gains less than 1 % of the error
SWEEPS = 2  # of coordinate descent after each refit
SMALLEST_VARIANCE = 1e-12

GPTQ_METHOD = "gptq + coordinate descent"
ROUND_METHOD = "round to nearest"
UNCHANGED = "unchanged"


class QuantLearner:
    """Scales of least squared error, GPTQ, refitted scales, coordinate descent, bias correction; all widths at once."""

    name = "quant"
    recipe = "quant-3"

    def __init__(self, options: LearnerOptions, widths: Sequence[int] = WIDTHS) -> None:  # noqa: ARG002 - has none
        """`widths` in bits, at most 8, the widest first."""
        self._widths = tuple(widths)
        if self._widths != WIDTHS:
            self.recipe = f"{self.recipe} {self._widths}"

    def levels(self, layer: Layer) -> Sequence[str]:  # noqa: ARG002 - every layer has the same
        """fp32 and one level a width."""
        return (ORIGINAL, *(f"w{bits}" for bits in self._widths))

    def adapt(
        self, layer: Layer, weight: torch.Tensor, bias: torch.Tensor | None, gram: AnyGram
    ) -> Sequence[LevelWeights]:
        """See `Learner.adapt`. Where there is no covariance to factorise, weights are rounded to the nearest."""
        exponent = common_exponent(weight)
        matrix = weight.reshape(layer.matrix_shape) * 2.0**-exponent
        variance = gram.variance.to(weight.device)
        importance = variance.clamp(min=SMALLEST_VARIANCE).to(weight.dtype)
        grid = Grid.stack([fit_grid(matrix, importance, bits) for bits in self._widths])
        stacked = matrix.repeat(1, len(self._widths), 1)
        if isinstance(gram, Gram):
            covariance = gram.covariance.to(weight.device)
            grid, codes, method = _fit(stacked, covariance, grid)
            error = partial(output_error, covariance=covariance)
        else:
            codes, method = grid.encode(stacked), ROUND_METHOD
            error = partial(_diagonal_error, variance=variance)
        exact = torch.zeros(len(weight), dtype=torch.float64)
        levels = [LevelWeights(ORIGINAL, 32, weight, None, None, None, bias, exact, UNCHANGED)]
        mean = gram.mean.to(weight.device)
        for index, bits in enumerate(self._widths):
            start, stop = index * layer.rows, (index + 1) * layer.rows
            part, rows = grid.rows(start, stop), codes[:, start:stop]
            approximation = part.decode(rows)
            shift = ((matrix - approximation).double() @ mean[:, :, None]).reshape(-1) * 2.0**exponent
            corrected, bias_exponent = storable_bias(shift if bias is None else bias.double() + shift)
            levels.append(
                LevelWeights(
                    level=f"w{bits}",
                    bits=bits,
                    values=None,
                    codes=rows.reshape(layer.shape).to(torch.uint8),
                    scale=part.scale.reshape(-1).half(),
                    zero=part.zero.reshape(-1).to(torch.uint8),
                    bias=corrected,
                    row_errors=error(matrix, approximation=approximation).reshape(-1) * 4.0**exponent,
                    method=method,
                    exponent=exponent,
                    bias_exponent=bias_exponent,
                )
            )
        return levels


def _diagonal_error(weight: torch.Tensor, variance: torch.Tensor, approximation: torch.Tensor) -> torch.Tensor:
    """`output_error` of uncorrelated inputs."""
    return ((approximation - weight).double().square() * variance[:, None, :]).sum(2, keepdim=True)


def _fit(weight: torch.Tensor, covariance: torch.Tensor, grid: Grid) -> tuple[Grid, torch.Tensor, str]:
    """The best grid and codes found for each row, and how."""
    nearest = grid.encode(weight)
    try:
        fitted, codes = grid, gptq(weight, covariance, grid)
        for _ in range(ROUNDS):
            fitted = refit_scale(weight, covariance, fitted, codes)
            codes = gptq(weight, covariance, fitted)
        for _ in range(ROUNDS):
            codes = coordinate_descent(weight, covariance, fitted, codes, SWEEPS)
            fitted = refit_scale(weight, covariance, fitted, codes)
    except torch.linalg.LinAlgError:  # type: ignore[attr-defined]
        return grid, nearest, ROUND_METHOD
    rounded = output_error(weight, covariance, grid.decode(nearest))
    keep = output_error(weight, covariance, fitted.decode(codes)) <= rounded
    best = Grid(grid.largest, torch.where(keep, fitted.scale, grid.scale), torch.where(keep, fitted.zero, grid.zero))
    return best, torch.where(keep, codes, nearest), GPTQ_METHOD
