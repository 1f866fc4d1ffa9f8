"""Data of kind "arrays": a file of images and labels, as `slimfront.compress` captures them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray

from objectives.workload.batches import check_labelled, class_names
from objectives.workload.splits import ArraySplit, Splits
from objectives.workload.tensor_file import keep_tensors, open_tensors
from storage.errors import FixInputError

FORMAT = "slimfront-arrays-1"
PARTS = ("train", "val")
TEST = "test"
_KEY = "[data] path"


def keep_arrays(folder: Path, train: ArraySplit, val: ArraySplit, test: ArraySplit | None = None) -> Path:
    """Writes the splits into a file of `folder`, which is named by the hash of its content; returns its path.

    Errors as in `storage.content.keep_content`.
    """
    tensors: dict[str, torch.Tensor] = {}
    for part, split in zip((*PARTS, TEST), (train, val, test), strict=True):
        if split is None:
            continue
        tensors[f"{part}.images"] = torch.from_numpy(split.images).contiguous()
        if split.labels is not None:
            tensors[f"{part}.labels"] = torch.from_numpy(split.labels).contiguous()
    return keep_tensors(folder, tensors, FORMAT)


def open_arrays(path: Path, shape: tuple[int, ...]) -> Splits:
    """Both splits, memory-mapped.

    The file is a safetensors file of `train.images` and `val.images`, float32 [n, *shape], and, if there are labels,
    `train.labels` and `val.labels`, int64 [n]. FixInputError, one line, for anything else.
    """
    tensors, _ = open_tensors(path, _KEY)
    train, val = (_split(path, part, tensors, shape) for part in PARTS)
    return Splits(train=train, val=val, classes=class_names(train, val))


def open_test_arrays(path: Path, shape: tuple[int, ...]) -> ArraySplit:
    """The test split, `test.images` and `test.labels`, memory-mapped.

    FixInputError where there is none, or where it has labels and the val split has none, or the other way round: it
    would be judged by another metric.
    """
    tensors, _ = open_tensors(path, _KEY)
    if f"{TEST}.images" not in tensors:
        raise FixInputError(f"{path}: holds no test split, which a certificate needs: give test=... to compress()")
    test = _split(path, TEST, tensors, shape)
    check_labelled(str(path), f"{PARTS[-1]}.labels" in tensors, test)
    return test


def _split(path: Path, part: str, tensors: dict[str, torch.Tensor], shape: tuple[int, ...]) -> ArraySplit:
    images, labels = tensors.get(f"{part}.images"), tensors.get(f"{part}.labels")
    if images is None or images.dtype is not torch.float32 or images.shape[1:] != shape:
        found = "no such array" if images is None else f"{images.dtype} {list(images.shape)}"
        raise FixInputError(f"{path}: {part}.images must be float32 [n, {', '.join(map(str, shape))}], not {found}")
    if labels is not None and (labels.dtype is not torch.int64 or labels.shape != images.shape[:1]):
        raise FixInputError(
            f"{path}: {part}.labels must be int64 [{len(images)}], not {labels.dtype} {list(labels.shape)}"
        )
    array: NDArray[Any] = images.numpy()
    return ArraySplit(images=array, labels=None if labels is None else labels.numpy())
