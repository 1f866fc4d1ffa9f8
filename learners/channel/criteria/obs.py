"""Structured optimal brain surgeon: removes what the readers can best make up for, one after the other.

Hassibi and Stork 1993; for groups of weights Kurtic et al. 2023, "ZipLM" (2302.04089), algorithm 1, applied to the
columns of the layers that read a channel: with A the inverse covariance of a reader's inputs and S the columns of a
unit, its removal costs tr(W_S A_SS^-1 W_S'), after which W and A are those of the inputs that are left. The costs,
relative to each reader's output, are summed over the readers.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from learners.channel.consumers import Consumer, can_reconstruct
from learners.channel.criteria.base import CriterionInput
from learners.channel.groups import ChannelGroup
from learners.channel.reconstruct import NOT_FINITE
from learners.gram import Gram
from storage.errors import GiveUpError

DAMPING = 1e-2  # share of the mean variance added to the diagonal: the order need not be exact, and must be stable
SMALLEST_VARIANCE = 1e-10
NOT_DEFINITE = (
    "rounding hides how its inputs on the calibration images vary beside their mean: scale the images to a mean near "
    '0, or take another [search] criterion, such as "l2"'
)
ROUNDS = 96  # of removals for a group at most; more units go in several at a time


class ObsCriterion:
    """See the module."""

    name = "obs"
    recipe = "obs-1"
    needs_classes = False

    def order(self, group: ChannelGroup, given: CriterionInput, fewest: int) -> Sequence[int]:
        """See `Criterion.order`."""
        names = dict.fromkeys(item.layer.name for unit in group.units for item in given.consumers.get(unit, ()))
        by_name = {item.layer.name: item for unit in group.units for item in given.consumers.get(unit, ())}
        readers = [_reader(by_name[name], group.units) for name in names]
        left = [len(item) for item in group.together]
        staying = list(group.units)
        removed: list[int] = []
        at_once = max(1, (len(group.units) - fewest) // ROUNDS)
        while len(staying) > fewest:
            costs = (
                torch.stack([reader.costs(staying) for reader in readers]).sum(0)
                if readers
                else torch.zeros(len(staying), dtype=torch.float64)
            )
            chosen: list[int] = []
            for place in costs.argsort(stable=True).tolist():
                unit = staying[place]
                touched = [index for index, item in enumerate(group.together) if unit in item]
                if all(left[index] > 1 for index in touched):
                    chosen.append(unit)
                    for index in touched:
                        left[index] -= 1
                if len(chosen) == min(at_once, len(staying) - fewest):
                    break
            if not chosen:
                break
            for unit in chosen:
                staying.remove(unit)
                for reader in readers:
                    reader.remove(unit)
            removed += chosen
        return removed


def _reader(consumer: Consumer, units: Sequence[int]) -> _FittedReader | _PlainReader:
    return _FittedReader(consumer, units) if can_reconstruct(consumer) else _PlainReader(consumer, units)


class _FittedReader:
    """A reader whose weights are fitted anew after each removal."""

    def __init__(self, consumer: Consumer, units: Sequence[int]) -> None:
        gram = consumer.gram
        assert isinstance(gram, Gram)
        covariance = gram.covariance
        variance = covariance.diagonal(dim1=1, dim2=2)
        damping = (variance.mean(1) * DAMPING).clamp(min=SMALLEST_VARIANCE)
        damped = covariance + torch.diag_embed(damping[:, None].expand_as(variance))
        factor, failed = torch.linalg.cholesky_ex(damped)
        name = consumer.layer.name
        if not bool(torch.isfinite(damped).all()):
            raise GiveUpError(f"layer {name}: {NOT_FINITE}; keep = [{name!r}] leaves it as it is")
        if bool(failed.any()):
            raise GiveUpError(f"layer {name}: {NOT_DEFINITE}; keep = [{name!r}] leaves it as it is")
        self._inverse = torch.cholesky_inverse(factor)
        self._weight = consumer.weight.clone()
        self._columns = {unit: consumer.columns[unit] for unit in units if unit in consumer.columns}
        self._power = consumer.power

    def costs(self, units: Sequence[int]) -> torch.Tensor:
        """What removing each of `units` would cost, relative to the output's variance; 0 where it reads none of it."""
        found = torch.zeros(len(units), dtype=torch.float64)
        by_size: dict[int, list[int]] = {}
        for place, unit in enumerate(units):
            if unit in self._columns:
                by_size.setdefault(len(self._columns[unit]), []).append(place)
        for places in by_size.values():
            columns = torch.stack([self._columns[units[place]] for place in places])  # [units, size]
            weight = self._weight[:, :, columns].permute(0, 2, 3, 1)  # [groups, units, size, rows]
            block = self._inverse[:, columns[:, :, None], columns[:, None, :]]  # [groups, units, size, size]
            solved = torch.linalg.solve(block, weight)
            found[places] = (solved * weight).sum((0, 2, 3)).cpu() / self._power
        return found

    def remove(self, unit: int) -> None:
        """Takes a unit out of the inputs."""
        columns = self._columns.pop(unit, None)
        if columns is None:
            return
        rows = self._inverse[:, columns]  # [groups, size, columns]
        solved = torch.linalg.solve(rows[:, :, columns], rows)
        self._weight -= self._weight[:, :, columns] @ solved
        self._inverse -= rows.transpose(1, 2) @ solved


class _PlainReader:
    """A reader whose weights stay as they are: it loses the variance that the unit brought."""

    def __init__(self, consumer: Consumer, units: Sequence[int]) -> None:
        variance = consumer.gram.variance
        loss = (consumer.weight.square() * variance[:, None, :]).sum((0, 1))
        self._costs = {
            unit: float(loss[consumer.columns[unit]].sum()) / consumer.power
            for unit in units
            if unit in consumer.columns
        }

    def costs(self, units: Sequence[int]) -> torch.Tensor:
        """As of the fitted reader."""
        return torch.tensor([self._costs.get(unit, 0.0) for unit in units], dtype=torch.float64)

    def remove(self, unit: int) -> None:
        """Nothing else changes."""
