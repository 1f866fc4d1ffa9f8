"""How often the codes of a layer occur: what entropy coding makes of its size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from learners.base import LevelWeights
from learners.export.packing import MAP_BITS
from learners.graph.layers import INDEX_MAP, Layer

Counts = npt.NDArray[np.int64]


@dataclass(frozen=True)
class CodeCounts:
    """Counts [rows, 2^bits] of every width at every level of what a layer reads, or at the first alone: of several
    groups, and before anything is built. None for a width without codes."""

    variants: tuple[tuple[Counts | None, ...], ...]

    def of(self, variant: int, width: int, rows: npt.NDArray[np.bool_]) -> Counts | None:
        """Counts [2^bits] of the rows that stay."""
        counts = self.variants[variant if variant < len(self.variants) else 0][width]
        return None if counts is None else counts[rows].sum(axis=0)


def count_codes(layer: Layer, variants: Sequence[Sequence[LevelWeights]]) -> CodeCounts:
    """Of a layer at every level of what it reads, at every width; of an index map as a quantised file holds it."""
    return CodeCounts(tuple(tuple(_count(layer, level) for level in widths) for widths in variants))


def _count(layer: Layer, level: LevelWeights) -> Counts | None:
    codes, bits = level.codes, level.bits
    if layer.kind == INDEX_MAP and codes is None:
        assert level.values is not None
        codes, bits = level.values.to(torch.uint8), MAP_BITS
    if codes is None:
        return None
    rows = codes.numpy().reshape(len(codes), -1)
    places = rows.astype(np.int64) + (np.arange(len(rows)) << bits)[:, None]
    return np.bincount(places.reshape(-1), minlength=len(rows) << bits).reshape(len(rows), 1 << bits).astype(np.int64)
