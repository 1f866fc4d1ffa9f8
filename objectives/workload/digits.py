"""Data of kind "digits": the 1,797 handwritten digits of scikit-learn, 8 x 8 pixels, one channel."""

from __future__ import annotations

from typing import Literal

import numpy as np

from objectives.workload.images import normalise
from objectives.workload.splits import ArraySplit, Splits
from objectives.workload.subsets import stratified_order

CLASSES = tuple(str(digit) for digit in range(10))
FULL_PIXEL = 16.0
SHARES = (("train", 0.6), ("val", 0.2), ("test", 0.2))
# The parts do not depend on a study's seed: a model trained on one study's train part must not meet those
# images again in another study's val part.
SPLIT_SEED = 0

Part = Literal["train", "val", "test"]


def digits_part(part: Part, mean: tuple[float, ...] = (0.0,), std: tuple[float, ...] = (1.0,)) -> ArraySplit:
    """One part of the digits, stratified: train 1,078, val 360, test 359; images [n, 1, 8, 8].

    (pixel / 16 - mean) / std.
    """
    from sklearn.datasets import load_digits

    data = load_digits()
    labels = np.asarray(data.target, dtype=np.int64)
    order = stratified_order(len(labels), labels, SPLIT_SEED)
    start = 0.0
    for name, share in SHARES:
        if name == part:
            break
        start += share
    chosen = order[round(start * len(labels)) : round((start + share) * len(labels))]
    pixels = np.asarray(data.images, dtype=np.float32)[chosen, None]
    return ArraySplit(images=normalise(pixels, FULL_PIXEL, mean, std), labels=labels[chosen])


def open_digits(mean: tuple[float, ...], std: tuple[float, ...]) -> Splits:
    """The train and val parts of the digits."""
    return Splits(train=digits_part("train", mean, std), val=digits_part("val", mean, std), classes=CLASSES)
