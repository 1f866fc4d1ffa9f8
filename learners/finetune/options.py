"""How a finalist is trained."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class TrainingOptions:
    """What the study file says of training, and the study's seed."""

    rate: float  # highest learning rate, of numbers around 1 (`TrainedLayer`)
    batch: int  # images of a step
    distill: bool  # whether the dense model teaches
    features: str  # what else of it is taught: "none", "hidden", "fsp"
    augment: str  # key into learners.finetune.augment.AUGMENTATIONS
    images: int | None  # of an epoch, at most
    seed: int
