"""Search spaces for tests: small random ones, and ones of the shapes that networks have."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise, product

from hypothesis import strategies as st

from storage.records.latency import LatencyFactor, LatencyTable
from storage.records.space import CHANNEL, QUANT, Factor, Level, SearchSpace, Site

NAMES = ("fp32", "w8", "w4", "w2")
BITS = (32, 8, 4, 2)
WIDTHS = (32, 8, 6, 4, 3, 2)
KERNEL = 9
OVERHEAD_BYTES = 40
LANES = 8  # channels that a machine computes at once
LARGEST_COST = 400
EXACT = st.integers(0, 1024).map(lambda part: part / 1024)  # numbers whose sums need no rounding


def precision_site(name: str, bits: Sequence[int] = WIDTHS) -> Site:
    levels = tuple(Level("fp32" if width == 32 else f"w{width}", width, None, "gptq") for width in bits)
    return Site(name, QUANT, "linear", 10, 10, levels, (name,))


def channel_site(name: str, kept: Sequence[int]) -> Site:
    levels = tuple(Level(f"c{count}", channels=count, method="obs") for count in kept)
    return Site(f"{name} channels", CHANNEL, "channels", 0, 0, levels, (name,))


@st.composite
def spaces(draw: st.DrawFn, most_sites: int = 5) -> SearchSpace:
    """Bits alone: sizes fall and errors rise from level to level, as those of quantisation do."""
    sites, factors = [], []
    for index in range(draw(st.integers(1, most_sites))):
        count = draw(st.integers(1, len(NAMES)))
        sizes = sorted(draw(st.lists(st.integers(1, LARGEST_COST), min_size=count, max_size=count)), reverse=True)
        errors = sorted(draw(st.lists(EXACT, min_size=count, max_size=count)))
        sites.append(precision_site(f"site{index}", BITS[:count]))
        factors.append(Factor(f"site{index}", (index,), tuple(map(float, sizes)), (10.0,) * count, tuple(errors)))
    return SearchSpace(tuple(sites), (), draw(st.integers(0, 500)), tuple(factors))


@st.composite
def coupled_spaces(draw: st.DrawFn, most_sites: int = 5, most_levels: int = 3) -> SearchSpace:
    """Any factors over any one to three sites, a site perhaps twice in one, whole numbers in every table."""
    counts = draw(st.lists(st.integers(1, most_levels), min_size=1, max_size=most_sites))
    sites = tuple(
        channel_site(f"site{index}", [16 - step for step in range(count)]) for index, count in enumerate(counts)
    )
    factors = []
    for index in range(draw(st.integers(1, most_sites + 1))):
        chosen = draw(st.lists(st.integers(0, len(counts) - 1), min_size=1, max_size=3))
        cells = math.prod(counts[site] for site in chosen)
        tables = [draw(st.lists(st.integers(0, LARGEST_COST), min_size=cells, max_size=cells)) for _ in range(3)]
        size, macs, error = (tuple(map(float, table)) for table in tables)
        factors.append(Factor(f"layer{index}", tuple(chosen), size, macs, error))
    return SearchSpace(sites, (), draw(st.integers(0, 50)), tuple(factors), draw(st.integers(0, 50)))


@st.composite
def latency_tables(draw: st.DrawFn, space: SearchSpace) -> LatencyTable:
    """A latency table over the factors' sites."""
    factors = []
    for factor in space.factors[: draw(st.integers(1, len(space.factors)))]:
        cells = len(factor.error)
        numbers = draw(st.lists(st.integers(0, LARGEST_COST), min_size=cells, max_size=cells))
        factors.append(LatencyFactor(factor.layer, factor.sites, tuple(map(float, numbers))))
    return LatencyTable("runtime", "machine", 3.0, 100.0, tuple(factors))


