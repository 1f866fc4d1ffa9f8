"""Metrics: scores of each image, and outputs that cannot be scored."""

from __future__ import annotations

import pkgutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as nps

from objectives.metric import METRICS, Agreement, CallableMetric, Metric, Top1, resolve_metric, soft_score
from storage.errors import FixInputError

OUTPUTS = np.array([[3, 1, 2], [0, 5, 1], [1, 2, 9], [4, 0, 0]], dtype=np.float32)
LABELS = np.array([0, 1, 0, 2])
DENSE = np.array([[1, 0, 0], [1, 0, 0], [0, 0, 1], [1, 0, 0]], dtype=np.float32)
logits = nps.arrays(
    np.float32, st.tuples(st.integers(1, 9), st.integers(2, 5)), elements=st.floats(-100, 100, width=32)
)


def test_top1_and_agreement() -> None:
    assert Top1().per_image(OUTPUTS, LABELS, DENSE).tolist() == [1, 1, 0, 0]
    assert Agreement().per_image(OUTPUTS, LABELS, DENSE).tolist() == [1, 0, 1, 1]
    assert Agreement().per_image(OUTPUTS, None, DENSE).tolist() == [1, 0, 1, 1]


@pytest.mark.parametrize("name", METRICS)
@given(outputs=logits)
def test_every_metric_scores_each_image_in_the_unit_interval(
    name: str, outputs: np.ndarray[tuple[int, int], np.dtype[np.float32]]
) -> None:
    metric: Metric = pkgutil.resolve_name(METRICS[name])()
    assert metric.name == name
    labels = outputs.argmax(axis=1).astype(np.int64)
    scores = metric.per_image(outputs, labels, outputs)
    assert scores.dtype == np.float32
    assert scores.shape == labels.shape
    assert np.all(scores == 1)
    wrong = metric.per_image(-outputs - np.eye(outputs.shape[1], dtype=np.float32)[labels], labels, outputs)
    assert np.all(wrong == 0)


@pytest.mark.parametrize("name", METRICS)
def test_outputs_that_are_not_finite_score_zero(name: str) -> None:
    metric: Metric = pkgutil.resolve_name(METRICS[name])()
    outputs = OUTPUTS.copy()
    outputs[0, 0], outputs[1, 1] = np.nan, np.inf
    assert metric.per_image(outputs, OUTPUTS.argmax(1), OUTPUTS).tolist() == [0, 0, 1, 1]
    assert soft_score(outputs, LABELS, OUTPUTS)[:2].tolist() == [0, 0]


def test_defaults() -> None:
    assert isinstance(resolve_metric(None, labelled=True), Top1)
    assert isinstance(resolve_metric(None, labelled=False), Agreement)
    assert isinstance(resolve_metric("agreement", labelled=True), Agreement)


def test_what_cannot_be_resolved() -> None:
    with pytest.raises(FixInputError, match=r'"top5" is not known; known: top1, agreement, file.py:callable'):
        resolve_metric("top5", labelled=True)
    with pytest.raises(FixInputError, match="needs labels"):
        resolve_metric("top1", labelled=False)
    with pytest.raises(FixInputError, match="needs labels"):
        Top1().per_image(OUTPUTS, None, DENSE)


def test_outputs_and_labels_that_do_not_fit() -> None:
    with pytest.raises(FixInputError, match="labels up to 7 and the model has 3 outputs"):
        Top1().per_image(OUTPUTS, np.array([0, 1, 7, 2]), DENSE)
    with pytest.raises(FixInputError, match=r"outputs of shape \[n, classes\] and the model gives \['n', 3, 2\]"):
        Top1().per_image(np.zeros((4, 3, 2), np.float32), LABELS, DENSE)
    with pytest.raises(FixInputError, match=r"file\.py:callable"):
        Agreement().per_image(np.zeros((4, 1), np.float32), None, DENSE)
    with pytest.raises(FixInputError, match="the dense model outputs NaN or infinity on image 2"):
        Agreement().per_image(OUTPUTS, None, np.where(DENSE * np.arange(4)[:, None] == 2, np.nan, DENSE))
    with pytest.raises(ValueError, match="4 outputs for 3 images"):
        Top1().per_image(OUTPUTS, LABELS[:3], DENSE)


