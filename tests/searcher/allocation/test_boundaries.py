"""Conversions as allocation counts them: exact where one precision prevails, never too little."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from searcher.allocation.boundaries import separable
from searcher.allocation.problem import Problem
from storage.records.latency import LatencyFactor, LatencyTable
from storage.records.space import QUANT, SearchSpace
from tests.searcher.spaces import chain

COST = 0.5


def with_boundaries(space: SearchSpace, table: LatencyTable) -> LatencyTable:
    """The table with a conversion between every two layers that follow each other."""
    widths = [index for index, site in enumerate(space.sites) if site.learner == QUANT]
    factors = []
    for maker, reader in pairwise(widths):
        cells = tuple(
            COST if (first.bits == 32) != (second.bits == 32) else 0.0
            for first in space.sites[maker].levels
            for second in space.sites[reader].levels
        )
        factors.append(LatencyFactor(f"{maker} to {reader}", (maker, reader), cells))
    return replace(table, factors=(*table.factors, *factors))


SPACE, PLAIN = chain()
TABLE = with_boundaries(SPACE, PLAIN)
DENSE = (0,) * len(SPACE.sites)
W8 = SPACE.uniform_bits(8)


def allocated(table: LatencyTable, levels: tuple[int, ...]) -> float:
    return Problem.build(SPACE, table).cost("latency", levels)


def test_no_factor_has_two_widths() -> None:
    for factor in separable(SPACE, TABLE):
        assert sum(SPACE.sites[site].learner == QUANT for site in factor.sites) <= 1
    assert separable(SPACE, PLAIN) == PLAIN.factors


def test_it_is_exact_where_float_layers_stand_alone() -> None:
    widths = [index for index, site in enumerate(SPACE.sites) if site.learner == QUANT]
    alone = list(W8)
    alone[widths[1]] = 0
    for levels in (W8, tuple(alone)):
        assert allocated(TABLE, levels) == pytest.approx(TABLE.milliseconds(SPACE, levels))
    assert TABLE.milliseconds(SPACE, tuple(alone)) > PLAIN.milliseconds(SPACE, tuple(alone)) + COST


def test_where_float_is_faster_int8_layers_pay() -> None:
    slow = replace(TABLE, factors=tuple(_slowed(item) for item in TABLE.factors))
    assert slow.milliseconds(SPACE, W8) > slow.milliseconds(SPACE, DENSE)
    assert allocated(slow, DENSE) == pytest.approx(slow.milliseconds(SPACE, DENSE))


def _slowed(factor: LatencyFactor) -> LatencyFactor:
    """Five times as slow in int8."""
    if sum(SPACE.sites[site].learner == QUANT for site in factor.sites) != 1:
        return factor
    shape = [len(SPACE.sites[site].levels) for site in factor.sites]
    cells = np.array(factor.milliseconds).reshape(shape)
    (axis,) = (axis for axis, site in enumerate(factor.sites) if SPACE.sites[site].learner == QUANT)
    moved = np.moveaxis(cells, axis, 0)
    moved[1:] *= 5
    return replace(factor, milliseconds=tuple(float(value) for value in cells.ravel()))


def test_it_never_says_less_than_the_table() -> None:
    generator = np.random.default_rng(0)
    for _ in range(200):
        levels = tuple(int(generator.integers(len(site.levels))) for site in SPACE.sites)
        assert allocated(TABLE, levels) >= TABLE.milliseconds(SPACE, levels) - 1e-9
