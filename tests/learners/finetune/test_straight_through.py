"""Rounding with gradients, against the formulas of LSQ written in numpy."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
import torch

from learners.finetune.straight_through import rounded_activation, rounded_weight
from learners.quant.grid import largest_code

Doubles = npt.NDArray[np.float64]

SHAPE = (4, 3, 2, 2)
SMALL = 1e-6  # change of a step for a difference quotient


def weights(bits: int) -> tuple[Doubles, Doubles, Doubles, int]:
    """Weights of which a part lies beyond the grid; steps, zeros in half steps and the largest code."""
    generator, largest = np.random.default_rng(bits), largest_code(bits)
    step = generator.uniform(0.1, 0.2, (SHAPE[0], 1, 1, 1))
    zero = np.array([largest, largest - 1, largest + 1, largest]).reshape(-1, 1, 1, 1).astype(float)
    return generator.normal(0, 0.35 * largest * 0.15, SHAPE), step, zero, largest


def weight_gradients(bits: int) -> tuple[Doubles, Doubles, Doubles, Doubles]:
    """What `rounded_weight` gives, the gradients that come out, and the one that went in."""
    values, step, zero, largest = weights(bits)
    given = np.random.default_rng(1).normal(size=SHAPE)
    weight, width = (torch.tensor(item, requires_grad=True) for item in (values, step))
    found = rounded_weight(weight, width, torch.tensor(zero), largest)
    found.backward(torch.tensor(given))  # type: ignore[no-untyped-call]
    assert weight.grad is not None
    assert width.grad is not None
    return found.detach().numpy(), weight.grad.numpy(), width.grad.numpy(), given


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
def test_weights_come_to_lie_on_the_grid(bits: int) -> None:
    values, step, zero, largest = weights(bits)
    codes = np.rint(values / step + zero / 2).clip(0, largest)
    assert len(np.unique(codes)) > 3
    np.testing.assert_allclose(weight_gradients(bits)[0], (2 * codes - zero) * step / 2, rtol=1e-12)


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
def test_gradients_of_weights_pass_within_the_grid_alone(bits: int) -> None:
    values, step, zero, largest = weights(bits)
    place = values / step + zero / 2
    inside = (place >= 0) & (place <= largest)
    assert 0 < inside.sum() < inside.size
    _, found, _, given = weight_gradients(bits)
    np.testing.assert_allclose(found, np.where(inside, given, 0.0), rtol=1e-12)


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
def test_the_gradient_of_a_step_is_that_of_lsq(bits: int) -> None:
    values, step, zero, largest = weights(bits)
    place = values / step + zero / 2
    low, high = -zero / 2, largest - zero / 2
    rounded = np.rint(place) - zero / 2 - values / step
    slope = np.where(place < 0, low, np.where(place > largest, high, rounded))
    _, _, found, given = weight_gradients(bits)
    np.testing.assert_allclose(found, (slope * given).sum((1, 2, 3), keepdims=True), rtol=1e-9)


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_gradients_are_those_of_a_rounding_that_stays_what_it_is(bits: int) -> None:
    """A straight-through gradient by difference quotients: of the function in which rounding adds a constant."""
    values, step, zero, largest = weights(bits)
    place = (values / step + zero / 2).clip(0, largest)
    moved = np.rint(place) - place
    _, by_weight, by_step, given = weight_gradients(bits)

    def total(weight: Doubles, width: Doubles) -> float:
        return float((given * ((weight / width + zero / 2).clip(0, largest) + moved - zero / 2) * width).sum())

    for index in np.ndindex(*SHAPE):
        change = np.zeros(SHAPE)
        change[index] = SMALL
        quotient = (total(values + change, step) - total(values - change, step)) / (2 * SMALL)
        assert quotient == pytest.approx(by_weight[index], abs=1e-6)
    for row in range(SHAPE[0]):
        change = np.zeros(step.shape)
        change[row] = SMALL
        quotient = (total(values, step + change) - total(values, step - change)) / (2 * SMALL)
        assert quotient == pytest.approx(by_step[row, 0, 0, 0], abs=1e-6)


# --- activations

WIDTH, ZERO = 0.03, 70  # of a grid from -2.1 to 5.55
LOW, HIGH = -ZERO, 255 - ZERO


def activations(kind: torch.dtype = torch.float32) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return (2.5 * torch.randn(2, 3, 5, 7, generator=generator)).to(kind)


def run(values: torch.Tensor, gradient: torch.Tensor, step: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor]:
    """The rounded values, and the gradient of those that went in."""
    given = values.clone().requires_grad_()
    found = rounded_activation(given, WIDTH, LOW, HIGH, step)
    found.backward(gradient)  # type: ignore[no-untyped-call]
    assert given.grad is not None
    return found.detach(), given.grad


@pytest.mark.parametrize("learned", [False, True])
def test_activations_are_rounded_as_a_file_rounds_them(learned: bool) -> None:
    values = activations()
    codes = (np.rint(values.numpy() / np.float32(WIDTH)) + ZERO).clip(0, 255).astype(np.uint8)
    assert {0, 255} <= set(codes.reshape(-1).tolist())
    wanted = (codes.astype(np.float32) - ZERO) * np.float32(WIDTH)
    step = torch.tensor(WIDTH, requires_grad=True) if learned else None
    found, _ = run(values, torch.ones_like(values), step)
    np.testing.assert_allclose(found.numpy(), wanted, rtol=1e-6)


@pytest.mark.parametrize("learned", [False, True])
def test_gradients_of_activations_pass_within_the_range_alone(learned: bool) -> None:
    values = activations()
    gradient = torch.randn(values.shape, generator=torch.Generator().manual_seed(1))
    inside = (values > LOW * WIDTH) & (values < HIGH * WIDTH)
    assert 0 < int(inside.sum()) < inside.numel()
    _, found = run(values, gradient, torch.tensor(WIDTH, requires_grad=True) if learned else None)
    torch.testing.assert_close(found, torch.where(inside, gradient, 0.0))


def test_what_a_relu_makes_zero_gets_no_gradient_from_a_grid_that_begins_there() -> None:
    """Such a grid stands in for the ReLU."""
    values = torch.tensor([-1.0, 0.0, 0.004, 2.0], requires_grad=True)
    found = rounded_activation(values, 0.01, 0, 255, None)
    found.sum().backward()  # type: ignore[no-untyped-call]
    assert found.tolist() == pytest.approx([0.0, 0.0, 0.0, 2.0])
    assert values.grad is not None
    assert values.grad.tolist() == [0.0, 0.0, 1.0, 1.0]


def lsq(values: Doubles, gradient: Doubles) -> float:
    place = values / WIDTH
    slope = np.where(place <= LOW, LOW, np.where(place >= HIGH, HIGH, np.rint(place) - place))
    return float((slope * gradient).sum())


def quotient(values: Doubles, gradient: Doubles) -> float:
    place = (values / WIDTH).clip(LOW, HIGH)
    moved = np.rint(place) - place

    def total(width: float) -> float:
        return float((gradient * ((values / width).clip(LOW, HIGH) + moved) * width).sum())

    return (total(WIDTH + SMALL) - total(WIDTH - SMALL)) / (2 * SMALL)


@pytest.mark.parametrize("formula", [lsq, quotient])
def test_the_gradient_of_an_activation_step_is_that_of_lsq(formula: Callable[[Doubles, Doubles], float]) -> None:
    values = activations(torch.float64)
    gradient = torch.randn(values.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    step = torch.tensor(WIDTH, dtype=torch.float64, requires_grad=True)
    run(values, gradient, step)
    assert step.grad is not None
    assert float(step.grad) == pytest.approx(formula(values.numpy(), gradient.numpy()), rel=1e-5)


def test_bfloat16_activations_stay_such_and_their_step_learns_in_float32() -> None:
    values = activations(torch.bfloat16)
    gradient = torch.ones_like(values)
    step = torch.tensor(WIDTH, requires_grad=True)
    found, back = run(values, gradient, step)
    assert (found.dtype, back.dtype) == (torch.bfloat16, torch.bfloat16)
    exact, _ = run(values.float(), gradient.float(), None)
    assert float((found.float() - exact).abs().max()) < 1.1 * WIDTH  # a value between two codes goes to either
    assert step.grad is not None
    assert step.grad.dtype == torch.float32
    wanted = lsq(values.double().numpy(), gradient.double().numpy())
    assert float(step.grad) == pytest.approx(wanted, rel=0.1)
