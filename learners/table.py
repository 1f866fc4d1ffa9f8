"""The known learners: adding one is a module and a line here."""

from __future__ import annotations

from pkgutil import resolve_name
from types import MappingProxyType
from typing import cast

from learners.base import Learner

LEARNERS: MappingProxyType[str, str] = MappingProxyType({"quant": "learners.quant.learner:QuantLearner"})


def learner(name: str) -> Learner:
    """A learner by its name in `[search] learners`."""
    return cast(Learner, resolve_name(LEARNERS[name])())
