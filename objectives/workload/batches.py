"""Whatever gives images, with or without labels, read once into arrays."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from objectives.workload.splits import ArraySplit
from objectives.workload.subsets import choose
from storage.errors import FixInputError

MAX_SPLIT_BYTES = 4 * 2**30  # a split is held in memory; calibration and search need some thousands of images
ADVICE = "give (x, y), a dataset or a loader: x float32 [n, *input], y integer labels or None"


@dataclass(frozen=True)
class Reader:
    """How one split is read. FixInputError, one line that begins with `where`, for what cannot be used."""

    where: str  # such as 'data.py:splits: "train"'
    shape: tuple[int, ...] | None  # of one image; None takes that of the first
    asked: str = "[model] input is"  # what `shape` comes from
    most_images: int | None = None  # more are left out; None takes all
    most_bytes: int = MAX_SPLIT_BYTES  # as float32; more are refused
    endless: int | None = None  # so many images are refused, too: what gives them does not end
    fewer: str = "return fewer images, some thousands suffice"  # the remedy
    seed: int = 0  # which images of an array or of a dataset are taken where there are more than `most_images`

    def read(self, split: Any) -> ArraySplit:
        """The images in the order in which they came.

        `split` may be (x, y), x alone, a map-style dataset of (image, label) or images, or an iterable of batches; y
        may be None. Of an iterable the first `most_images` are taken, of all others a seeded choice, in its order.
        """
        images: list[NDArray[np.float32]] = []
        labels: list[NDArray[np.int64] | None] = []
        shape, count, held = self.shape, 0, 0
        for x, y in self._batches(split):
            batch = self._images(x, shape)
            named = None if y is None else self._labels(y, len(batch))
            left = len(batch) if self.most_images is None else self.most_images - count
            images.append(batch[:left])
            labels.append(None if named is None else named[:left])
            shape = batch.shape[1:]
            count += len(images[-1])
            held += images[-1].nbytes
            if held > self.most_bytes or (self.endless is not None and count > self.endless):
                limit = f"{self.most_bytes / 2**30:g} GiB" if held > self.most_bytes else f"{self.endless} images"
                raise FixInputError(f"{self.where} gives more than {limit}; {self.fewer}")
            if count == self.most_images:
                break
        if held == 0:
            raise FixInputError(f"{self.where} is empty; {ADVICE}")
        known = [part for part in labels if part is not None]
        if known and len(known) != len(labels):
            raise FixInputError(f"{self.where} has labels in some batches and not in others; {ADVICE}")
        return ArraySplit(images=np.concatenate(images), labels=np.concatenate(known) if known else None)

    def _batches(self, split: Any) -> Iterable[tuple[Any, Any]]:
        """Batches of images with their labels or None."""
        if _is_array(split):
            return [self._chosen(split, None)]
        if isinstance(split, tuple | list) and len(split) == 2 and _is_array(split[0]):
            second = split[1]
            # A list may also be two batches without labels; it is told from [x, y] by the dimensions of the
            # second.
            if isinstance(split, tuple) or second is None or np.ndim(second) <= 1 < np.ndim(split[0]):
                return [self._chosen(split[0], second)]
        if isinstance(split, Mapping | str | bytes) or not (
            hasattr(split, "__iter__") or hasattr(split, "__getitem__")
        ):
            raise FixInputError(f"{self.where} is a {type(split).__name__}; {ADVICE}")
        if hasattr(split, "__getitem__") and hasattr(split, "__len__") and not isinstance(split, tuple | list):
            indices = self._indices(len(split), None)
            return (_single(self._pair(split[index])) for index in indices)
        return (self._pair(item) for item in split)

    def _indices(self, total: int, labels: NDArray[np.int64] | None) -> Iterable[int]:
        """Which samples are taken where all of them can be: data often lies sorted by class."""
        if self.most_images is None or total <= self.most_images:
            return range(total)
        return [int(index) for index in np.sort(choose(total, labels, self.most_images, self.seed))]

    def _chosen(self, x: Any, y: Any) -> tuple[Any, Any]:
        total = len(x) if np.ndim(x) else 0
        if self.most_images is None or total <= self.most_images:
            return x, y
        labels = None if y is None else self._labels(y, total)
        indices = np.asarray(self._indices(total, labels))
        return as_array(x)[indices], None if labels is None else labels[indices]

    def _pair(self, item: Any) -> tuple[Any, Any]:
        if isinstance(item, Mapping):
            keys = ", ".join(repr(key) for key in islice(item, 4))
            raise FixInputError(
                f"{self.where} holds dicts ({keys}) where images are expected; give pairs, such as "
                '((item["image"], item["label"]) for item in ...) with your keys'
            )
        if isinstance(item, tuple | list) and len(item) == 2:
            return item[0], item[1]
        if isinstance(item, tuple | list) and len(item) == 1:
            return item[0], None
        return item, None

    def _images(self, x: Any, shape: tuple[int, ...] | None) -> NDArray[np.float32]:
        if not _is_array(x):
            raise FixInputError(f"{self.where} holds a {type(x).__name__} where images are expected; {ADVICE}")
        array = as_array(x)
        if not np.issubdtype(array.dtype, np.floating):
            raise FixInputError(
                f"{self.where} has images of type {array.dtype}; give float32, normalised as in training"
            )
        if array.ndim < 2:
            raise FixInputError(f"{self.where} has images of shape []; {ADVICE}")
        if shape is not None and array.shape[1:] != shape:
            asked = self.asked if self.shape is not None else "the first has"
            raise FixInputError(
                f"{self.where} has images of shape {list(array.shape[1:])}, but {asked} {list(shape)}; make them equal"
            )
        array = array.astype(np.float32)
        bad = np.flatnonzero(~np.isfinite(array).all(axis=tuple(range(1, array.ndim))))
        if len(bad):
            raise FixInputError(
                f"{self.where} has NaN or infinity in {len(bad)} images (first: {bad[0]}); mend or drop them"
            )
        return array

    def _labels(self, y: Any, count: int) -> NDArray[np.int64]:
        array = as_array(y)
        if not np.issubdtype(array.dtype, np.integer) or array.shape != (count,):
            indices = ", y.argmax(1) of one-hot labels" if array.shape[:1] == (count,) and array.ndim == 2 else ""
            raise FixInputError(
                f"{self.where} has labels of type {array.dtype} and shape {list(array.shape)} for {count} images; "
                f"give one integer an image{indices}, or None"
            )
        if count and int(array.min()) < 0:
            raise FixInputError(f"{self.where} has the label {int(array.min())}; labels are 0, 1, 2, ...")
        return array.astype(np.int64)


def class_names(*splits: ArraySplit) -> tuple[str, ...]:
    """ "0", "1", ... up to the largest label of `splits`, of which the last decides: empty if it has none."""
    if splits[-1].labels is None:
        return ()
    top = max(int(split.labels.max()) for split in splits if split.labels is not None)
    return tuple(str(label) for label in range(top + 1))


def check_labelled(where: str, val_is_labelled: bool, test: ArraySplit) -> None:
    """FixInputError, one line that begins with `where`, if only one of both splits has labels."""
    if val_is_labelled == (test.labels is not None):
        return
    first, second = ("val", "test") if val_is_labelled else ("test", "val")
    raise FixInputError(f'{where}: "{first}" has labels and "{second}" has none; give both or neither')


def as_array(value: Any) -> NDArray[Any]:
    """A tensor of any device and type, or what numpy takes, as an array; bfloat16, which numpy lacks, as float32."""
    if not hasattr(value, "detach"):
        return np.asarray(value)
    tensor = value.detach().cpu()
    wide = tensor.float() if str(tensor.dtype) == "torch.bfloat16" else tensor
    array: NDArray[Any] = wide.numpy()
    return array


def _single(pair: tuple[Any, Any]) -> tuple[Any, Any]:
    """One image of a dataset as a batch of one."""
    image, label = pair
    return as_array(image)[None], None if label is None else np.reshape(as_array(label), (1,))


def _is_array(value: Any) -> bool:
    return hasattr(value, "shape") and hasattr(value, "dtype")
