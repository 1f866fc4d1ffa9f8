"""Heat-maps of sites and levels."""

from __future__ import annotations

from typing import Any

import pytest

from dashboards.figures.sensitivity import ROW_PIXELS, sensitivity_figure
from dashboards.sensitivity import LevelSensitivity, SiteSensitivity, site_sensitivities
from dashboards.study import read_study
from storage.records.space import CHANNEL, QUANT, SearchSpace
from tests.dashboards import large, samples


def sites(space: SearchSpace) -> tuple[SiteSensitivity, ...]:
    store = samples.new_store()
    samples.analyse(store, space)
    return site_sensitivities(read_study(store, samples.NAME))


def drawn(every: tuple[SiteSensitivity, ...], learner: str) -> Any:
    figure = sensitivity_figure(every, learner)
    assert figure is not None
    return figure


def test_bits_have_a_column_for_each_width() -> None:
    figure = drawn(sites(samples.JOINT_SPACE), QUANT)
    (cells,) = figure.data
    assert list(cells.x) == ["w4", "w2"]
    assert list(figure.layout.yaxis.ticktext) == ["conv1", "conv2"]
    assert cells.z[0] == pytest.approx([-1.699, -0.699])
    assert list(cells.text[0]) == ["0.02", "0.2"]
    assert "saves 3.4 KB" in cells.hovertext[0][0]


def test_channels_have_a_column_for_each_step_down() -> None:
    (cells,) = drawn(sites(samples.JOINT_SPACE), CHANNEL).data
    assert list(cells.x) == ["-1", "-2"]
    assert list(cells.text[0]) == ["6: 0.04", "4: 0.3"]
    assert "6 of 8 channels" in cells.hovertext[0][0]


def test_a_learner_without_sites_has_no_figure() -> None:
    assert sensitivity_figure(sites(samples.SPACE), CHANNEL) is None
    lonely = SiteSensitivity("a", QUANT, ("a",), (LevelSensitivity("fp32", None, 32, 0.0, 0, 0),))
    assert sensitivity_figure((lonely,), QUANT) is None


def site(name: str, *errors: float) -> SiteSensitivity:
    levels = [LevelSensitivity("fp32", None, 32, 0.0, 0, 0)]
    levels += [LevelSensitivity(f"w{8 - place}", None, 8 - place, error, 9, 0) for place, error in enumerate(errors)]
    return SiteSensitivity(name, QUANT, (name,), tuple(levels))


def test_missing_levels_are_gaps_and_errors_of_nothing_are_drawn() -> None:
    (cells,) = drawn((site("a", 0.0, 0.01), site("b", 0.1)), QUANT).data
    assert [list(row) for row in cells.z] == [[-2.0, -2.0], [-1.0, None]]
    assert (cells.zmin, cells.zmax) == (-2, -1)


def test_tiny_errors_do_not_take_the_colours_of_the_others() -> None:
    (cells,) = drawn((site("a", 1e-12, 0.5),), QUANT).data
    assert (cells.zmin, cells.zmax) == (-5, 0)


def test_without_any_error_there_is_still_a_scale() -> None:
    (cells,) = drawn((site("a", 0.0),), QUANT).data
    assert cells.zmin < cells.zmax


def test_a_deep_model_keeps_rows_that_can_be_read() -> None:
    figure = drawn(sites(large.deep_space(500)), QUANT)
    assert figure.layout.height > 500 * ROW_PIXELS
    assert figure.data[0].texttemplate is None
    names = figure.layout.yaxis.ticktext
    assert all(len(name) <= 22 for name in names)
    assert names[0].startswith("…")


def test_names_of_layers_are_no_markup() -> None:
    figure = drawn((site("<b>x", 0.1),), QUANT)
    assert list(figure.layout.yaxis.ticktext) == ["&lt;b&gt;x"]
    assert "<b>&lt;b&gt;x</b>" in figure.data[0].hovertext[0][0]
