"""Reading live data: bounds, choices and refusals that only `slimfront.compress` can meet."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset, TensorDataset

from objectives.workload.batches import Reader, class_names
from objectives.workload.splits import ArraySplit
from storage.errors import FixInputError

X = np.arange(40 * 3, dtype=np.float32).reshape(40, 3)
Y = np.repeat(np.arange(4), 10)  # sorted by class, as folders of images are


def batches() -> Iterator[tuple[Any, Any]]:
    """The same batch without end."""
    for _ in itertools.count():
        yield torch.from_numpy(X), torch.from_numpy(Y)


def refused(samples: Any, shape: tuple[int, ...] | None = None, **options: Any) -> str:
    with pytest.raises(FixInputError) as caught:
        Reader("train", shape, **options).read(samples)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_the_shape_is_that_of_the_first_image() -> None:
    split = Reader("train", None).read([(X[:5], Y[:5]), (X[5:], Y[5:])])
    assert np.array_equal(split.images, X)
    assert "the first has [3]; make them equal" in refused([(X, Y), (X[:, :2], Y)])
    assert "but those of train are [2]" in refused((X, Y), (2,), asked="those of train are")
    assert "images of shape []" in refused((np.zeros(4), Y[:4]))


@pytest.mark.parametrize("kind", ["arrays", "tensors", "dataset", "unlabelled"])
def test_of_what_is_all_there_a_seeded_choice_is_taken(kind: str) -> None:
    samples: dict[str, Any] = {
        "arrays": (X, Y),
        "tensors": (torch.from_numpy(X), torch.from_numpy(Y)),
        "dataset": TensorDataset(torch.from_numpy(X), torch.from_numpy(Y)),
        "unlabelled": X,
    }
    found = [Reader("train", None, most_images=12, seed=seed).read(samples[kind]) for seed in (0, 0, 1)]
    assert np.array_equal(found[0].images, found[1].images)
    assert not np.array_equal(found[0].images, found[2].images)
    rows = found[0].images[:, 0].astype(int) // 3
    assert len(set(rows)) == 12
    assert list(rows) == sorted(rows)
    if kind == "unlabelled":
        assert found[0].labels is None
        return
    assert found[0].labels is not None
    assert np.array_equal(found[0].labels, Y[rows])
    if kind != "dataset":  # whose labels are not known before its images are made
        assert np.bincount(found[0].labels).tolist() == [3, 3, 3, 3]


def test_of_a_loader_the_first_images_are_taken() -> None:
    split = Reader("train", None, most_images=50).read(batches())
    assert len(split) == 50
    assert split.labels is not None
    assert np.array_equal(split.images, np.concatenate([X, X[:10]]))
    assert np.array_equal(split.labels, np.concatenate([Y, Y[:10]]))
    assert np.array_equal(Reader("train", None, most_images=50).read([(X, Y)]).images, X)


def test_an_endless_loader_is_refused() -> None:
    advice = "give val_images=N"
    assert refused(batches(), endless=100, fewer=advice) == f"train gives more than 100 images; {advice}"
    assert "more than 9.31323e-07 GiB" in refused(batches(), most_bytes=1000)


def test_types_that_numpy_lacks_are_widened() -> None:
    half = torch.from_numpy(X % 8)
    for dtype in (torch.bfloat16, torch.float16, torch.float64):
        split = Reader("train", None).read([(half.to(dtype), torch.from_numpy(Y))])
        assert split.images.dtype == np.float32
        assert np.array_equal(split.images, X % 8)


class Dicts(Dataset[Any]):
    """As datasets of another library give their samples."""

    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> dict[str, Any]:
        return {"pixels": X[index], "label": 1}


@pytest.mark.parametrize(
    ("samples", "expected"),
    [
        (Dicts(), "train holds dicts ('pixels', 'label') where images are expected; give pairs, such as"),
        (DataLoader(Dicts()), "train holds dicts ('pixels', 'label')"),
        ((X, np.eye(40, dtype=np.float32)), "give one integer an image, y.argmax(1) of one-hot labels, or None"),
        ((X, Y.astype(np.float32)), "labels of type float32 and shape [40] for 40 images; give one integer an image"),
        ((X, Y - 1), "has the label -1; labels are 0, 1, 2, ..."),
        ((X.astype(np.uint8), Y), "images of type uint8; give float32, normalised as in training"),
        ((np.where(X == 7, np.inf, X), Y), "NaN or infinity in 1 images (first: 2); mend or drop them"),
        (iter([]), "train is empty"),
        ((X[:0], Y[:0]), "train is empty"),
        (7, "train is a int; give (x, y), a dataset or a loader"),
    ],
)
def test_samples_that_cannot_be_used(samples: Any, expected: str) -> None:
    assert expected in refused(samples)


def test_class_names_follow_the_labels() -> None:
    with_labels, without = ArraySplit(X, Y.astype(np.int64)), ArraySplit(X, None)
    assert class_names(with_labels, with_labels) == ("0", "1", "2", "3")
    assert class_names(without, with_labels) == ("0", "1", "2", "3")
    assert class_names(with_labels, without) == ()
