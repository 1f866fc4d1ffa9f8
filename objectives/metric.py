"""What "accuracy" means: a score in [0, 1] for every image, so that models compare image by image."""

from __future__ import annotations

import pkgutil
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from objectives.workload.factory import UserCallable, load_callable
from storage.errors import FixInputError

Scores = NDArray[np.float32]

METRICS: Mapping[str, str] = {
    "top1": "objectives.metric:Top1",
    "agreement": "objectives.metric:Agreement",
}


class Metric(Protocol):
    """Scores outputs image by image; the accuracy in percent is 100 times their mean.

    It is made once for a workload, by `resolve_metric`. `per_image` is then called for every evaluation, each
    time with the dense model's outputs on the same images.
    """

    @property
    def name(self) -> str:
        """What reports call it."""
        ...

    def per_image(
        self, outputs: NDArray[np.float32], labels: NDArray[np.int64] | None, dense: NDArray[np.float32]
    ) -> Scores:
        """float32 [n] in [0, 1], higher is better; an image whose outputs are not all finite scores 0.

        `outputs` and `dense` are [n, k] (logits), `labels` [n] or None. FixInputError where the metric cannot
        be taken of such outputs.
        """
        ...


@dataclass(frozen=True)
class Top1:
    """1 where the largest output is the label's, else 0."""

    needs_labels = True
    name: str = "top1"

    def per_image(
        self,
        outputs: NDArray[np.float32],
        labels: NDArray[np.int64] | None,
        dense: NDArray[np.float32],  # noqa: ARG002  (the protocol has it)
    ) -> Scores:
        """See `Metric`. FixInputError without labels or with labels that no output stands for."""
        if labels is None:
            raise FixInputError('the metric "top1" needs labels; use [data] metric = "agreement"')
        _check(outputs, "top1", len(labels))
        _check_labels(labels, outputs)
        return _hits(outputs, labels)


@dataclass(frozen=True)
class Agreement:
    """1 where the largest output is that of the dense model, else 0. Labels are not looked at."""

    needs_labels = False
    name: str = "agreement"

    def per_image(
        self,
        outputs: NDArray[np.float32],
        labels: NDArray[np.int64] | None,  # noqa: ARG002  (the protocol has it)
        dense: NDArray[np.float32],
    ) -> Scores:
        """See `Metric`."""
        _check(outputs, "agreement", len(dense))
        return _hits(outputs, _dense_labels(dense))


@dataclass(frozen=True)
class CallableMetric:
    """The user's own: `callable(outputs, labels)` returns a score in [0, 1] for each image."""

    function: UserCallable

    @property
    def name(self) -> str:
        """The callable's name."""
        return self.function.spec.rpartition(":")[2]

    def per_image(
        self,
        outputs: NDArray[np.float32],
        labels: NDArray[np.int64] | None,
        dense: NDArray[np.float32],  # noqa: ARG002  (the protocol has it)
    ) -> Scores:
        """See `Metric`. Rows that are not finite reach the callable as zeros, and always score 0."""
        finite = _finite(outputs)
        shape = (len(outputs),) + (1,) * (outputs.ndim - 1)
        returned: Any = self.function(np.where(finite.reshape(shape), outputs, np.float32(0)), labels)
        returned = returned.detach().cpu().numpy() if hasattr(returned, "detach") else returned
        try:
            scores = np.asarray(returned, dtype=np.float32)
        except (TypeError, ValueError) as error:
            raise FixInputError(f"{self._wrong} a {type(returned).__name__}; {_ONE_SCORE}") from error
        if scores.shape != (len(outputs),):
            raise FixInputError(f"{self._wrong} shape {list(scores.shape)} for {len(outputs)} images; {_ONE_SCORE}")
        bad = np.flatnonzero(~((scores >= 0) & (scores <= 1)))  # NaN is neither
        if len(bad):
            raise FixInputError(f"{self._wrong} {scores[bad[0]]} for image {bad[0]}; {_ONE_SCORE}")
        return np.where(finite, scores, np.float32(0))

    @property
    def _wrong(self) -> str:
        return f"the metric {self.function.label} returned"


_ONE_SCORE = "return one score in [0, 1] an image, 1 the best"


def resolve_metric(name: str | None, labelled: bool) -> Metric:
    """The metric called `name` in METRICS, or the callable "file.py:name".

    None takes top1 with labels, and agreement without. FixInputError if it cannot be loaded, or needs labels
    where there are none.
    """
    if name is None:
        name = "top1" if labelled else "agreement"
    if ":" in name:
        return CallableMetric(load_callable(name))
    if name not in METRICS:
        raise FixInputError(f'the metric "{name}" is not known; known: {", ".join(METRICS)}, file.py:callable')
    kind = pkgutil.resolve_name(METRICS[name])
    if kind.needs_labels and not labelled:
        raise FixInputError(f'[data] metric = "{name}" needs labels and the val split has none; use "agreement"')
    metric: Metric = kind()
    return metric


def soft_score(outputs: NDArray[np.float32], labels: NDArray[np.int64] | None, dense: NDArray[np.float32]) -> Scores:
    """float32 [n] in [0, 1]: softmax probability of the true class, or of the dense model's without labels.

    Its mean ranks candidates of about one accuracy better than the accuracy does (design section 4).
    `outputs` and `dense` are [n, k]; an image whose outputs are not all finite scores 0.
    """
    _check(outputs, "the quick score", len(dense))
    if labels is None:
        labels = _dense_labels(dense)
    else:
        _check_labels(labels, outputs)
    finite = _finite(outputs)
    logits = np.where(finite[:, None], outputs, np.float32(0)).astype(np.float64)
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    chosen = exponentials[np.arange(len(outputs)), labels] / exponentials.sum(axis=1)
    return np.where(finite, chosen, 0.0).astype(np.float32)


def _hits(outputs: NDArray[np.float32], labels: NDArray[np.int64]) -> Scores:
    hits: NDArray[np.bool_] = (outputs.argmax(axis=1) == labels) & _finite(outputs)
    return hits.astype(np.float32)


def _finite(outputs: NDArray[np.float32]) -> NDArray[np.bool_]:
    finite: NDArray[np.bool_] = np.asarray(np.isfinite(outputs).all(axis=tuple(range(1, outputs.ndim))))
    return finite


def _dense_labels(dense: NDArray[np.float32]) -> NDArray[np.int64]:
    broken = np.flatnonzero(~_finite(dense))
    if len(broken):
        raise FixInputError(f"the dense model outputs NaN or infinity on image {broken[0]}; check its weights")
    labels: NDArray[np.int64] = dense.argmax(axis=1).astype(np.int64)
    return labels


def _check(outputs: NDArray[np.float32], user: str, count: int) -> None:
    if outputs.ndim != 2 or outputs.shape[1] < 2:
        raise FixInputError(
            f"{user} needs outputs of shape [n, classes] and the model gives {['n', *outputs.shape[1:]]}; "
            'set [data] metric = "file.py:callable"'
        )
    if len(outputs) != count:
        raise ValueError(f"{len(outputs)} outputs for {count} images")


def _check_labels(labels: NDArray[np.int64], outputs: NDArray[np.float32]) -> None:
    if len(labels) and int(labels.max()) >= outputs.shape[1]:
        raise FixInputError(
            f"there are labels up to {int(labels.max())} and the model has {outputs.shape[1]} outputs; "
            "use the data that the model was trained on"
        )
