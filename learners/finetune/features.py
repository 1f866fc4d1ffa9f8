"""What the dense model teaches beside its outputs: hidden features, or how they flow (FSP, Yim et al. 2017)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from learners.analysis import Analysis
from learners.channel.surgery import Kept
from learners.graph.layers import Layer

WEIGHT = 0.5  # of it in the loss: the distances are relative ones
SMALLEST = 1e-12  # of what numbers are divided by
IMAGE_AXES = 4  # of [n, channels, height, width], which a layer makes whose weights have as many


@dataclass(frozen=True)
class Place:
    """A layer whose output is compared."""

    value: str  # its name in the graph
    kept: torch.Tensor  # int64: which of the dense model's channels the candidate has left


class FeatureLoss:
    """Compares a candidate under training with the dense model at the first and last layer of each image size.

    The channels that a candidate is without are left out of both, so that no adapter has to be learned. A model needs
    layers to compare, which `compared` lists.
    """

    def __init__(self, analysis: Analysis, kept: Kept, kind: str) -> None:
        """`kind` is "hidden", the squared distance at the last layers, or "fsp", that of the flow from the first to the
        last of each size."""
        self._fsp = kind == "fsp"
        self.pairs: Sequence[tuple[Place, Place]] = _pairs(analysis, kept)
        self.names = frozenset(place.value for pair in self.pairs for place in pair)

    def __call__(self, own: Mapping[str, torch.Tensor], dense: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """The mean distance, relative to the size of the dense model's; `own` and `dense` hold the values `names`."""
        losses = []
        for first, last in self.pairs:
            if self._fsp:
                found = flow(own[first.value].float(), own[last.value].float())
                wanted = flow(*(dense[place.value].float()[:, place.kept] for place in (first, last)))
            else:
                found, wanted = own[last.value].float(), dense[last.value].float()[:, last.kept]
            losses.append(F.mse_loss(found, wanted) / wanted.square().mean().clamp(min=SMALLEST))
        return WEIGHT * torch.stack(losses).mean()


def flow(first: torch.Tensor, last: torch.Tensor) -> torch.Tensor:
    """The FSP matrix [n, channels of the first, channels of the last] of two maps of one height and width: the mean
    over all places of the products of their channels (Yim et al. 2017, CVPR, equation 1)."""
    places = first.shape[2] * first.shape[3]
    product: torch.Tensor = first.flatten(2) @ last.flatten(2).transpose(1, 2)
    return product / places


def compared(analysis: Analysis) -> list[tuple[Layer, Layer]]:
    """Of each size of image the first and the last convolution, where these are two."""
    by_size: dict[tuple[int, ...], list[Layer]] = {}
    for layer in analysis.layers:
        if len(layer.shape) == IMAGE_AXES:
            count, _, *size = analysis.shapes[layer.node]  # of a sample: several images, where it is cut into windows
            by_size.setdefault((count, *size), []).append(layer)
    return [(layers[0], layers[-1]) for layers in by_size.values() if len(layers) > 1]


def _pairs(analysis: Analysis, kept: Kept) -> list[tuple[Place, Place]]:
    def place(layer: Layer) -> Place:
        left = np.flatnonzero(kept[analysis.coupling.outputs[layer.name]])
        return Place(layer.node, torch.from_numpy(left))

    return [(place(first), place(last)) for first, last in compared(analysis)]
