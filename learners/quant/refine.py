"""Improves codes that GPTQ has found: the best scale for them, then coordinate descent on single codes.

Each step lowers the squared output error trace((W - V) C (W - V)') or leaves it: a quadratic form in each row,
minimised exactly over the scale and over one code at a time. (Coordinate descent on this objective: Behdin et al.
2023, "QuantEase", 2309.01885.)
"""

from __future__ import annotations

import torch

from learners.quant.grid import Grid, storable

SMALLEST = 1e-12


def output_error(weight: torch.Tensor, covariance: torch.Tensor, approximation: torch.Tensor) -> torch.Tensor:
    """Squared output error of each row, [groups, rows, 1], in float64."""
    difference = (approximation - weight).double()
    return ((difference @ covariance) * difference).sum(2, keepdim=True)


def refit_scale(weight: torch.Tensor, covariance: torch.Tensor, grid: Grid, codes: torch.Tensor) -> Grid:
    """The grid whose scales are the best for the given codes, zero points unchanged; never a worse one."""
    steps = codes - grid.zero / 2
    product = steps @ covariance.to(weight.dtype)
    energy = (product * steps).sum(2, keepdim=True)
    scale = storable((product * weight).sum(2, keepdim=True) / energy.clamp(min=SMALLEST))
    usable = (energy > SMALLEST) & torch.isfinite(scale)
    candidate = Grid(grid.largest, torch.where(usable, scale, grid.scale), grid.zero)
    better = output_error(weight, covariance, candidate.decode(codes)) < output_error(
        weight, covariance, grid.decode(codes)
    )
    return Grid(grid.largest, torch.where(better, candidate.scale, grid.scale), grid.zero)


def coordinate_descent(
    weight: torch.Tensor, covariance: torch.Tensor, grid: Grid, codes: torch.Tensor, sweeps: int
) -> torch.Tensor:
    """Codes after `sweeps` passes over the columns, each column set to its best code given the others."""
    covariance = covariance.to(weight.dtype)
    variance = covariance.diagonal(dim1=1, dim2=2).clamp(min=SMALLEST)
    codes = codes.clone()
    gradient = (grid.decode(codes) - weight) @ covariance
    for _ in range(sweeps):
        for column in range(weight.shape[2]):
            current = codes[:, :, column : column + 1]
            step = gradient[:, :, column : column + 1] / (variance[:, None, column : column + 1] * grid.scale)
            # Rounding the exact minimiser of a one-dimensional parabola gives its best grid point.
            new = torch.minimum((current - step).round_().clamp_(min=0), grid.largest)
            gradient += ((new - current) * grid.scale) * covariance[:, None, column]
            codes[:, :, column : column + 1] = new
    return codes
