"""Data of kind "python": whatever the user's factory returns, captured into arrays once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from objectives.workload.factory import UserCallable, load_callable
from objectives.workload.seeding import seeded
from objectives.workload.splits import ArraySplit, Splits
from storage.errors import FixInputError

MAX_SPLIT_BYTES = 4 * 2**30  # a split is held in memory; calibration and search need some thousands of images
NEEDED = ("train", "val")
ADVICE = "give (x, y), a dataset or a loader: x float32 [n, *input], y integer labels or None"


def open_python(spec: str, shape: tuple[int, ...], seed: int) -> Splits:
    """Call the factory and capture its "train" and "val"; its "test" is not touched.

    Each may be (x, y), x alone, a map-style dataset of (image, label) or images, or an iterable of batches; y
    may be None. Random draws inside follow `seed`. FixInputError, one line, if a split is missing, empty, not
    of `shape`, not floating, not finite, too large, or labelled otherwise than by integers from 0.
    """
    factory = load_callable(spec)
    with seeded(seed):
        returned = factory()
        if not isinstance(returned, Mapping):
            kind = type(returned).__name__
            raise FixInputError(f'{factory.label} returned a {kind}; return {{"train": ..., "val": ...}}')
        for name in NEEDED:
            if name not in returned:
                keys = ", ".join(repr(key) for key in returned)
                raise FixInputError(f'{factory.label} returned no "{name}" (only {keys or "nothing"}); {ADVICE}')
        train, val = (_capture(factory, name, returned[name], shape) for name in NEEDED)
    if val.labels is None:
        return Splits(train=train, val=val, classes=())
    top = max(int(part.labels.max()) for part in (train, val) if part.labels is not None)
    return Splits(train=train, val=val, classes=tuple(str(label) for label in range(top + 1)))


def _capture(factory: UserCallable, name: str, split: Any, shape: tuple[int, ...]) -> ArraySplit:
    where = f'{factory.label}: "{name}"'
    images: list[NDArray[np.float32]] = []
    labels: list[NDArray[np.int64] | None] = []
    held = 0
    with factory.running(f'gave a "{name}" that raised'):
        for x, y in _batches(where, split):
            images.append(_images(where, x, shape))
            labels.append(None if y is None else _labels(where, y, len(images[-1])))
            held += images[-1].nbytes
            if held > MAX_SPLIT_BYTES:
                limit = f"{MAX_SPLIT_BYTES / 2**30:g} GiB"
                raise FixInputError(f"{where} gives more than {limit}; return fewer images, some thousands suffice")
    if held == 0:
        raise FixInputError(f"{where} is empty; {ADVICE}")
    known = [part for part in labels if part is not None]
    if known and len(known) != len(labels):
        raise FixInputError(f"{where} has labels in some batches and not in others; {ADVICE}")
    return ArraySplit(images=np.concatenate(images), labels=np.concatenate(known) if known else None)


def _batches(where: str, split: Any) -> Iterable[tuple[Any, Any]]:
    """Batches of images with their labels or None."""
    if _is_array(split):
        return [(split, None)]
    if isinstance(split, tuple | list) and len(split) == 2 and _is_array(split[0]):
        second = split[1]
        # A list may also be two batches without labels; it is told from [x, y] by the dimensions of the
        # second.
        if isinstance(split, tuple) or second is None or np.ndim(second) <= 1 < np.ndim(split[0]):
            return [(split[0], second)]
    if isinstance(split, Mapping | str | bytes) or not (hasattr(split, "__iter__") or hasattr(split, "__getitem__")):
        raise FixInputError(f"{where} is a {type(split).__name__}; {ADVICE}")
    if hasattr(split, "__getitem__") and hasattr(split, "__len__") and not isinstance(split, tuple | list):
        return (_single(_pair(split[index])) for index in range(len(split)))
    return (_pair(item) for item in split)


def _pair(item: Any) -> tuple[Any, Any]:
    if isinstance(item, tuple | list) and len(item) == 2:
        return item[0], item[1]
    if isinstance(item, tuple | list) and len(item) == 1:
        return item[0], None
    return item, None


def _single(pair: tuple[Any, Any]) -> tuple[Any, Any]:
    """One image of a dataset as a batch of one."""
    image, label = pair
    return _array(image)[None], None if label is None else np.reshape(_array(label), (1,))


def _is_array(value: Any) -> bool:
    return hasattr(value, "shape") and hasattr(value, "dtype")


def _array(value: Any) -> NDArray[Any]:
    return np.asarray(value.detach().cpu().numpy() if hasattr(value, "detach") else value)


def _images(where: str, x: Any, shape: tuple[int, ...]) -> NDArray[np.float32]:
    if not _is_array(x):
        raise FixInputError(f"{where} holds a {type(x).__name__} where images are expected; {ADVICE}")
    array = _array(x)
    if not np.issubdtype(array.dtype, np.floating):
        raise FixInputError(f"{where} has images of type {array.dtype}; give float32, normalised as in training")
    if array.shape[1:] != shape:
        raise FixInputError(
            f"{where} has images of shape {list(array.shape[1:])}, but [model] input is {list(shape)}; make them equal"
        )
    array = array.astype(np.float32)
    bad = np.flatnonzero(~np.isfinite(array).all(axis=tuple(range(1, array.ndim))))
    if len(bad):
        raise FixInputError(f"{where} has NaN or infinity in {len(bad)} images (first: {bad[0]}); mend or drop them")
    return array


def _labels(where: str, y: Any, count: int) -> NDArray[np.int64]:
    array = _array(y)
    if not np.issubdtype(array.dtype, np.integer) or array.shape != (count,):
        raise FixInputError(
            f"{where} has labels of type {array.dtype} and shape {list(array.shape)} for {count} images; "
            f"give one integer an image, or None"
        )
    if count and int(array.min()) < 0:
        raise FixInputError(f"{where} has the label {int(array.min())}; labels are 0, 1, 2, ...")
    return array.astype(np.int64)
