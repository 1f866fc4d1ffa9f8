"""What a training minimises, against the formulas in numpy."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import torch

from learners.finetune.loss import TAUGHT, TEMPERATURE, is_classifier, training_loss

Doubles = npt.NDArray[np.float64]

CLASSES = 5


def outputs(seed: int, shape: tuple[int, ...] = (7, CLASSES)) -> torch.Tensor:
    return 3 * torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


LABELS = torch.tensor([0, 1, 2, 3, 4, 0, 1])


def shares(logits: torch.Tensor, temperature: float = 1.0) -> Doubles:
    raised = np.exp(logits.numpy() / temperature)
    found: Doubles = raised / raised.sum(1, keepdims=True)
    return found


def cross_entropy(logits: torch.Tensor) -> float:
    return float(-np.log(shares(logits)[np.arange(len(LABELS)), LABELS.numpy()]).mean())


def distance(logits: torch.Tensor, taught: torch.Tensor) -> float:
    wanted, found = shares(taught, TEMPERATURE), shares(logits, TEMPERATURE)
    return float(TEMPERATURE**2 * (wanted * np.log(wanted / found)).sum(1).mean())


def test_labels_alone_give_the_cross_entropy() -> None:
    assert float(training_loss(outputs(0), LABELS, None)) == pytest.approx(cross_entropy(outputs(0)))


def test_the_dense_model_alone_gives_the_distance_of_what_it_says() -> None:
    found = training_loss(outputs(0), None, outputs(1))
    assert float(found) == pytest.approx(distance(outputs(0), outputs(1)))
    assert float(training_loss(outputs(0), None, outputs(0))) == pytest.approx(0.0, abs=1e-9)


def test_both_are_weighed() -> None:
    wanted = (1 - TAUGHT) * cross_entropy(outputs(0)) + TAUGHT * distance(outputs(0), outputs(1))
    assert float(training_loss(outputs(0), LABELS, outputs(1))) == pytest.approx(wanted)


def test_the_gradients_of_the_distance_do_not_shrink_with_the_temperature() -> None:
    """Near the dense model they are those of matching logits, p (z - v) (Hinton et al. 2015, section 2.1): T^2 sees
    to that."""
    taught = outputs(1) / 100  # so that every temperature is a high one
    logits = (taught + outputs(2) / 1000).requires_grad_()
    training_loss(logits, None, taught).backward()  # type: ignore[no-untyped-call]
    assert logits.grad is not None
    moved = (logits - taught).detach()
    wanted = (moved - moved.mean(1, keepdim=True)) / CLASSES / len(moved)
    torch.testing.assert_close(logits.grad, wanted, rtol=0.05, atol=1e-6)


@pytest.mark.parametrize("shape", [(7, 1), (7, 3, 4, 4), (7,)])
def test_other_models_are_taught_by_the_dense_one_alone(shape: tuple[int, ...]) -> None:
    found, taught = outputs(0, shape), outputs(1, shape)
    assert not is_classifier(found)
    wanted = np.square((found - taught).numpy()).mean() / np.square(taught.numpy()).mean()
    for labels in (None, LABELS):
        assert float(training_loss(found, labels, taught)) == pytest.approx(wanted)
        assert float(training_loss(1000 * found, labels, 1000 * taught)) == pytest.approx(wanted)
    with pytest.raises(ValueError, match="only the dense model can teach"):
        training_loss(found, LABELS, None)
    assert bool(torch.isfinite(training_loss(found, None, torch.zeros_like(taught))))


def test_classifiers_say_how_probable_several_classes_are() -> None:
    assert is_classifier(outputs(0))
    assert not is_classifier(outputs(0, (7, 1)))
