"""The known criteria: adding one is a module and a line here."""

from __future__ import annotations

from pkgutil import resolve_name
from types import MappingProxyType
from typing import cast

from learners.channel.criteria.base import Criterion

CRITERIA: MappingProxyType[str, str] = MappingProxyType(
    {
        "obs": "learners.channel.criteria.obs:ObsCriterion",
        "l1": "learners.channel.criteria.l1:L1Criterion",
        "l2": "learners.channel.criteria.l2:L2Criterion",
        "fpgm": "learners.channel.criteria.fpgm:FpgmCriterion",
        "bn_gamma": "learners.channel.criteria.bn_gamma:BnGammaCriterion",
        "taylor": "learners.channel.criteria.taylor:TaylorCriterion",
        "random": "learners.channel.criteria.random:RandomCriterion",
    }
)


def criterion(name: str) -> Criterion:
    """A criterion by its name in `[search] criterion`."""
    return cast(Criterion, resolve_name(CRITERIA[name])())
