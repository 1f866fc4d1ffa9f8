"""Networks that have no place in `tests.networks`: analysed and built on the spot."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import nn

from learners.analysis import analyse
from learners.base import Learner, LearnerOptions
from learners.channel.learner import ChannelLearner
from learners.device import single_thread
from learners.library.build import open_or_build
from learners.quant.learner import QuantLearner
from tests.built import Built

# Three widths in place of six: what the tests here are after does not depend on the number.
LEARNERS: tuple[Learner, ...] = (
    ChannelLearner(LearnerOptions()), QuantLearner(LearnerOptions(), widths=(8, 3)),
)  # fmt: skip
IMAGES = 16


def build_whole(
    folder: Path,
    model: nn.Module,
    shape: tuple[int, ...],
    learners: tuple[Learner, ...] = LEARNERS,
    keep: tuple[str, ...] = (),
) -> Built:
    """A network with its library, on random images."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(IMAGES, *shape, generator=generator).numpy().astype(np.float32)
    with single_thread():
        analysis = analyse(model, shape, keep, 0)
    library = open_or_build(folder, analysis, images, learners, 0, lambda *_: None)
    return Built("", model, library, images, shape)
