"""The fits of a library as a task for workers: a job is a layer."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from learners.base import GroupLearner, LevelWeights, WeightLearner
from learners.channel.consumers import row_powers, unit_columns
from learners.channel.coupling import Coupling
from learners.channel.group_levels import GroupLevels
from learners.device import single_thread
from learners.gram import AnyGram
from learners.library.adapt import Variant, adapt_layer, consumer_of
from learners.library.costs import LayerErrors
from learners.library.wiring import Wiring, kept_columns


@dataclass(frozen=True)
class Fit:
    """A layer at every level of what it reads, and what that costs."""

    variants: tuple[Variant, ...]
    errors: LayerErrors


@dataclass(frozen=True, eq=False)
class FitJob:
    """A layer to be fitted. It takes its own tensors along, so that no worker holds all Gram matrices of a model."""

    wiring: Wiring
    weight: torch.Tensor  # float32, in the layer's shape; all tensors are on the device
    bias: torch.Tensor | None  # float32 [out]
    statistics: AnyGram


@dataclass(frozen=True, eq=False)
class FitTask:
    """Adapts layers to every level."""

    coupling: Coupling
    groups: tuple[GroupLevels, ...]
    channels: GroupLearner | None
    weights: WeightLearner | None

    def open(self) -> FitTask:
        """See `Task.open`."""
        return self

    @property
    def patience(self) -> float:
        """Without end: it is our own work, which ends; a fit of a wide layer takes minutes."""
        return math.inf

    @property
    def threads(self) -> None:
        """Torch's one: a fit must not depend on how many there are."""

    def run(self, jobs: Sequence[FitJob]) -> Iterator[Fit]:
        """See `Runner.run`."""
        for job in jobs:
            with single_thread(), torch.no_grad():
                fit = self._fit(job)
            yield fit

    def _fit(self, job: FitJob) -> Fit:
        """A layer for every level of the group that it reads; of several groups for the dense inputs, with each group's
        own error."""
        coupling, groups, channels, weights = self.coupling, self.groups, self.channels, self.weights
        wiring, bias = job.wiring, job.bias
        layer = wiring.layer
        consumer = consumer_of(layer, job.weight, job.statistics, unit_columns(layer, coupling))
        pruned: dict[int, npt.NDArray[np.float64]] = {}
        found = [adapt_layer(consumer, bias, torch.arange(layer.columns), channels, weights)]
        for source in wiring.sources:
            lost = [found[0].pruned]
            for level in range(1, len(groups[source].counts)):
                columns = kept_columns(wiring, coupling, groups[source].removed(level))
                alone = weights if len(wiring.sources) == 1 else None
                variant = adapt_layer(consumer, bias, columns, channels, alone)
                lost.append(variant.pruned)
                if len(wiring.sources) == 1:
                    found.append(variant)
            pruned[source] = torch.stack(lost).numpy()
        rounded = np.stack([np.stack([_rows(level) for level in variant.levels]) for variant in found])
        power = row_powers(consumer.weight, job.statistics).reshape(-1).cpu().numpy()
        return Fit(tuple(found), LayerErrors(power, pruned, rounded))


def _rows(level: LevelWeights) -> npt.NDArray[np.float64]:
    assert level.row_errors is not None
    array: npt.NDArray[np.float64] = level.row_errors.numpy()
    return array
