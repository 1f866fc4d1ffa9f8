"""The training images of an epoch, in an order and with changes that only the seed and the epoch decide."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from learners.finetune.augment import AUGMENTATIONS
from learners.finetune.options import TrainingOptions
from objectives.workload.splits import Split

STREAM = 2  # of the study's seed; 0 and 1 choose the subsets


@dataclass(frozen=True)
class Batch:
    """Images ready for the model."""

    images: torch.Tensor  # float32 [n, *input]
    labels: torch.Tensor | None  # int64 [n]


class Batches:
    """Batches of a split. All finalists of a study see the same ones."""

    def __init__(self, split: Split, options: TrainingOptions) -> None:
        self._split = split
        self._options = options
        self.labels = split.labels is not None
        self.images = min(len(split), options.images or len(split))  # of an epoch

    @property
    def steps(self) -> int:
        """Batches of an epoch."""
        return max(1, self.images // self._options.batch)

    def epoch(self, number: int) -> Iterator[Batch]:
        """Those of epoch `number`. A last one that would be smaller is left out, unless it is the only one."""
        options, labels = self._options, self._split.labels
        generator = np.random.Generator(np.random.PCG64(np.random.SeedSequence([options.seed, STREAM, number])))
        order = np.argsort(generator.random(len(self._split)), kind="stable")[: self.images]
        change = AUGMENTATIONS[options.augment]
        for step in range(self.steps):
            chosen = order[step * options.batch : (step + 1) * options.batch]
            images = change(self._split.batch(chosen), generator)
            known = None if labels is None else torch.from_numpy(labels[chosen])
            yield Batch(torch.from_numpy(np.ascontiguousarray(images)), known)
