"""Data of kind "arrays": kept, read back without being loaded, and refused where it is something else."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch

from objectives.workload.arrays import keep_arrays, open_arrays
from objectives.workload.splits import ArraySplit
from storage.errors import FixInputError

SHAPE = (1, 2, 3)
IMAGES = np.arange(30 * 6, dtype=np.float32).reshape(30, *SHAPE)
LABELS = np.arange(30, dtype=np.int64) % 5
LABELLED, BARE = ArraySplit(IMAGES, LABELS), ArraySplit(IMAGES[:7], None)


def resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def test_arrays_come_back_as_they_were(tmp_path: Path) -> None:
    splits = open_arrays(keep_arrays(tmp_path, LABELLED, LABELLED), SHAPE)
    assert splits.classes == ("0", "1", "2", "3", "4")
    for split in (splits.train, splits.val):
        assert np.array_equal(split.batch(range(30)), IMAGES)
        assert split.labels is not None
        assert np.array_equal(split.labels, LABELS)
        assert split.digest([3, 1]) == LABELLED.digest([3, 1])
    bare = open_arrays(keep_arrays(tmp_path, LABELLED, BARE), SHAPE)
    assert bare.val.labels is None
    assert bare.classes == ()


def test_the_same_arrays_are_one_file(tmp_path: Path) -> None:
    paths = [keep_arrays(tmp_path, LABELLED, other) for other in (LABELLED, ArraySplit(IMAGES.copy(), LABELS), BARE)]
    assert paths[0] == paths[1] != paths[2]


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads Linux's own figures")
def test_images_are_read_when_they_are_asked_for(tmp_path: Path) -> None:
    large = np.zeros((100, 1000, 1000), np.float32)  # 400 MB
    path = keep_arrays(tmp_path, ArraySplit(large[:1], None), ArraySplit(large, None))
    del large
    before = resident_bytes()
    splits = open_arrays(path, (1000, 1000))
    assert splits.val.batch([5, 50]).shape == (2, 1000, 1000)
    assert resident_bytes() - before < 100e6


@pytest.mark.parametrize(
    ("tensors", "expected"),
    [
        ({}, "train.images must be float32 [n, 1, 2, 3], not no such array"),
        ({"train.images": torch.zeros(3, 2, 3)}, "not torch.float32 [3, 2, 3]"),
        ({"train.images": torch.zeros(3, *SHAPE, dtype=torch.float64)}, "not torch.float64 [3, 1, 2, 3]"),
        (
            {"train.images": torch.zeros(3, *SHAPE), "train.labels": torch.zeros(2, dtype=torch.int64)},
            "train.labels must be int64 [3], not torch.int64 [2]",
        ),
        ({"train.images": torch.zeros(3, *SHAPE)}, "val.images must be float32"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, tensors: dict[str, torch.Tensor], expected: str) -> None:
    safetensors.torch.save_file(tensors, tmp_path / "a.safetensors")
    with pytest.raises(FixInputError) as caught:
        open_arrays(tmp_path / "a.safetensors", SHAPE)
    assert expected in str(caught.value)


def test_files_that_are_none_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FixInputError, match=r"no such file; set \[data\] path, or call slimfront.compress again"):
        open_arrays(tmp_path / "gone.safetensors", SHAPE)
    (tmp_path / "bad.safetensors").write_bytes(b"nonsense")
    with pytest.raises(FixInputError, match="cannot be read"):
        open_arrays(tmp_path / "bad.safetensors", SHAPE)
