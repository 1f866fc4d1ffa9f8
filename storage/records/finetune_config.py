"""The table [finetune] of a study file, and [certificate]."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from storage.records.config_errors import problem
from storage.records.config_table import MAX_BATCH, Count, Real, Table

MOST_FINALISTS = 24  # as many as a front has rows
MOST_EPOCHS = 10_000
MOST_RATE = 1.0  # of numbers around 1
DEFAULT_RATE = 0.006
LEAST_CONFIDENCE = 0.5
IMAGE_AXES = 3  # of a sample

Augmentation = Literal["auto", "none", "flip", "crop", "crop+flip"]


class FinetuneConfig(Table):
    """Whether and how the best candidates are trained once they are confirmed."""

    finalists: Annotated[Count, Field(le=MOST_FINALISTS)] = 4  # candidates that are trained
    epochs: Annotated[Count, Field(le=MOST_EPOCHS)] = 1  # of each finalist, before half of them go on
    final_epochs: Annotated[Count, Field(le=MOST_EPOCHS)] = 10  # in all, of those that go on
    baseline: Annotated[bool, Field(strict=True)] = False  # whether the uniform plan at the target is trained, too
    distill: Annotated[bool, Field(strict=True)] = True  # whether the dense model teaches, beside the labels
    features: Literal["none", "hidden", "fsp"] = "none"  # what of the dense model's inside is taught, too
    lr: Annotated[Real, Field(gt=0, le=MOST_RATE)] = DEFAULT_RATE  # the highest
    batch: Annotated[Count, Field(ge=2, le=MAX_BATCH)] = 128
    augment: Augmentation = "auto"  # "auto": crop+flip of RGB images, else none
    images: Count | None = None  # of an epoch, drawn anew for each; None: all training images

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.final_epochs < self.epochs:
            raise problem(("final_epochs",), f"= {self.final_epochs} is less than epochs = {self.epochs}; give as many")
        if self.features != "none" and not self.distill:
            raise problem(("features",), f'= "{self.features}" needs the dense model; remove distill = false')
        return self

    def check_input(self, shape: Sequence[int]) -> None:
        """Refuses to change what is no image; `shape` is one sample's."""
        if self.augment not in ("auto", "none") and len(shape) != IMAGE_AXES:
            raise problem(
                ("finetune", "augment"),
                f'= "{self.augment}" does not fit [model] input = {list(shape)}, which is no image; remove it',
            )


class CertificateConfig(Table):
    """Whether the study ends with its one look at the test split."""

    error: Annotated[Real, Field(gt=0, lt=1 - LEAST_CONFIDENCE)] = 0.05  # how often a certificate may be wrong
