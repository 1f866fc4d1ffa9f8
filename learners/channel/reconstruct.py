"""Reconstruction: fits a layer's weights to the channels that are left to it.

Least squares with intercept on the calibration images, solved on the Gram matrix (He et al. 2017, 1707.06168, section
3.1; the intercept absorbs mean shifts). With W the weight, C the covariance of its inputs and K the columns that stay,
the best weight is W C[:, K] C[K, K]^-1.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from learners.gram import AnyGram, DiagonalGram, Gram
from storage.errors import GiveUpError

DAMPING = 1e-4  # share of the mean variance that is added to the diagonal: calibration images are few
SMALLEST_VARIANCE = 1e-10
NOT_FINITE = "its inputs on the calibration images are not finite: check the model's weights and the images"


@dataclass(frozen=True)
class Reconstructed:
    """A layer's weights for some of its inputs."""

    weight: torch.Tensor  # float64 [groups, rows, columns left]
    shift: torch.Tensor  # float64 [groups, rows]: what the bias gains
    errors: torch.Tensor  # float64 [groups, rows]: squared output error


def reconstruct(weight: torch.Tensor, gram: AnyGram, columns: torch.Tensor, fit: bool = True) -> Reconstructed:
    """The weights [groups, rows, columns] on the inputs `columns` (indices) alone.

    Without `fit`, or where there is no covariance, the weights of what stays remain as they are, and the bias makes up
    for the mean of what goes.
    """
    if isinstance(gram, DiagonalGram):
        return _kept(weight, gram, columns)
    covariance = gram.covariance.to(weight.device)
    inner = covariance[:, columns][:, :, columns]
    found = weight[:, :, columns]
    if fit:
        found = _solve(weight @ covariance[:, :, columns], inner)
    full = torch.zeros_like(weight)
    full[:, :, columns] = found
    difference = full - weight
    errors = ((difference @ covariance) * difference).sum(2).clamp_(min=0)
    shift = -(difference @ gram.mean.to(weight.device)[:, :, None]).squeeze(2)
    return Reconstructed(found, shift, errors)


def _kept(weight: torch.Tensor, gram: DiagonalGram, columns: torch.Tensor) -> Reconstructed:
    gone = torch.ones(weight.shape[2], dtype=torch.bool, device=weight.device)
    gone[columns] = False
    lost = weight * gone
    errors = (lost.square() * gram.variance.to(weight.device)[:, None, :]).sum(2)
    shift = (lost @ gram.mean.to(weight.device)[:, :, None]).squeeze(2)
    return Reconstructed(weight[:, :, columns], shift, errors)


def _solve(target: torch.Tensor, matrix: torch.Tensor) -> torch.Tensor:
    """target matrix^-1 for a covariance, damped until it can be factorised."""
    variance = matrix.diagonal(dim1=1, dim2=2)
    damping = (variance.mean(1) * DAMPING).clamp(min=SMALLEST_VARIANCE)
    for _ in range(DAMPING_STEPS):
        damped = matrix + torch.diag_embed(damping[:, None].expand_as(variance))
        factor, failed = torch.linalg.cholesky_ex(damped)
        if not bool(failed.any()):
            return torch.cholesky_solve(target.transpose(1, 2), factor).transpose(1, 2)
        damping = damping * DAMPING_GROWTH
    raise GiveUpError(NOT_FINITE)


DAMPING_GROWTH = 100.0
DAMPING_STEPS = 8


def part_of_gram(gram: AnyGram, columns: torch.Tensor) -> AnyGram:
    """The statistics of some of the inputs."""
    if isinstance(gram, DiagonalGram):
        return DiagonalGram(gram.mean[:, columns], gram.variance[:, columns], gram.samples)
    places = torch.cat([columns, torch.tensor([gram.matrix.shape[1] - 1], device=columns.device)])
    return Gram(gram.matrix[:, places][:, :, places], gram.samples)
