"""Data of kind "python": whatever the user's factory returns, captured into arrays once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from objectives.workload.batches import ADVICE, MAX_SPLIT_BYTES, Reader, class_names
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
    train, val = _captured(spec, shape, seed, ("train", "val"))
    return Splits(train=train, val=val, classes=class_names(train, val))


def open_test_python(spec: str, shape: tuple[int, ...], seed: int) -> ArraySplit:
    """Call the factory and capture its "test". Errors as in `open_python`."""
    (test,) = _captured(spec, shape, seed, ("test",))
    return test


def _captured(spec: str, shape: tuple[int, ...], seed: int, needed: Sequence[str]) -> list[ArraySplit]:
    factory = load_callable(spec)
    with seeded(seed):
        returned = factory()
        if not isinstance(returned, Mapping):
            kind = type(returned).__name__
            raise FixInputError(f'{factory.label} returned a {kind}; return {{"train": ..., "val": ...}}')
        for name in needed:
            if name not in returned:
                keys = ", ".join(repr(key) for key in returned)
                raise FixInputError(f'{factory.label} returned no "{name}" (only {keys or "nothing"}); {ADVICE}')
        return [_capture(factory, name, returned[name], shape) for name in needed]


def _capture(factory: UserCallable, name: str, split: Any, shape: tuple[int, ...]) -> ArraySplit:
    with factory.running(f'gave a "{name}" that raised'):
        return Reader(f'{factory.label}: "{name}"', shape, most_bytes=MAX_SPLIT_BYTES).read(split)
