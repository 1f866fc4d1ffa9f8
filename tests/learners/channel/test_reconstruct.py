"""Reconstruction against numpy's least squares on the raw data, and the errors that it states."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import learners.gram
from learners.channel.reconstruct import DAMPING, part_of_gram, reconstruct
from learners.gram import DiagonalGram, Gram
from storage.errors import GiveUpError

SAMPLES, COLUMNS, ROWS = 400, 12, 5


def problem(seed: int, groups: int = 1) -> tuple[torch.Tensor, torch.Tensor, Gram]:
    """Correlated inputs [groups, samples, columns] of large means, a weight for them, and their Gram matrix."""
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.randn(groups, COLUMNS, COLUMNS, generator=generator, dtype=torch.float64)
    inputs = torch.randn(groups, SAMPLES, COLUMNS, generator=generator, dtype=torch.float64) @ mixing + 2.0
    weight = torch.randn(groups, ROWS, COLUMNS, generator=generator, dtype=torch.float64)
    return inputs, weight, gram_of(inputs)


def gram_of(inputs: torch.Tensor) -> Gram:
    rows = torch.cat([inputs, inputs.new_ones(*inputs.shape[:2], 1)], 2)
    return Gram(rows.transpose(1, 2) @ rows / rows.shape[1], rows.shape[1])


@pytest.mark.parametrize("groups", [1, 3])
@pytest.mark.parametrize("kept", [(0, 1, 2), (3, 5, 7, 8, 9, 11), tuple(range(1, 12))])
def test_it_is_least_squares_with_an_intercept(groups: int, kept: tuple[int, ...]) -> None:
    inputs, weight, gram = problem(0, groups)
    found = reconstruct(weight, gram, torch.tensor(kept))
    for group in range(groups):
        x, target = inputs[group].numpy(), inputs[group].numpy() @ weight[group].numpy().T
        design = np.concatenate([x[:, kept], np.ones((SAMPLES, 1))], 1)
        best, _, _, _ = np.linalg.lstsq(design, target, rcond=None)
        least = np.square(design @ best - target).mean(0)
        outputs = x[:, kept] @ found.weight[group].numpy().T + found.shift[group].numpy()
        measured = np.square(outputs - target).mean(0)
        np.testing.assert_allclose(found.errors[group].numpy(), measured, rtol=1e-8)
        # The damping costs at most its share of the mean variance for each weight.
        variance = float(x.var(0).mean())
        slack = DAMPING * variance * np.square(best[:-1]).sum(0)
        assert (measured <= least + slack).all()
        assert (measured >= least * (1 - 1e-9)).all()
        np.testing.assert_allclose((outputs - target).mean(0), 0, atol=1e-9)  # no mean is shifted


@pytest.mark.parametrize("fit", [True, False])
@pytest.mark.parametrize("seed", range(4))
def test_stated_errors_are_those_measured_on_the_data(seed: int, fit: bool) -> None:
    inputs, weight, gram = problem(seed, 2)
    columns = torch.from_numpy(np.sort(np.random.default_rng(seed).choice(COLUMNS, 7, replace=False)))
    found = reconstruct(weight, gram, columns, fit)
    wanted = inputs @ weight.transpose(1, 2)
    outputs = inputs[:, :, columns] @ found.weight.transpose(1, 2) + found.shift[:, None]
    torch.testing.assert_close(found.errors, (outputs - wanted).square().mean(1), rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("seed", range(8))
def test_it_is_never_worse_than_leaving_the_weights_as_they_are(seed: int) -> None:
    _, weight, gram = problem(seed)
    columns = torch.from_numpy(np.sort(np.random.default_rng(seed).choice(COLUMNS, 1 + seed, replace=False)))
    fitted, left = reconstruct(weight, gram, columns), reconstruct(weight, gram, columns, fit=False)
    assert torch.equal(left.weight, weight[:, :, columns])
    assert bool((fitted.errors <= left.errors).all())


def test_what_another_input_repeats_costs_nothing() -> None:
    inputs, weight, _ = problem(0)
    inputs[:, :, 3] = 2 * inputs[:, :, 1] - inputs[:, :, 2] + 5.0
    gram = gram_of(inputs)
    columns = torch.tensor([index for index in range(COLUMNS) if index != 3])
    found = reconstruct(weight, gram, columns)
    power = ((weight @ gram.covariance) * weight).sum(2)
    assert bool((found.errors <= 1e-4 * power).all())


def test_a_constant_input_goes_into_the_bias() -> None:
    inputs, weight, _ = problem(1)
    inputs[:, :, 0] = 7.0
    found = reconstruct(weight, gram_of(inputs), torch.arange(1, COLUMNS), fit=False)
    torch.testing.assert_close(found.shift, 7.0 * weight[:, :, 0])
    torch.testing.assert_close(found.errors, torch.zeros_like(found.errors), atol=1e-9, rtol=0)


def test_a_diagonal_alone_keeps_the_weights_and_makes_up_for_the_mean() -> None:
    inputs, weight, gram = problem(2)
    columns = torch.tensor([0, 4, 5])
    found = reconstruct(weight, DiagonalGram(gram.mean, gram.variance, SAMPLES), columns)
    gone = [index for index in range(COLUMNS) if index not in columns.tolist()]
    assert torch.equal(found.weight, weight[:, :, columns])
    torch.testing.assert_close(found.shift, (weight[:, :, gone] @ inputs.mean(1)[:, gone, None]).squeeze(2))
    torch.testing.assert_close(found.errors, weight[:, :, gone].square() @ gram.variance[0, gone])


@pytest.mark.parametrize("kind", ["zero", "constant", "equal", "one sample"])
def test_degenerate_inputs_give_finite_weights(kind: str) -> None:
    inputs, weight, _ = problem(3)
    inputs = {
        "zero": 0 * inputs,
        "constant": 0 * inputs + 3.0,
        "equal": inputs[:, :, :1].expand_as(inputs).clone(),
        "one sample": inputs[:, :1],
    }[kind]
    found = reconstruct(weight, gram_of(inputs), torch.arange(0, COLUMNS, 2))
    for tensor in (found.weight, found.shift, found.errors):
        assert bool(torch.isfinite(tensor).all())
    wanted = inputs @ weight.transpose(1, 2)
    outputs = inputs[:, :, ::2] @ found.weight.transpose(1, 2) + found.shift[:, None]
    scale = float(wanted.abs().max()) + 1.0
    assert float((outputs - wanted).abs().max()) < 1e-3 * scale  # what is left holds everything


def test_parts_of_a_gram_are_the_grams_of_the_parts() -> None:
    inputs, _, gram = problem(4, 2)
    columns = torch.tensor([1, 2, 6, 11])
    found, wanted = part_of_gram(gram, columns), gram_of(inputs[:, :, columns])
    assert isinstance(found, Gram)
    torch.testing.assert_close(found.matrix, wanted.matrix)
    torch.testing.assert_close(found.covariance, wanted.covariance)
    assert found.samples == SAMPLES
    diagonal = part_of_gram(DiagonalGram(gram.mean, gram.variance, SAMPLES), columns)
    assert isinstance(diagonal, DiagonalGram)
    assert torch.equal(diagonal.mean, gram.mean[:, columns])
    assert torch.equal(diagonal.variance, gram.variance[:, columns])
    assert learners.gram.WIDEST > COLUMNS


def test_statistics_that_are_not_finite_are_refused_with_a_remedy() -> None:
    _, weight, gram = problem(4, 2)
    broken = Gram(torch.full_like(gram.matrix, torch.nan), SAMPLES)
    with pytest.raises(GiveUpError, match="not finite: check the model's weights and the images"):
        reconstruct(weight, broken, torch.arange(0, COLUMNS, 2))
