"""Hypothesis strategies for small search spaces."""

from __future__ import annotations

from hypothesis import strategies as st

from storage.records.space import Level, SearchSpace, Site

NAMES = ("fp32", "w8", "w4", "w2")
BITS = (32, 8, 4, 2)


@st.composite
def spaces(draw: st.DrawFn, most_sites: int = 5) -> SearchSpace:
    """Spaces whose sizes fall and errors rise from level to level, as those of quantisation do."""
    sites = []
    for index in range(draw(st.integers(1, most_sites))):
        count = draw(st.integers(1, len(NAMES)))
        sizes = sorted(draw(st.lists(st.integers(1, 400), min_size=count, max_size=count)), reverse=True)
        errors = sorted(draw(st.lists(st.floats(0, 1), min_size=count, max_size=count)))
        levels = tuple(
            Level(name, bits, size, error, "gptq")
            for name, bits, size, error in zip(NAMES, BITS, sizes, errors, strict=False)
        )
        sites.append(Site(f"site{index}", "quant", "linear", 10, 10, levels))
    return SearchSpace(tuple(sites), (), draw(st.integers(0, 500)))


def large_space(sites: int = 12) -> SearchSpace:
    """A space of more plans than any test asks for."""
    made = []
    for index in range(sites):
        weights = 1000 + 377 * index
        levels = tuple(
            Level(name, bits, weights * bits // 8 + 40, (0.0 if bits == 32 else 4.0**-bits * (1 + 0.3 * index)), "gptq")
            for name, bits in (("fp32", 32), ("w8", 8), ("w6", 6), ("w4", 4), ("w3", 3), ("w2", 2))
        )
        made.append(Site(f"site{index}", "quant", "linear", weights, weights, levels))
    return SearchSpace(tuple(made), (), 2000)
