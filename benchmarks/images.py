"""Quick and held-out images that a seed draws, so that the spread over seeds tells of both."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from objectives.workload.subsets import Subset, choose
from searcher.stages.prepare import Prepared


def draw(prepared: Prepared, counts: Sequence[int], seed: int) -> list[Subset]:
    """Disjoint subsets of so many images each, stratified, of all those that a study scores or confirms on."""
    workload = prepared.workload
    parts = [part for part in (workload.quick, workload.rescoring, workload.confirmation) if part is not None]
    images = np.concatenate([part.images for part in parts])
    labels = np.concatenate([part.labels for part in parts if part.labels is not None])
    if sum(counts) > len(images):
        raise ValueError(f"{sum(counts)} images are wanted of {len(images)}")
    order = choose(len(images), labels, sum(counts), seed)
    bounds = np.cumsum([0, *counts])
    return [Subset(images[order[start:end]], labels[order[start:end]]) for start, end in pairwise(bounds)]
