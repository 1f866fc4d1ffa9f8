"""What a study knows of its data: a training and a validation split. The test split has no place here."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Indices = Sequence[int] | NDArray[np.int64]


class Split(Protocol):
    """Images that are made ready only when asked for.

    First `labels` and `len` are read to choose subsets, then `digest` of the chosen images, then `batch`.
    """

    @property
    def labels(self) -> NDArray[np.int64] | None:
        """[len(self)] class indices, or None where there are no labels."""
        ...

    def __len__(self) -> int: ...

    def batch(self, indices: Indices) -> NDArray[np.float32]:
        """[len(indices), *input], normalised. FixInputError names an image that cannot be read."""
        ...

    def digest(self, indices: Indices) -> bytes:
        """SHA-256 over the contents of these images, in this order, as they are stored."""
        ...


@dataclass(frozen=True)
class Splits:
    """The two splits of a workload."""

    train: Split  # for calibration
    val: Split  # for the search
    classes: tuple[str, ...]  # names in the order of the labels; empty without labels


@dataclass(frozen=True, eq=False)
class ArraySplit:
    """A split whose images lie in memory, normalised already."""

    images: NDArray[np.float32]  # [n, *input]
    labels: NDArray[np.int64] | None  # [n]

    def __len__(self) -> int:
        return len(self.images)

    def batch(self, indices: Indices) -> NDArray[np.float32]:
        """[len(indices), *input], a copy."""
        return self.images[np.asarray(indices, dtype=np.int64)]

    def digest(self, indices: Indices) -> bytes:
        """SHA-256 over the values of these images, in this order."""
        digest = hashlib.sha256()
        for index in indices:
            digest.update(np.ascontiguousarray(self.images[index], dtype="<f4").tobytes())
        return digest.digest()