def metric_of(folder: Path, expression: str) -> CallableMetric:
    (folder / "m.py").write_text(
        f"import numpy as np\nimport torch\ndef score(outputs, labels):\n    return {expression}\n"
    )
    metric = resolve_metric(f"{folder}/m.py:score", labelled=True)
    assert isinstance(metric, CallableMetric)
    return metric


@pytest.mark.parametrize(
    "expression",
    [
        "outputs.argmax(1) == labels",
        "(outputs.argmax(1) == labels).tolist()",
        "torch.tensor(outputs.argmax(1) == labels)",
    ],
)
def test_a_callable_metric(tmp_path: Path, expression: str) -> None:
    metric = metric_of(tmp_path, expression)
    scores = metric.per_image(OUTPUTS, LABELS, DENSE)
    assert metric.name == "score"
    assert scores.dtype == np.float32
    assert scores.tolist() == [1, 1, 0, 0]


def test_a_callable_metric_may_have_outputs_of_any_shape_and_sees_no_nan(tmp_path: Path) -> None:
    metric = metric_of(tmp_path, "1.0 - abs(outputs).mean(axis=(1, 2))")
    outputs = np.zeros((3, 2, 2), np.float32)
    outputs[1] = np.nan
    outputs[2] = 0.25
    assert metric.per_image(outputs, None, outputs).tolist() == [1, 0, 0.75]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("0.5", "the metric m.py:score returned shape [] for 4 images; return one score in [0, 1] an image"),
        ("outputs", "returned shape [4, 3] for 4 images"),
        ("np.zeros(3)", "returned shape [3] for 4 images"),
        ("np.array([0, 1, np.nan, 0])", "returned nan for image 2"),
        ("np.array([0, 1.5, 0, 0])", "returned 1.5 for image 1"),
        ("np.array([0, 0, 0, -1])", "returned -1.0 for image 3"),
        ("'text'", "returned a str"),
        ("None", "returned "),
        ("{}['x']", "m.py:score raised KeyError: 'x' (m.py:4)"),
    ],
)
def test_callables_that_do_not_score_images(tmp_path: Path, expression: str, expected: str) -> None:
    with pytest.raises(FixInputError) as caught:
        metric_of(tmp_path, expression).per_image(OUTPUTS, LABELS, DENSE)
    assert expected in str(caught.value)


def test_the_soft_score_is_the_probability_of_the_true_class() -> None:
    shifted = np.exp(OUTPUTS - OUTPUTS.max(axis=1, keepdims=True))
    expected = (shifted / shifted.sum(axis=1, keepdims=True))[np.arange(4), LABELS]
    np.testing.assert_allclose(soft_score(OUTPUTS, LABELS, DENSE), expected, rtol=1e-6)
    np.testing.assert_allclose(soft_score(OUTPUTS, None, DENSE), soft_score(OUTPUTS, DENSE.argmax(1), DENSE))
    with pytest.raises(FixInputError, match="labels up to 3"):
        soft_score(OUTPUTS, np.array([0, 1, 3, 2]), DENSE)


@given(logits, st.floats(-1000, 1000, width=32), st.data())
def test_the_soft_score_ignores_a_common_shift_and_stays_in_the_unit_interval(
    outputs: np.ndarray[tuple[int, int], np.dtype[np.float32]], shift: float, data: st.DataObject
) -> None:
    labels = data.draw(nps.arrays(np.int64, len(outputs), elements=st.integers(0, outputs.shape[1] - 1)))
    scores = soft_score(outputs, labels, outputs)
    assert scores.dtype == np.float32
    assert np.all((scores >= 0) & (scores <= 1))
    np.testing.assert_allclose(soft_score(outputs + np.float32(shift), labels, outputs), scores, atol=1e-3)
    everything = sum(soft_score(outputs, np.full(len(outputs), label), outputs) for label in range(outputs.shape[1]))
    np.testing.assert_allclose(everything, 1, rtol=1e-5)


def test_the_soft_score_survives_huge_logits() -> None:
    outputs = np.array([[1e30, 0], [-1e30, 0]], dtype=np.float32)
    assert soft_score(outputs, np.array([0, 0]), outputs).tolist() == [1, 0]
