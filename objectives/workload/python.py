"""Data of kind "python": whatever the user's factory returns, captured into arrays once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from objectives.workload.batches import ADVICE, MAX_SPLIT_BYTES, Reader, check_labelled, class_names
from objectives.workload.factory import UserCallable, load_callable
from objectives.workload.seeding import seeded
from objectives.workload.splits import ArraySplit, Splits
from storage.errors import FixInputError


def open_python(spec: str, shape: tuple[int, ...], seed: int) -> Splits:
    """Call the factory and capture its "train" and "val"; its "test" is not touched.

    Each may be (x, y), x alone, a map-style dataset of (image, label) or images, or an iterable of batches; y
    may be None. Random draws inside follow `seed`. FixInputError, one line, if a split is missing, empty, not
    of `shape`, not floating, not finite, too large, or labelled otherwise than by integers from 0.
    """
    train, val = _captured(load_callable(spec), shape, seed, {"train": None, "val": None})
    return Splits(train=train, val=val, classes=class_names(train, val))


def open_test_python(spec: str, shape: tuple[int, ...], seed: int) -> ArraySplit:
    """Call the factory and capture its "test", and of its "val" one image, to see whether it has labels.

    Errors as in `open_python`, and FixInputError where only one of both has labels: it would be judged by another
    metric.
    """
    factory = load_callable(spec)
    test, val = _captured(factory, shape, seed, {"test": None, "val": 1})
    check_labelled(factory.label, val.labels is not None, test)
    return test


def _captured(
    factory: UserCallable, shape: tuple[int, ...], seed: int, needed: Mapping[str, int | None]
) -> list[ArraySplit]:
    """The splits that are `needed`, by how many images of each; None takes all."""
    with seeded(seed):
        returned = factory()
        if not isinstance(returned, Mapping):
            kind = type(returned).__name__
            raise FixInputError(f'{factory.label} returned a {kind}; return {{"train": ..., "val": ...}}')
        for name in needed:
            if name not in returned:
                keys = ", ".join(repr(key) for key in returned)
                raise FixInputError(f'{factory.label} returned no "{name}" (only {keys or "nothing"}); {ADVICE}')
        return [_capture(factory, name, returned[name], shape, most) for name, most in needed.items()]


def _capture(factory: UserCallable, name: str, split: Any, shape: tuple[int, ...], most: int | None) -> ArraySplit:
    with factory.running(f'gave a "{name}" that raised'):
        where = f'{factory.label}: "{name}"'
        return Reader(where, shape, most_images=most, most_bytes=MAX_SPLIT_BYTES).read(split)
