"""GPTQ: rounds a weight matrix column by column and feeds each column's error into those still to come.

Frantar et al. 2022, "GPTQ: Accurate Post-Training Quantization for Generative Pre-trained Transformers" (2210.17323),
algorithm 1, with columns in falling order of their variance. The covariance takes the place of the Gram matrix, because
the bias is refitted afterwards (see `learners.gram.Gram.covariance`).
"""

from __future__ import annotations

import torch

from learners.quant.grid import Grid

DAMPING = 0.01  # share of the mean variance added to the diagonal, as in the paper
BLOCK = 64  # columns whose feedback to the rest is gathered into one product
SMALLEST_VARIANCE = 1e-10  # of an input that is never active; keeps the factorisation defined


def gptq(weight: torch.Tensor, covariance: torch.Tensor, grid: Grid) -> torch.Tensor:
    """Codes, as floating point, [groups, rows, columns] for `weight` of that shape.

    `covariance` [groups, columns, columns] in float64. Raises torch.linalg.LinAlgError where even the damped covariance
    is singular.
    """
    order = covariance.diagonal(dim1=1, dim2=2).argsort(dim=1, descending=True, stable=True)
    factor = _feedback(_reorder(_damped(covariance), order)).to(weight.dtype)
    rows = order[:, None, :].expand_as(weight)
    work = weight.gather(2, rows)
    codes = torch.empty_like(work)
    columns = work.shape[2]
    for start in range(0, columns, BLOCK):
        stop = min(start + BLOCK, columns)
        errors = torch.empty_like(work[:, :, start:stop])
        for column in range(start, stop):
            target = work[:, :, column : column + 1]
            code = grid.encode(target)
            codes[:, :, column : column + 1] = code
            error = (target - grid.decode(code)) / factor[:, column, column][:, None, None]
            errors[:, :, column - start : column - start + 1] = error
            if column + 1 < stop:
                work[:, :, column + 1 : stop] -= error * factor[:, None, column, column + 1 : stop]
        if stop < columns:
            work[:, :, stop:] -= errors @ factor[:, start:stop, stop:]
    return torch.empty_like(codes).scatter_(2, rows, codes)


def _damped(covariance: torch.Tensor) -> torch.Tensor:
    variance = covariance.diagonal(dim1=1, dim2=2)
    extra = (variance.mean(1) * DAMPING).clamp(min=SMALLEST_VARIANCE)
    return covariance + torch.diag_embed(extra[:, None].expand_as(variance))


def _reorder(matrix: torch.Tensor, order: torch.Tensor) -> torch.Tensor:
    size = matrix.shape[1]
    matrix = matrix.gather(1, order[:, :, None].expand(-1, -1, size))
    return matrix.gather(2, order[:, None, :].expand(-1, size, -1))


def _feedback(matrix: torch.Tensor) -> torch.Tensor:
    """Upper Cholesky factor of the inverse."""
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(matrix))
    factor: torch.Tensor = torch.linalg.cholesky(inverse, upper=True)
    return factor
