"""Improves codes that GPTQ has found: the best scale for them, then coordinate descent on single codes.

Each step lowers the squared output error trace((W - V) C (W - V)') or leaves it: a quadratic form in each row,
minimised exactly over the scale and over one code at a time. (Coordinate descent on this objective: Behdin et al.
2023, "QuantEase", 2309.01885.)
"""

from __future__ import annotations

import torch

from learners.quant.grid import Grid, storable

SMALLEST = 1e-12
BLOCK = 64  # columns whose changes reach the others' gradients in one product


def output_error(weight: torch.Tensor, covariance: torch.Tensor, approximation: torch.Tensor) -> torch.Tensor:
    """Squared output error of each row, [groups, rows, 1], in float64."""
    difference = approximation - weight
    product = difference @ covariance.to(weight.dtype)
    return (product.double() * difference.double()).sum(2, keepdim=True).clamp_(min=0)


def refit_scale(weight: torch.Tensor, covariance: torch.Tensor, grid: Grid, codes: torch.Tensor) -> Grid:
    """The grid whose scales are the best for the given codes, zero points unchanged; never a worse one.

    The error is a parabola in the scale: energy * scale^2 - 2 * overlap * scale, up to a constant.
    """
    steps = codes - grid.zero / 2
    product = steps @ covariance.to(weight.dtype)
    energy = (product * steps).sum(2, keepdim=True)
    overlap = (product * weight).sum(2, keepdim=True)
    best = storable(overlap / energy.clamp(min=SMALLEST))
    gain = (energy * grid.scale - 2 * overlap) * grid.scale - (energy * best - 2 * overlap) * best
    usable = (energy > SMALLEST) & (gain > 0)
    return Grid(grid.largest, torch.where(usable, best, grid.scale), grid.zero)


def coordinate_descent(
    weight: torch.Tensor, covariance: torch.Tensor, grid: Grid, codes: torch.Tensor, sweeps: int
) -> torch.Tensor:
    """Codes after `sweeps` passes over the columns, each column set to its best code given the others."""
    covariance = covariance.to(weight.dtype)
    curvature = covariance.diagonal(dim1=1, dim2=2).clamp(min=SMALLEST)[:, None, :]
    codes = codes.clone()
    gradient = (grid.decode(codes) - weight) @ covariance
    columns = weight.shape[2]
    for _ in range(sweeps):
        for start in range(0, columns, BLOCK):
            stop = min(start + BLOCK, columns)
            before = codes[:, :, start:stop].clone()
            local = gradient[:, :, start:stop].clone()
            within = covariance[:, start:stop, start:stop]
            for column in range(stop - start):
                current = codes[:, :, start + column : start + column + 1]
                step = local[:, :, column : column + 1] / (
                    curvature[:, :, start + column : start + column + 1] * grid.scale
                )
                # Rounding the exact minimiser of a one-dimensional parabola gives its best grid point.
                new = torch.minimum((current - step).round_().clamp_(min=0), grid.largest)
                local += ((new - current) * grid.scale) * within[:, None, column]
                codes[:, :, start + column : start + column + 1] = new
            change = (codes[:, :, start:stop] - before) * grid.scale
            gradient += change @ covariance[:, start:stop]
    return codes
