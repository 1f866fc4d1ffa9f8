"""The curves of the hypervolume."""

from __future__ import annotations

from dashboards.figures.hypervolume import hypervolume_figure
from dashboards.hypervolume import Growth, HypervolumeView, SamplerGrowth

ALLOCATION = SamplerGrowth((1, 2), (0.3, 0.4), "allocation", 2)
MUTATION = SamplerGrowth((3, 4), (0.35, 0.5), "<i>mutation", 2)
ALL = Growth((0, 1, 4), (0.2, 0.4, 0.6))


def test_one_sampler_has_one_curve_beside_the_baselines() -> None:
    figure = hypervolume_figure(HypervolumeView("s", 256, 0.2, ALL, (ALLOCATION,)))
    assert [trace.name for trace in figure.data] == ["all, with baselines", "baselines alone"]
    assert list(figure.data[0].x) == [0, 1, 4]
    assert list(figure.data[0].y) == [0.2, 0.4, 0.6]
    assert figure.data[0].line.shape == "hv"
    assert list(figure.data[1].y) == [0.2, 0.2]


def test_several_samplers_differ_in_colour_dash_and_symbol() -> None:
    figure = hypervolume_figure(HypervolumeView("s", 256, 0.2, ALL, (ALLOCATION, MUTATION)))
    curves = figure.data[:3]
    assert [curve.name for curve in curves[1:]] == [
        "allocation alone (2 candidates)",
        "&lt;i&gt;mutation alone (2 candidates)",
    ]
    for part in ("color", "dash"):
        assert len({curve.line[part] for curve in curves}) == 3
    assert len({curve.marker.symbol for curve in curves}) == 3
