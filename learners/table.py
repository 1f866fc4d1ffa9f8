"""The known learners, in the order in which they work: adding one is a module and a line here."""

from __future__ import annotations

from collections.abc import Sequence
from pkgutil import resolve_name
from types import MappingProxyType
from typing import cast

from learners.base import Learner, LearnerOptions

LEARNERS: MappingProxyType[str, str] = MappingProxyType(
    {"channel": "learners.channel.learner:ChannelLearner", "quant": "learners.quant.learner:QuantLearner"}
)


def learner(name: str, options: LearnerOptions | None = None) -> Learner:
    """A learner by its name in `[search] learners`."""
    return cast(Learner, resolve_name(LEARNERS[name])(options or LearnerOptions()))


def in_order(names: Sequence[str], options: LearnerOptions) -> tuple[Learner, ...]:
    """The learners called `names`, in the order in which they work."""
    return tuple(learner(name, options) for name in LEARNERS if name in names)