def large_space(sites: int = 12) -> SearchSpace:
    """Bits alone; a space of more plans than any test asks for."""
    made, factors = [], []
    for index in range(sites):
        weights = 1000 + 377 * index
        made.append(precision_site(f"site{index}"))
        size = tuple(float(weights * bits // 8 + OVERHEAD_BYTES) for bits in WIDTHS)
        error = tuple(0.0 if bits == 32 else 4.0**-bits * (1 + 0.3 * index) for bits in WIDTHS)
        factors.append(Factor(f"site{index}", (index,), size, (float(weights),) * len(WIDTHS), error))
    return SearchSpace(tuple(made), (), 2000, tuple(factors))


class Network:
    """Builds the space of a network of 3 x 3 convolutions, with the latency table of a made-up machine.

    Errors vary from layer to layer by a fixed pattern; half of the channels removed is about as bad as 3 bits.
    """

    def __init__(self, widths: Sequence[int] = WIDTHS) -> None:
        self._widths = tuple(widths)
        self._sites: list[Site] = []
        self._factors: list[Factor] = []
        self._latency: list[LatencyFactor] = []

    def group(self, channels: int, shares: Sequence[float]) -> int:
        """A channel group; the index of its site."""
        kept = [max(1, round(channels * share)) for share in shares]
        self._sites.append(channel_site(f"group{len(self._sites)}", kept))
        return len(self._sites) - 1

    def layer(
        self, inputs: Sequence[int], output: int | None, pixels: int, outputs: int = 10, taps: int = KERNEL
    ) -> None:
        """A layer that reads groups (none: an image of 3 channels), with a precision of its own.

        Each group it reads has a factor of its own with the precision and the output group.
        """
        index = len(self._sites)
        name = f"layer{index}"
        self._sites.append(precision_site(name, self._widths))
        pattern = 1 + 0.8 * math.sin(1.7 * index)
        for source in inputs or (None,):
            sites = (*(site for site in (source, output) if site is not None), index)
            rows = []
            for choice in product(*(range(len(self._sites[site].levels)) for site in sites)):
                level = dict(zip(sites, choice, strict=True))
                reads, read_share = self._channels(source, level, 3)
                makes, made_share = self._channels(output, level, outputs)
                bits = self._widths[level[index]]
                weights = taps * reads * makes
                rounding = 0.0 if bits == 32 else 2 * 4.0**-bits
                error = pattern * (rounding + 0.1 * (1 - read_share) ** 2 + 0.05 * (1 - made_share) ** 2)
                blocks = math.ceil(reads / LANES) * math.ceil(makes / LANES)
                ms = 1e-6 * pixels * taps * blocks * (0.6 if bits <= 8 else 1.0) + 1e-4
                rows.append((weights * bits / 8 + OVERHEAD_BYTES, float(pixels * weights), error, ms))
            size, macs, errors, latency = (tuple(column) for column in zip(*rows, strict=True))
            self._factors.append(Factor(name, sites, size, macs, errors))
            self._latency.append(LatencyFactor(name, sites, latency))

    def _channels(self, group: int | None, level: dict[int, int], otherwise: int) -> tuple[int, float]:
        if group is None:
            return otherwise, 1.0
        levels = self._sites[group].levels
        kept, whole = levels[level[group]].channels, levels[0].channels
        assert kept is not None
        assert whole is not None
        return kept, kept / whole

    def done(self) -> tuple[SearchSpace, LatencyTable]:
        """The space, and what its plans take."""
        dense = 0.01 + sum(item.milliseconds[0] for item in self._latency)
        space = SearchSpace(tuple(self._sites), (), 2000, tuple(self._factors), 640)
        return space, LatencyTable("runtime", "machine", 0.01, dense, tuple(self._latency))


SHARES = (1.0, 0.75, 0.5, 0.25)
FINE_SHARES = (1.0, 0.875, 0.75, 0.625, 0.5, 0.25)


def chain(layers: int = 4, shares: Sequence[float] = SHARES) -> tuple[SearchSpace, LatencyTable]:
    """A plain sequence of layers."""
    network = Network()
    groups = [network.group(16 * (1 + index), shares) for index in range(layers - 1)]
    network.layer([], groups[0], 256)
    for source, output in pairwise(groups):
        network.layer([source], output, 64)
    network.layer([groups[-1]], None, 1, taps=1)
    return network.done()


def residual(
    blocks: int = 2, stages: int = 2, shares: Sequence[float] = SHARES, widths: Sequence[int] = WIDTHS
) -> tuple[SearchSpace, LatencyTable]:
    """A ResNet for CIFAR: 2 x blocks x stages + 2 layers; additions couple all blocks of a stage."""
    network = Network(widths)
    before: int | None = None
    for stage in range(stages):
        channels, pixels = 16 * 2**stage, 1024 // 4**stage
        group = network.group(channels, shares)
        if before is None:
            network.layer([], group, pixels)
        for block in range(blocks):
            source = before if before is not None and block == 0 else group
            inner = network.group(channels, shares)
            network.layer([source], inner, pixels)
            network.layer([inner], group, pixels)
        before = group
    assert before is not None
    network.layer([before], None, 1, taps=1)
    return network.done()


def dense_block(layers: int = 4, shares: Sequence[float] = SHARES) -> tuple[SearchSpace, LatencyTable]:
    """A DenseNet's block: each layer reads all before it."""
    network = Network()
    groups = [network.group(16, shares) for _ in range(layers)]
    for index, output in enumerate(groups):
        network.layer(groups[:index], output, 64)
    network.layer(groups, None, 1, taps=1)
    return network.done()
