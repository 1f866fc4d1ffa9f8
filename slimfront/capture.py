"""Live models and data as files of the home, so that workers, a resume and an export need neither object."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from torch import nn

from dashboards.units import size
from learners.captured import capture_model
from objectives.workload.arrays import keep_arrays
from objectives.workload.batches import Reader
from objectives.workload.factory import describe
from objectives.workload.seeding import seeded
from objectives.workload.splits import ArraySplit
from searcher.progress import Progress
from storage.errors import FixInputError
from storage.home import Home

if TYPE_CHECKING:
    from torch.utils.data import Dataset

Samples: TypeAlias = "Iterable[Any] | Dataset[Any]"  # (images, labels), images, a dataset, or batches of them

DEFAULT_TRAIN_IMAGES = 2048  # where nothing is trained: calibration takes 256
ENDLESS = 1_000_000  # images without an end in sight: no validation split is that large
STAGE = "capturing"


@dataclass(frozen=True)
class Limits:
    """How much is kept."""

    train_images: int | None  # None: all
    val_images: int | None  # None: all


@dataclass(frozen=True)
class Captured:
    """Where the model and the data of a study lie from now on."""

    graph: Path
    arrays: Path
    input: tuple[int, ...]  # shape of one sample


def capture(
    home: Home,
    model: nn.Module,
    train: Samples,
    val: Samples,
    test: Samples | None,
    limits: Limits,
    seed: int,
    progress: Progress,
) -> Captured:
    """Runs the loaders once, traces the model and writes both.

    Random draws of the loaders follow `seed`, so that the same objects give the same files again. FixInputError, one
    line, for what cannot be used.
    """
    progress.update(STAGE, 0, 3, "train")
    fewer = "give train_images=N, which takes the first N of a loader"
    taken = Reader("train", None, most_images=limits.train_images, endless=ENDLESS, fewer=fewer, seed=seed)
    first = _read(taken, train, seed)
    shape = first.images.shape[1:]
    progress.update(STAGE, 1, 3, "the model")
    graph = capture_model(home.captured, model, shape)
    progress.update(STAGE, 2, 3, "val")
    reader = Reader(
        "val",
        shape,
        asked="those of train are",
        most_images=limits.val_images,
        endless=ENDLESS,
        fewer="give val_images=N, which takes the first N of a loader",
        seed=seed,
    )
    second = _read(reader, val, seed)
    third = None
    if test is not None:
        fewer = "give fewer images"
        third = _read(Reader("test", shape, asked="those of train are", endless=ENDLESS, fewer=fewer), test, seed)
    arrays = keep_arrays(home.captured, first, second, third)
    progress.update(STAGE, 3, 3)
    counts = [f"{len(first)} images of train", f"{len(second)} of val"]
    counts += [f"{len(third)} of test"] if third is not None else []
    held = size(sum(split.images.nbytes for split in (first, second, third) if split is not None))
    progress.event(f"captured the model, {', '.join(counts[:-1])} and {counts[-1]} ({held})")
    for note in _notes(first, second):
        progress.event(note)
    return Captured(graph, arrays, shape)


def _read(reader: Reader, samples: Samples, seed: int) -> ArraySplit:
    with seeded(seed):
        try:
            return reader.read(samples)
        except FixInputError:
            raise
        except Exception as error:  # the user's own code
            raise FixInputError(f"{reader.where} raised {describe(error, None)}; it must give its images") from error


def _notes(train: ArraySplit, val: ArraySplit) -> list[str]:
    """What a user should know of what was captured."""
    if train.labels is None or val.labels is None:
        return []
    wanted, found = np.unique(val.labels), np.unique(train.labels)
    missing = len(np.setdiff1d(wanted, found))
    if not missing:
        return []
    return [
        f"the images of train hold {len(wanted) - missing} of the {len(wanted)} classes of val: let its loader "
        "shuffle, or raise train_images"
    ]
