"""The test split: for the certificate alone, and opened by nothing else."""

from __future__ import annotations

import hashlib
from pathlib import Path

from objectives.workload.arrays import open_test_arrays
from objectives.workload.digits import digits_part
from objectives.workload.images import open_test_images
from objectives.workload.python import open_test_python
from objectives.workload.splits import Split
from storage.errors import FixInputError
from storage.records.config import StudyConfig

LEAST_IMAGES = 20  # as of a val split


def open_test(config: StudyConfig) -> Split:
    """The test split of a study's data, as nothing is decoded yet. FixInputError, one line, where there is none."""
    data, shape = config.data, config.model.input
    split: Split
    if data.kind == "images":
        split = open_test_images(Path(data.path or ""), shape, data.mean, data.std)
    elif data.kind == "digits":
        split = digits_part("test", data.mean, data.std)
    elif data.kind == "arrays":
        split = open_test_arrays(Path(data.path or ""), shape)
    else:
        split = open_test_python(data.factory or "", shape, config.seed)
    if len(split) < LEAST_IMAGES:
        raise FixInputError(f"the test split has {len(split)} images; a certificate needs at least {LEAST_IMAGES}")
    return split


def split_hash(split: Split) -> str:
    """SHA-256 in hex over all images, as they are stored, and their labels.

    It does not depend on their order, so that neither new names of files nor a loader that shuffles makes a split that
    was looked at look new.
    """
    labels = [b""] * len(split) if split.labels is None else [label.tobytes() for label in split.labels.astype("<i8")]
    images = sorted(split.digest([index]) + labels[index] for index in range(len(split)))
    return hashlib.sha256(b"".join(images)).hexdigest()
