"""Trains the demo's network: a few seconds on one core, the same weights each time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from learners.device import single_thread
from objectives.workload.digits import digits_part
from objectives.workload.seeding import seeded
from storage.files import atomic_write

SEED = 0
EPOCHS = 6  # 98 % of the digits; more leaves 2 bits nothing to lose
BATCH = 64
LEARNING_RATE = 4e-3  # peak of a one-cycle schedule
WEIGHT_DECAY = 1e-3
SHIFT = 1  # pixels that an image may move each way: 1,078 images are few


def train(make_model: Callable[[], nn.Module], path: Path, progress: Callable[[int, int], None]) -> None:
    """Trains on the digits' train part (val and test stay unseen) and writes the state dict as safetensors.

    `progress` is told how many of how many epochs are done.
    """
    from safetensors.torch import save

    part = digits_part("train")
    assert part.labels is not None
    images, labels = torch.from_numpy(part.images), torch.from_numpy(part.labels)
    with single_thread(), seeded(SEED):
        model = make_model()
        order = np.random.default_rng(SEED)
        optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
        steps = EPOCHS * (len(images) // BATCH)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, total_steps=steps)
        model.train()
        for epoch in range(EPOCHS):
            progress(epoch, EPOCHS)
            chosen = torch.from_numpy(order.permutation(len(images)))
            for start in range(0, len(images) - BATCH + 1, BATCH):
                batch = chosen[start : start + BATCH]
                loss = F.cross_entropy(model(_shifted(images[batch], order)), labels[batch])
                optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
                schedule.step()
        progress(EPOCHS, EPOCHS)
    atomic_write(path, save({name: value.contiguous() for name, value in model.state_dict().items()}))


def _shifted(images: torch.Tensor, order: np.random.Generator) -> torch.Tensor:
    """The batch [n, c, h, w] moved by up to SHIFT pixels, zeros coming in."""
    down, right = (int(step) for step in order.integers(0, 2 * SHIFT + 1, 2))
    height, width = images.shape[2:]
    padded = F.pad(images, (SHIFT, SHIFT, SHIFT, SHIFT))
    return padded[:, :, down : down + height, right : right + width]
