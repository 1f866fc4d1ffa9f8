"""The workload as one object: model, subsets, metric and content hash."""

from __future__ import annotations

import hashlib
import json
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import nn

from objectives.metric import CallableMetric, Metric, resolve_metric
from objectives.workload.arrays import open_arrays
from objectives.workload.digits import open_digits
from objectives.workload.factory import load_callable
from objectives.workload.images import open_images
from objectives.workload.model import build_model
from objectives.workload.python import open_python
from objectives.workload.sources import sources_digest
from objectives.workload.splits import Split, Splits
from objectives.workload.subsets import FEW_CONFIRMATION, Subset, choose, divide
from storage.errors import FixInputError
from storage.records.config import StudyConfig

MIN_VAL = 20  # fewer images cannot tell candidates apart at all
FEW_QUICK = 256  # below, quick scores rank noisily (design section 4)
MAX_SUBSET_BYTES = 4 * 2**30  # of one subset as float32 in memory

# Streams of the study's seed.
_TRAIN_STREAM, _VAL_STREAM = 0, 1


class Workload:
    """Builds the model and the subsets from names alone, here or in a worker.

    `open_workload` has read the layout of the data; images are decoded, once, when a subset is first asked
    for. The calibration subset is of the train split; quick, rescoring and confirmation are disjoint parts of val.
    Test images are never read.
    """

    def __init__(self, config: StudyConfig, splits: Splits) -> None:
        train, val = splits.train, splits.val
        if len(val) < MIN_VAL:
            raise FixInputError(f"the val split has {len(val)} images; at least {MIN_VAL} are needed, 1000 do well")
        if len(train) == 0:
            raise FixInputError("the train split is empty; calibration needs images, 256 do well")
        self.config = config
        self.classes = splits.classes  # names in the order of the labels; empty without labels
        self.metric: Metric = resolve_metric(config.data.metric, labelled=val.labels is not None)
        self._splits = splits
        most = MAX_SUBSET_BYTES // (int(np.prod(self.input_shape)) * np.dtype(np.float32).itemsize)
        self._calibration = choose(
            len(train), train.labels, min(config.data.calibration, most), config.seed, _TRAIN_STREAM
        )
        quick, rescore = (min(count, most) for count in (config.data.quick, config.data.rescore))
        division = divide(len(val), val.labels, quick, rescore, config.seed, _VAL_STREAM)
        self._quick, self._rescoring = division.quick, division.rescoring
        self._confirmation = division.confirmation[:most]  # still stratified: every slice of the order is
        self.notes = self._make_notes(len(division.confirmation))  # warnings for the user, one line each

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one sample, without the batch axis."""
        return self.config.model.input

    def model(self) -> nn.Module:
        """The dense model, built anew; see `build_model` for what is checked.

        ValueError for a captured graph, which `learners.captured` opens.
        """
        return build_model(self.config.model, self.config.seed)

    @property
    def training(self) -> Split:
        """All training images, for fine-tuning; calibration takes some of them."""
        return self._splits.train

    @cached_property
    def calibration(self) -> Subset:
        """Training images for Gram matrices and activation ranges."""
        return _subset(self._splits.train, self._calibration)

    @cached_property
    def quick(self) -> Subset:
        """Validation images of the quick score."""
        return _subset(self._splits.val, self._quick)

    @cached_property
    def rescoring(self) -> Subset | None:
        """Validation images of the second score; None where they are too few, or none are wanted."""
        return _subset(self._splits.val, self._rescoring) if len(self._rescoring) else None

    @cached_property
    def confirmation(self) -> Subset:
        """Validation images that no score of the search sees."""
        return _subset(self._splits.val, self._confirmation)

    @cached_property
    def library_hash(self) -> str:
        """Hash of what a level library is made from: the model, its weights and the calibration images."""
        return self._hash({"calibration": self._calibration})

    @cached_property
    def content_hash(self) -> str:
        """Hash of the model, its weights, the metric and all chosen images and labels."""
        return self._hash(
            {
                "calibration": self._calibration,
                "quick": self._quick,
                "rescoring": self._rescoring,
                "confirmation": self._confirmation,
            },
            sources_digest(self.metric.function)
            if isinstance(self.metric, CallableMetric)
            else self.metric.name.encode(),
        )

    def _hash(self, chosen: dict[str, NDArray[np.int64]], metric: bytes = b"") -> str:
        model, data = self.config.model, self.config.data
        digest = hashlib.sha256()
        facts = [self.config.seed, model.input, data.mean, data.std]
        digest.update(hashlib.sha256(json.dumps(facts).encode()).digest())
        digest.update(hashlib.sha256(metric).digest())
        if model.factory is not None:
            digest.update(sources_digest(load_callable(model.factory)))
        for key in ("weights", "graph"):
            path = getattr(model, key)
            if path is not None:
                digest.update(_file_digest(Path(path), key))
        for name, indices in chosen.items():
            if not len(indices):
                continue  # as versions without a second score wrote it
            split = self._splits.train if name == "calibration" else self._splits.val
            digest.update(split.digest(indices))
            labels = split.labels
            content = b"" if labels is None else labels[indices].astype("<i8").tobytes()
            digest.update(hashlib.sha256(content).digest())
        return digest.hexdigest()

    def _make_notes(self, left: int) -> tuple[str, ...]:
        quick, confirmation = len(self._quick), len(self._confirmation)
        notes = []
        if quick < FEW_QUICK:
            notes.append(f"the quick score uses {quick} images: with fewer than {FEW_QUICK} its ranking is noisy")
        if confirmation < FEW_CONFIRMATION:
            notes.append(
                f"the confirmation uses {confirmation} images: with fewer than {FEW_CONFIRMATION} "
                "drops of a point are within its noise"
            )
        if confirmation < left:
            notes.append(
                f"the confirmation uses {confirmation} of {left} images, which fill "
                f"{MAX_SUBSET_BYTES / 2**30:g} GiB of memory"
            )
        return tuple(notes)


def open_workload(config: StudyConfig) -> Workload:
    """Open the data that `config` names and choose the subsets.

    FixInputError, one line, for data that is missing, of another layout, or too small. The model is built,
    and checked, by `Workload.model`.
    """
    data, shape = config.data, config.model.input
    if data.kind == "images":
        splits = open_images(Path(data.path or ""), shape, data.mean, data.std)
    elif data.kind == "digits":
        splits = open_digits(data.mean, data.std)
    elif data.kind == "arrays":
        splits = open_arrays(Path(data.path or ""), shape)
    else:
        splits = open_python(data.factory or "", shape, config.seed)
    return Workload(config, splits)


def _subset(split: Split, indices: NDArray[np.int64]) -> Subset:
    labels = split.labels
    return Subset(images=split.batch(indices), labels=None if labels is None else labels[indices])


def _file_digest(path: Path, key: str) -> bytes:
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").digest()
    except OSError as error:
        raise FixInputError(f"{path}: cannot be read: {error.strerror or error}; set [model] {key}") from error
