"""The known samplers: adding one is a module and a line here."""

from __future__ import annotations

from pkgutil import resolve_name
from types import MappingProxyType
from typing import cast

from searcher.samplers.base import Sampler, SamplerContext

SAMPLERS: MappingProxyType[str, str] = MappingProxyType(
    {"allocation": "searcher.samplers.allocation:AllocationSampler"}
)


def sampler(name: str, context: SamplerContext) -> Sampler:
    """A sampler by its name in `[search] sampler`."""
    return cast(Sampler, resolve_name(SAMPLERS[name])(context))
