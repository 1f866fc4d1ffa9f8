"""A search space of two sites and a small network over it."""

from __future__ import annotations

from learners.latency.blocks import GlueCell, LayerCell, TimedGlue, TimedLayer
from storage.records.space import Factor, Level, SearchSpace, Site

INPUT = (3, 8, 8)


def space() -> SearchSpace:
    """Site 0 keeps 8, 6 or 4 channels, site 1 chooses between float and 8 bits."""
    channels = tuple(Level(f"c{count}", channels=count) for count in (8, 6, 4))
    bits = (Level("fp32"), Level("w8", bits=8))
    sites = (
        Site("first", "channel", "channels", 1, 1, channels),
        Site("second", "quant", "convolution", 1, 1, bits),
    )
    return SearchSpace(sites, (), 0, (Factor("first", (0,), (1.0,) * 3, (1.0,) * 3, (0.0,) * 3),))


def layers() -> list[TimedLayer]:
    """Input -> first (site 0) -> second (sites 0 and 1) -> head."""
    counts, widths = (8, 6, 4), (32, 8)
    return [
        TimedLayer(
            "first",
            "convolution",
            (8, 8),
            (0,),
            tuple(LayerCell(3, count, 32) for count in counts),
            kernel=(3, 3),
            padding=(1, 1),
            activation=True,
            from_input=True,
        ),
        TimedLayer(
            "second",
            "convolution",
            (8, 8),
            (0, 1),
            tuple(LayerCell(count, 8, bits) for count in counts for bits in widths),
            kernel=(3, 3),
            padding=(1, 1),
        ),
        TimedLayer("head", "linear", (), (), (LayerCell(8, 5, 32),)),
    ]


def glue() -> list[TimedGlue]:
    """The pool between second and head."""
    return [TimedGlue("mean", "ReduceMean", (8, 8), (), (GlueCell(8, 32),))]
