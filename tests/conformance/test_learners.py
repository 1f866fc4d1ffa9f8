"""What every entry of `learners.table.LEARNERS` promises."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from learners.base import Learner, LevelWeights, level_bits
from learners.device import single_thread
from learners.gram import DiagonalGram, Gram, collect_grams
from learners.graph.layers import Layer
from learners.table import LEARNERS, learner
from tests.built import Built

KINDS = {"shufflenet": ("stem.0", "grouped.0", "branch.2.0", "head"), "mixer": ("blocks.0.tokens.0",)}


@pytest.fixture(params=sorted(LEARNERS))
def each(request: pytest.FixtureRequest) -> Learner:
    return learner(request.param)


@pytest.fixture(params=sorted(f"{network}/{layer}" for network, layers in KINDS.items() for layer in layers))
def problem(
    request: pytest.FixtureRequest, built: Callable[[str], Built]
) -> tuple[Layer, torch.Tensor, torch.Tensor, Gram]:
    """A layer of each kind with its weight, its bias and its inputs' Gram matrix."""
    name, _, wanted = request.param.partition("/")
    analysis = built(name).library.analysis
    (layer,) = [item for item in analysis.layers if item.name == wanted]
    with single_thread():
        gram = collect_grams(analysis.graph, analysis.tensors, [layer], torch.from_numpy(built(name).images), 0)
    found = gram[layer.name]
    assert isinstance(found, Gram)
    return layer, analysis.tensors[layer.weight], analysis.tensors[layer.bias or ""], found


def test_a_learner_goes_by_its_name(each: Learner) -> None:
    assert LEARNERS[each.name].endswith(type(each).__name__)
    assert type(learner(each.name)) is type(each)
    assert each.recipe


def test_levels_begin_with_the_original_and_shrink(
    each: Learner, problem: tuple[Layer, torch.Tensor, torch.Tensor, Gram]
) -> None:
    names = list(each.levels(problem[0]))
    assert len(set(names)) == len(names) > 1
    widths = [level_bits(name) for name in names]
    assert widths[0] == 32
    assert widths == sorted(widths, reverse=True)
    assert list(each.levels(problem[0])) == names


def test_adapted_weights_come_in_the_order_of_the_levels_and_are_legal(
    each: Learner, problem: tuple[Layer, torch.Tensor, torch.Tensor, Gram]
) -> None:
    layer, weight, bias, gram = problem
    before = weight.clone(), bias.clone(), gram.matrix.clone()
    with single_thread():
        found = list(each.adapt(layer, weight, bias, gram))
        again = list(each.adapt(layer, weight, bias, gram))
    assert [level.level for level in found] == list(each.levels(layer))
    assert torch.equal(found[0].weight(weight), weight)
    assert found[0].error == 0
    for level, twin in zip(found, again, strict=True):
        adapted = level.weight(weight)
        assert adapted.shape == weight.shape
        assert adapted.dtype == torch.float32
        assert bool(torch.isfinite(adapted).all())
        assert np.isfinite(level.error)
        assert level.error >= 0
        assert level.method
        assert level.bits == level_bits(level.level)
        assert torch.equal(adapted, twin.weight(weight))
        check_codes(level, layer)
    for old, new in zip(before, (weight, bias, gram.matrix), strict=True):
        assert torch.equal(old, new)


def check_codes(level: LevelWeights, layer: Layer) -> None:
    if level.codes is None:
        return
    assert level.scale is not None
    assert level.zero is not None
    assert level.bias is not None
    assert level.codes.dtype == level.zero.dtype == torch.uint8
    assert level.scale.dtype == torch.float16
    assert level.codes.shape == layer.shape
    assert level.scale.shape == level.zero.shape == level.bias.shape == (layer.shape[0],)
    assert int(level.codes.max()) < 2**level.bits
    assert len(torch.unique(level.codes.flatten(1)[0])) <= 2**level.bits


def test_stated_errors_are_those_of_the_weights(
    each: Learner, problem: tuple[Layer, torch.Tensor, torch.Tensor, Gram]
) -> None:
    layer, weight, bias, gram = problem
    with single_thread():
        found = each.adapt(layer, weight, bias, gram)
    matrix = weight.reshape(layer.matrix_shape).double()

    def power(difference: torch.Tensor) -> float:
        return float(torch.einsum("grc,gcd,grd->", difference, gram.covariance, difference))

    for level in found:
        difference = level.weight(weight).reshape(layer.matrix_shape).double() - matrix
        assert level.error == pytest.approx(power(difference) / power(matrix), rel=0.01, abs=1e-7)


def test_mean_and_variance_are_enough_for_a_layer_that_is_too_wide(
    each: Learner, problem: tuple[Layer, torch.Tensor, torch.Tensor, Gram]
) -> None:
    layer, weight, bias, gram = problem
    with single_thread():
        found = list(each.adapt(layer, weight, bias, DiagonalGram(gram.mean, gram.variance, gram.samples)))
    assert [level.level for level in found] == list(each.levels(layer))
    for level in found:
        assert bool(torch.isfinite(level.weight(weight)).all())
        assert np.isfinite(level.error)
        check_codes(level, layer)
    assert found[1].error < 1e-3


def test_without_a_bias_one_is_made_where_it_is_needed(
    each: Learner, problem: tuple[Layer, torch.Tensor, torch.Tensor, Gram]
) -> None:
    layer, weight, _, gram = problem
    with single_thread():
        found = each.adapt(layer, weight, None, gram)
    assert all(level.bias is not None for level in found if level.codes is not None)
