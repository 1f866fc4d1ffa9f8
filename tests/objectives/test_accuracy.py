"""Evaluation in batches, and outputs that cannot be scored."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from objectives.accuracy import evaluate
from objectives.runtimes.onnxruntime import OnnxRuntime
from storage.errors import GiveUpError
from tests.objectives.models import images, linear, linear_weight, logarithm

Floats = npt.NDArray[np.float32]


@pytest.mark.parametrize(("count", "sizes"), [(1, [1]), (4, [4]), (5, [4, 1]), (12, [4, 4, 4])])
def test_every_image_once_in_order(count: int, sizes: list[int]) -> None:
    seen: list[int] = []

    def session(batch: Floats) -> Floats:
        seen.append(len(batch))
        return batch[:, :, 0, 0] * 2

    feed = images(count)
    assert np.array_equal(evaluate(session, feed, batch=4), feed[:, :, 0, 0] * 2)
    assert seen == sizes


def test_of_a_file() -> None:
    weight = linear_weight()
    feed = images(70)  # more than one batch of the default size
    output = evaluate(OnnxRuntime().session(linear(weight), 1), feed)
    assert output.shape == (70, 5)
    assert output.dtype == np.float32
    np.testing.assert_allclose(output, feed.reshape(70, -1) @ weight, rtol=1e-4, atol=1e-4)


def test_nan_names_the_first_image() -> None:
    feed = np.abs(images(9))
    feed[6:] *= -1
    session = OnnxRuntime().session(logarithm(), 1)
    assert evaluate(session, feed[:6], batch=4).shape == (6, 3)
    with pytest.raises(GiveUpError, match="image 6 is NaN"):
        evaluate(session, feed, batch=4)


def test_infinity_is_refused() -> None:
    def session(batch: Floats) -> Floats:
        return np.full((len(batch), 2), np.inf, np.float32)

    with pytest.raises(GiveUpError, match="image 0 is NaN or infinite"):
        evaluate(session, images(3))


def test_another_number_of_rows_is_refused() -> None:
    def session(batch: Floats) -> Floats:
        return np.zeros((1, 5), np.float32)

    with pytest.raises(GiveUpError, match=r"\(1, 5\) for 3 images"):
        evaluate(session, images(3))


def test_failure_of_the_model_is_passed_on() -> None:
    session = OnnxRuntime().session(linear(linear_weight(), batch=2), 1)
    with pytest.raises(GiveUpError, match="dynamic batch axis"):
        evaluate(session, images(3), batch=2)


@pytest.mark.parametrize(("count", "batch"), [(0, 4), (3, 0)])
def test_nothing_to_evaluate(count: int, batch: int) -> None:
    with pytest.raises(ValueError, match="cannot be evaluated"):
        evaluate(lambda batch: batch, images(count), batch=batch)
