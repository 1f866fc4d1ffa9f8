"""The known samplers: adding one is a module and a line here."""

from __future__ import annotations

from collections.abc import Callable
from pkgutil import resolve_name
from types import MappingProxyType
from typing import cast

from searcher.samplers.base import Sampler, SamplerContext
from searcher.samplers.free_bits import FreeBitsSampler, bits_are_free
from storage.errors import FixInputError

SAMPLERS: MappingProxyType[str, str] = MappingProxyType(
    {
        "allocation": "searcher.samplers.allocation:AllocationSampler",
        "auto": "searcher.samplers.auto:AutoSampler",
        "corrected": "searcher.samplers.corrected:CorrectedSampler",
        "mutation": "searcher.samplers.mutation:MutationSampler",
        "nsga2": "searcher.samplers.nsga2:Nsga2Sampler",
        "random": "searcher.samplers.random_plans:RandomSampler",
        "seeded_nsga2": "searcher.samplers.nsga2:SeededNsga2Sampler",
        "seeded_tpe": "searcher.samplers.tpe:SeededTpeSampler",
        "tpe": "searcher.samplers.tpe:TpeSampler",
        "uniform": "searcher.samplers.uniform:UniformSampler",
    }
)
OPTUNA = "optuna"  # the extra, and the package in it


def sampler_class(name: str) -> Callable[[SamplerContext], Sampler]:
    """The sampler called `name` in `[search] sampler`, imported when first asked for.

    FixInputError if a package that it needs is not installed.
    """
    try:
        return cast("Callable[[SamplerContext], Sampler]", resolve_name(SAMPLERS[name]))
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] != OPTUNA:
            raise
        raise FixInputError(
            f"the sampler {name} needs a package that is not installed: pip install 'slimfront[{OPTUNA}]', "
            "or leave [search] sampler out"
        ) from error


def sampler(name: str, context: SamplerContext) -> Sampler:
    """A sampler by its name in `[search] sampler`, over channels alone where bits are free. Raises what `sampler_class`
    raises."""
    make = sampler_class(name)
    return FreeBitsSampler(context, make) if bits_are_free(context) else make(context)
