"""Seeded, shuffled, stratified subsets: images often lie sorted by class, and samples are small."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RESCORING_PART = 4  # of the images that the quick score leaves, one in so many may go to the second score
FEW_CONFIRMATION = 1000  # below, a drop of a point is within the noise of the confirmation


@dataclass(frozen=True, eq=False)
class Subset:
    """Chosen images, ready for the model."""

    images: NDArray[np.float32]  # [n, *input], normalised
    labels: NDArray[np.int64] | None  # [n]; None where there are none

    def __len__(self) -> int:
        return len(self.images)


def stratified_order(total: int, labels: NDArray[np.int64] | None, seed: int, stream: int = 0) -> NDArray[np.int64]:
    """A permutation of range(total) every slice of which holds the classes about in their proportions.

    Each class is shuffled and spread evenly over the order, so that any slice is stratified. Without labels
    it is a plain shuffle. The same (seed, stream) gives the same order on any machine: it comes from the raw
    doubles of PCG64 by a stable sort, not from a library's shuffle, which may change.
    """
    keys = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, stream]))).random(total)
    if labels is None:
        return np.argsort(keys, kind="stable").astype(np.int64)
    if len(labels) != total:
        raise ValueError(f"{len(labels)} labels for {total} images")
    position = np.empty(total)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        shuffled = members[np.argsort(keys[members], kind="stable")]
        position[shuffled] = (np.arange(len(members)) + 0.5) / len(members)
    return np.lexsort((keys, position)).astype(np.int64)


def choose(total: int, labels: NDArray[np.int64] | None, count: int, seed: int, stream: int = 0) -> NDArray[np.int64]:
    """Indices of min(`count`, `total`) different images, shuffled and stratified over `labels`."""
    return stratified_order(total, labels, seed, stream)[:count]


@dataclass(frozen=True, eq=False)
class Division:
    """Indices of disjoint parts of the val split, each stratified."""

    quick: NDArray[np.int64]
    rescoring: NDArray[np.int64]  # empty where images are too few for it
    confirmation: NDArray[np.int64]  # all others


def divide(
    total: int, labels: NDArray[np.int64] | None, quick: int, rescore: int, seed: int, stream: int = 0
) -> Division:
    """Parts the val split: at most half of it for the quick score, a quarter of the rest for the second score.

    The second score leaves the confirmation `FEW_CONFIRMATION` images if there are as many, and there is none where it
    would be of fewer images than the first.
    """
    order = stratified_order(total, labels, seed, stream)
    first = min(quick, total // 2)
    rest = total - first
    second = min(rescore, rest // RESCORING_PART)
    if rest >= FEW_CONFIRMATION:
        second = min(second, rest - FEW_CONFIRMATION)
    if second < first:
        second = 0
    return Division(order[:first], order[first : first + second], order[first + second :])
