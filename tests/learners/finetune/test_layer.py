"""A layer under training, against the levels that it begins with and that it ends as."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
import torch

from learners.base import LevelWeights
from learners.finetune.layer import TrainedLayer
from learners.quant.grid import largest_code
from storage.records.space import FLOAT_BITS
from tests.built import Built

HALF = 2.0**-11  # what float16 rounds a number by, as a share of it
NETWORKS = ("plain", "mobilenet", "mixer", "dead")


def levels(network: Built) -> Iterator[LevelWeights]:
    """Every layer at every width, whole and without some of its outputs."""
    library = network.library
    for index, wiring in enumerate(library.wirings):
        if wiring.precision is None:
            continue
        for width in range(len(library.space.sites[wiring.precision].levels)):
            level = library.level(index, 0, width)
            yield level
            yield level.rows(torch.arange(0, wiring.layer.shape[0], 2))


@pytest.fixture(params=NETWORKS)
def found(request: pytest.FixtureRequest, built: Callable[[str], Built]) -> list[LevelWeights]:
    given = list(levels(built(request.param)))
    assert {item.bits for item in given} >= {FLOAT_BITS, 8, 4, 3}
    return given


def parts(layer: TrainedLayer) -> tuple[torch.Tensor, torch.Tensor]:
    weight, bias = layer.tensors()
    assert bias is not None
    return weight.detach(), bias.detach()


def moved(level: LevelWeights) -> TrainedLayer:
    """As if trained: weights by some steps, beyond the grid too, steps by a tenth."""
    layer, generator = TrainedLayer(level), torch.Generator().manual_seed(0)
    with torch.no_grad():
        for item, size in ((layer.weight, 0.3), (layer.bias, 0.3), (layer.step, 0.1)):
            if item is not None:
                item.add_(size * torch.randn(item.shape, generator=generator))
    return layer


def test_the_first_pass_has_the_weights_of_the_level(found: list[LevelWeights]) -> None:
    for level in found:
        weight, bias = parts(TrainedLayer(level))
        assert level.bias is not None
        torch.testing.assert_close(bias, level.bias, rtol=1e-6, atol=0)
        if level.codes is None:
            torch.testing.assert_close(weight, level.weight(), rtol=1e-6, atol=0)
        else:
            assert torch.equal(weight, level.weight())


def test_without_training_the_level_is_what_it_was(found: list[LevelWeights]) -> None:
    for level in found:
        again = TrainedLayer(level).level()
        assert (again.level, again.bits, again.method) == (level.level, level.bits, level.method)
        assert again.bias is not None
        assert level.bias is not None
        if level.codes is None:
            assert again.values is not None
            torch.testing.assert_close(again.values, level.weight(), rtol=1e-6, atol=0)
            torch.testing.assert_close(again.bias, level.bias, rtol=1e-6, atol=0)
            continue
        assert again.codes is not None
        assert again.zero is not None
        assert level.scale is not None
        assert level.zero is not None
        assert torch.equal(again.codes, level.codes)
        assert torch.equal(again.zero, level.zero)
        assert torch.equal(again.weight(), level.weight())
        alive = level.weight().reshape(len(level.scale), -1).any(1)  # the scale of nothing but zeros means nothing
        before, after = (item.scale.float() * 2.0**item.exponent for item in (level, again) if item.scale is not None)
        assert torch.equal(after[alive], before[alive])
        assert torch.equal(again.bias, level.bias)


def test_a_trained_level_is_what_the_last_pass_had(found: list[LevelWeights]) -> None:
    for level in found:
        layer = moved(level)
        weight, bias = parts(layer)
        again = layer.level()
        assert again.bias is not None
        if level.codes is None:
            assert again.values is not None
            assert torch.equal(again.values, weight)
            assert torch.equal(again.bias, bias)
            continue
        assert again.codes is not None
        assert again.scale is not None
        assert (again.codes.dtype, again.scale.dtype) == (torch.uint8, torch.float16)
        assert int(again.codes.max()) <= largest_code(level.bits)
        assert not torch.equal(again.codes, level.codes) or not level.weight().any()
        step = (again.scale.float() * 2.0**again.exponent).reshape(-1, *[1] * (weight.dim() - 1))
        difference = (again.weight() - weight).abs()
        close = difference <= 1.01 * HALF * weight.abs()
        assert bool(torch.where(close, True, difference <= 1.01 * step).all())  # a weight between two codes
        assert float(close.float().mean()) > 0.98
        largest = float(bias.abs().max())
        assert float((again.bias - bias).abs().max()) <= HALF * largest


def test_what_is_trained_are_numbers_around_one(found: list[LevelWeights]) -> None:
    for level in found:
        layer = TrainedLayer(level)
        rows = level.weight().reshape(len(layer.weight), -1)
        alive = rows.abs().amax(1) > 0
        size = layer.weight.detach().reshape(len(rows), -1).square().mean(1).sqrt()
        torch.testing.assert_close(size[alive], torch.ones(int(alive.sum())))
        assert not bool(size[~alive].any())
        assert layer.bias is not None
        assert float(layer.bias.detach().square().mean().sqrt()) <= 1 + 1e-6
        assert (layer.step is None) == (level.codes is None)
        assert layer.step is None or not bool(layer.step.any())


def test_all_that_is_trained_gets_a_finite_gradient(found: list[LevelWeights]) -> None:
    for level in found:
        layer = moved(level)
        weight, bias = layer.tensors()
        assert bias is not None
        generator = torch.Generator().manual_seed(1)
        loss = (weight * torch.randn(weight.shape, generator=generator)).sum() + (bias * bias).sum()
        loss.backward()  # type: ignore[no-untyped-call]
        for item in layer.parameters():
            assert item.grad is not None
            assert bool(torch.isfinite(item.grad).all())
            assert bool(item.grad.any())


def test_a_layer_without_biases_keeps_none(built: Callable[[str], Built]) -> None:
    level = replace(next(levels(built("plain"))), bias=None)
    layer = moved(level)
    assert layer.tensors()[1] is None
    assert layer.level().bias is None
