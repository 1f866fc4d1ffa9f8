"""What follows the channels without a layer, such as slopes, is counted in every place where a file holds it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from learners.analysis import analyse
from learners.device import single_thread
from learners.export.packing import INLINE_BYTES, pack_candidate
from learners.library.build import open_or_build
from storage.records.space import CHANNEL
from storage.slim import InputContract, pack
from tests.built import CALIBRATION_IMAGES, FEW_WIDTHS, SEED

SHAPE = (1, 8, 8)
SHARE = 0.02  # of a file, as promised
BYTE_BITS = 8


class Slopes(nn.Module):
    """Two convolutions with a slope for each channel, the second twice as wide; equal slopes, or not."""

    def __init__(self, width: int, *, equal: bool) -> None:
        super().__init__()
        self.stem, self.first = nn.Conv2d(1, width, 3, padding=1), nn.PReLU(width)
        self.body, self.second = nn.Conv2d(width, 2 * width, 3, padding=1, stride=2), nn.PReLU(2 * width)
        self.head = nn.Linear(2 * width, 10)
        if not equal:
            for slopes in (self.first.weight, self.second.weight):
                nn.init.uniform_(slopes, 0.05, 0.4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(self.stem(x))
        logits: torch.Tensor = self.head(self.second(self.body(x)).mean((2, 3)))
        return logits


# Slopes of 12 channels stay in the template, those of 24 do not, those of 20 do once some channels are gone.
@pytest.mark.parametrize("width", [12, 20, 24])
@pytest.mark.parametrize("equal", [True, False])
def test_sizes_with_slopes_are_predicted_at_every_level(width: int, equal: bool, tmp_path: Path) -> None:
    assert 4 * 12 <= INLINE_BYTES < 4 * 20
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        model, images = Slopes(width, equal=equal).eval(), torch.randn(CALIBRATION_IMAGES, *SHAPE)
    with single_thread():
        analysis = analyse(model, SHAPE, (), SEED)
    library = open_or_build(tmp_path, analysis, images.numpy(), FEW_WIDTHS, SEED, lambda *_: None)
    space = library.space
    groups = [index for index, site in enumerate(space.sites) if site.learner == CHANNEL]
    deepest = max(len(space.sites[index].levels) for index in groups)
    assert deepest > 3
    for level in range(deepest):
        levels = list(space.uniform_bits(BYTE_BITS))
        for index in groups:
            levels[index] = min(level, len(space.sites[index].levels) - 1)
        chosen = library.choose(tuple(levels), library.id)
        size = len(pack(pack_candidate(analysis, chosen, library.ranges, InputContract(SHAPE, (0.0,), (1.0,)))))
        assert space.size_bytes(levels) == pytest.approx(size, rel=SHARE)
