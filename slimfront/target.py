"""A target as Python users write it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from storage.errors import FixInputError
from storage.records.target import Target

TargetLike: TypeAlias = str | Mapping[str, str | int | float] | Target


def read_target(given: TargetLike) -> Target:
    """The target in "size=8x drop<=1", {"size": "8x", "max_drop": 1.0}, or the target itself. FixInputError else."""
    if isinstance(given, Target):
        return given
    try:
        if isinstance(given, str):
            return Target.from_text(given)
        if isinstance(given, Mapping):
            return Target.from_dict(given)
    except ValueError as error:
        raise FixInputError(f"target: {error}") from error
    raise FixInputError(f'target: is of type {type(given).__name__}; write for example "size=8x drop<=1"')
