"""What every entry of `learners.table.LEARNERS`, and every criterion of the channel learner, promises."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import pytest
import torch

from learners.base import GroupLearner, Learner, LearnerOptions, LevelWeights, WeightLearner, level_bits
from learners.channel.consumers import Consumer, find_consumers
from learners.channel.criteria.base import CriterionInput
from learners.channel.criteria.table import CRITERIA, criterion
from learners.channel.groups import ChannelGroup
from learners.device import single_thread
from learners.gram import DiagonalGram, Gram, collect_grams
from learners.graph.layers import Layer
from learners.library.gradients import taylor_products
from learners.table import LEARNERS, in_order, learner
from tests.built import Built

KINDS = {"shufflenet": ("stem.0", "grouped.0", "branch.2.0", "head"), "mixer": ("blocks.0.tokens.0",)}
GROUPED = ("resnet-pad", "mobilenet", "shufflenet", "densenet", "squeeze-excite", "vgg")
WIDTHS = (8, 16, 24, 32, 48, 64, 96, 128, 192, 256, 512, 1280)
LEAST_LEVELS = 3


@dataclass(frozen=True)
class Problem:
    """A layer with its weight, its bias and its inputs' Gram matrix."""

    layer: Layer
    weight: torch.Tensor
    bias: torch.Tensor
    gram: Gram


@pytest.fixture(params=sorted(LEARNERS))
def each(request: pytest.FixtureRequest) -> Learner:
    return learner(request.param)


WEIGHT_LEARNERS = [name for name in sorted(LEARNERS) if isinstance(learner(name), WeightLearner)]
GROUP_LEARNERS = [name for name in sorted(LEARNERS) if isinstance(learner(name), GroupLearner)]


@pytest.fixture(params=WEIGHT_LEARNERS)
def weights(request: pytest.FixtureRequest) -> WeightLearner:
    found = learner(request.param)
    assert isinstance(found, WeightLearner)
    return found


@pytest.fixture(params=sorted(f"{network}/{layer}" for network, layers in KINDS.items() for layer in layers))
def problem(request: pytest.FixtureRequest, built: Callable[[str], Built]) -> Problem:
    """A layer of each kind."""
    name, _, wanted = request.param.partition("/")
    analysis = built(name).library.analysis
    (layer,) = [item for item in analysis.layers if item.name == wanted]
    with single_thread():
        gram = collect_grams(analysis.graph, analysis.tensors, [layer], torch.from_numpy(built(name).images), 0)
    found = gram[layer.name]
    assert isinstance(found, Gram)
    return Problem(layer, analysis.tensors[layer.weight], analysis.tensors[layer.bias or ""], found)


def group_of_width(width: int, each: int = 1) -> ChannelGroup:
    """A group of one layer whose units have `each` channels."""
    units = tuple(range(1, width // each + 1))
    made = tuple(unit for unit in units for _ in range(each))
    return ChannelGroup("c", ("c",), units, made, (frozenset(units),), (made,))


def level_counts(learner: GroupLearner, group: ChannelGroup) -> list[int]:
    """Units that the levels keep where they go from the last to the first."""
    levels = learner.group_levels(group, group.units[:0:-1])
    assert levels.group == group
    assert learner.fewest(group) <= levels.counts[-1]
    return list(levels.counts)


@pytest.fixture(scope="module")
def inputs(built: Callable[[str], Built]) -> Callable[[str], CriterionInput]:
    """What the library gives the criteria, for a network by its name."""
    return cache(lambda name: criterion_input(built(name)))


def criterion_input(network: Built) -> CriterionInput:
    """See `inputs`."""
    analysis = network.library.analysis
    images = torch.from_numpy(network.images)
    with single_thread():
        grams = collect_grams(analysis.graph, analysis.tensors, analysis.producers, images, 0)
    return CriterionInput(
        coupling=analysis.coupling,
        layers={layer.name: layer for layer in analysis.producers},
        tensors=analysis.tensors,
        consumers=find_consumers(analysis.producers, analysis.coupling, analysis.tensors, grams),
        gammas={layer.name: torch.rand(layer.shape[0]) for layer in analysis.layers[::2]},
        gradients=cache(lambda: taylor_products(analysis.graph, analysis.tensors, analysis.layers, images)),
        seed=0,
    )


def test_a_learner_goes_by_its_name(each: Learner) -> None:
    assert LEARNERS[each.name].endswith(type(each).__name__)
    assert type(learner(each.name)) is type(each)
    assert each.recipe


def test_a_learner_changes_weights_or_takes_channels(each: Learner) -> None:
    assert isinstance(each, WeightLearner) != isinstance(each, GroupLearner)


def test_the_order_of_learners_is_that_of_the_table() -> None:
    assert list(LEARNERS) == ["channel", "quant"]
    found = in_order(["quant", "channel"], LearnerOptions())
    assert [item.name for item in found] == ["channel", "quant"]
    assert [item.name for item in in_order(["quant"], LearnerOptions())] == ["quant"]


# Learners of weights


def test_levels_begin_with_the_original_and_shrink(weights: WeightLearner, problem: Problem) -> None:
    names = list(weights.levels(problem.layer))
    assert len(set(names)) == len(names) > 1
    widths = [level_bits(name) for name in names]
    assert widths[0] == 32
    assert widths == sorted(widths, reverse=True)
    assert list(weights.levels(problem.layer)) == names


def test_adapted_weights_come_in_the_order_of_the_levels_and_are_legal(
    weights: WeightLearner, problem: Problem
) -> None:
    layer, weight, bias, gram = problem.layer, problem.weight, problem.bias, problem.gram
    before = weight.clone(), bias.clone(), gram.matrix.clone()
    with single_thread():
        found = list(weights.adapt(layer, weight, bias, gram))
        again = list(weights.adapt(layer, weight, bias, gram))
    assert [level.level for level in found] == list(weights.levels(layer))
    assert torch.equal(found[0].weight(), weight)
    assert not row_errors(found[0]).any()
    for level, twin in zip(found, again, strict=True):
        adapted = level.weight()
        assert adapted.shape == weight.shape
        assert adapted.dtype == torch.float32
        assert bool(torch.isfinite(adapted).all())
        assert row_errors(level).shape == (layer.shape[0],)
        assert row_errors(level).dtype == torch.float64
        assert bool(torch.isfinite(row_errors(level)).all())
        assert bool((row_errors(level) >= 0).all())
        assert level.method
        assert level.bits == level_bits(level.level)
        assert torch.equal(adapted, twin.weight())
        check_codes(level, layer)
    for old, new in zip(before, (weight, bias, gram.matrix), strict=True):
        assert torch.equal(old, new)


def row_errors(level: LevelWeights) -> torch.Tensor:
    assert level.row_errors is not None
    return level.row_errors


def check_codes(level: LevelWeights, layer: Layer) -> None:
    if level.codes is None:
        assert level.values is not None
        return
    assert level.values is None
    assert level.scale is not None
    assert level.zero is not None
    assert level.bias is not None
    assert level.codes.dtype == level.zero.dtype == torch.uint8
    assert level.scale.dtype == torch.float16
    assert level.codes.shape == layer.shape
    assert level.scale.shape == level.zero.shape == level.bias.shape == (layer.shape[0],)
    assert int(level.codes.max()) < 2**level.bits
    assert len(torch.unique(level.codes.flatten(1)[0])) <= 2**level.bits


def test_rows_of_a_level_are_those_of_its_weights(weights: WeightLearner, problem: Problem) -> None:
    with single_thread():
        found = weights.adapt(problem.layer, problem.weight, problem.bias, problem.gram)
    places = torch.arange(0, problem.layer.shape[0], 2)
    for level in found:
        part = level.rows(places)
        assert torch.equal(part.weight(), level.weight()[places])
        assert torch.equal(row_errors(part), row_errors(level)[places])
        assert part.bias is not None
        assert level.bias is not None
        assert torch.equal(part.bias, level.bias[places])


def test_stated_errors_are_those_of_the_weights(weights: WeightLearner, problem: Problem) -> None:
    layer, weight, gram = problem.layer, problem.weight, problem.gram
    with single_thread():
        found = weights.adapt(layer, weight, problem.bias, gram)
    matrix = weight.reshape(layer.matrix_shape).double()

    def powers(difference: torch.Tensor) -> torch.Tensor:
        return torch.einsum("grc,gcd,grd->gr", difference, gram.covariance, difference).reshape(-1)

    scale = float(powers(matrix).sum())
    for level in found:
        difference = level.weight().reshape(layer.matrix_shape).double() - matrix
        torch.testing.assert_close(row_errors(level), powers(difference), rtol=0.01, atol=1e-7 * scale)


def test_mean_and_variance_are_enough_for_a_layer_that_is_too_wide(weights: WeightLearner, problem: Problem) -> None:
    layer, weight, gram = problem.layer, problem.weight, problem.gram
    diagonal = DiagonalGram(gram.mean, gram.variance, gram.samples)
    with single_thread():
        found = list(weights.adapt(layer, weight, problem.bias, diagonal))
    assert [level.level for level in found] == list(weights.levels(layer))
    power = float((weight.reshape(layer.matrix_shape).double().square() * gram.variance[:, None]).sum())
    for level in found:
        assert bool(torch.isfinite(level.weight()).all())
        check_codes(level, layer)
    assert float(row_errors(found[1]).sum()) < 1e-3 * power


def test_without_a_bias_one_is_made_where_it_is_needed(weights: WeightLearner, problem: Problem) -> None:
    with single_thread():
        found = weights.adapt(problem.layer, problem.weight, None, problem.gram)
    assert all(level.bias is not None for level in found if level.codes is not None)


# Learners of groups


def group_learner(name: str, options: LearnerOptions) -> GroupLearner:
    found = learner(name, options)
    assert isinstance(found, GroupLearner)
    return found


@pytest.mark.parametrize("name", GROUP_LEARNERS)
@pytest.mark.parametrize("width", WIDTHS)
def test_counts_start_with_all_and_fall(name: str, width: int) -> None:
    group = group_of_width(width)
    counts = level_counts(group_learner(name, LearnerOptions()), group)
    assert counts[0] == width
    assert all(before > after > 0 for before, after in itertools.pairwise(counts))
    assert len(counts) >= LEAST_LEVELS
    assert level_counts(group_learner(name, LearnerOptions()), group) == counts


@pytest.mark.parametrize("name", GROUP_LEARNERS)
@pytest.mark.parametrize("step", [2, 4, 8, 16])
@pytest.mark.parametrize("width", [32, 48, 64, 128])
def test_counts_are_multiples_of_round_to(name: str, step: int, width: int) -> None:
    counts = level_counts(group_learner(name, LearnerOptions(round_to=step)), group_of_width(width))
    assert counts[0] == width
    assert all(count % step == 0 for count in counts)
    assert len(counts) >= min(LEAST_LEVELS, width // step)


@pytest.mark.parametrize("name", GROUP_LEARNERS)
@pytest.mark.parametrize("least", [1, 7, 16, 32, 40])
def test_counts_stay_at_min_channels(name: str, least: int) -> None:
    counts = level_counts(group_learner(name, LearnerOptions(min_channels=least)), group_of_width(32))
    assert counts[0] == 32
    assert all(count >= least for count in counts[1:])


@pytest.mark.parametrize("name", GROUP_LEARNERS)
def test_readers_lose_their_columns_and_state_what_that_costs(
    name: str, inputs: Callable[[str], CriterionInput]
) -> None:
    given = inputs("squeeze-excite")
    taken = group_learner(name, LearnerOptions())
    readers: dict[str, Consumer] = {item.layer.name: item for found in given.consumers.values() for item in found}
    for consumer in readers.values():
        columns = torch.arange(0, consumer.layer.columns, 2)
        with single_thread():
            found, again = taken.adapt(consumer, columns), taken.adapt(consumer, columns)
        groups, rows, _ = consumer.weight.shape
        assert found.weight.shape == (groups, rows, len(columns))
        assert found.errors.shape == found.shift.shape == (groups, rows)
        assert torch.equal(found.weight, again.weight)
        assert bool(torch.isfinite(found.weight).all())
        assert bool((found.errors >= 0).all())


# Criteria


@pytest.mark.parametrize("name", sorted(CRITERIA))
@pytest.mark.parametrize("network", GROUPED)
def test_an_order_never_empties_a_tensor_and_is_the_same_again(
    name: str, network: str, built: Callable[[str], Built], inputs: Callable[[str], CriterionInput]
) -> None:
    given = inputs(network)
    with single_thread():
        for group in built(network).library.analysis.groups:
            order = list(criterion(name).order(group, given, 1))
            assert list(criterion(name).order(group, given, 1)) == order
            assert len(set(order)) == len(order) <= len(group.units) - 1
            assert set(order) <= set(group.units)
            for together in group.together:
                assert together - set(order)
            fewest = max(1, len(group.units) // 2)
            assert len(criterion(name).order(group, given, fewest)) <= len(group.units) - fewest


@pytest.mark.parametrize("name", sorted(CRITERIA))
def test_a_criterion_goes_by_its_name_and_has_a_recipe_of_its_own(name: str) -> None:
    assert criterion(name).name == name
    assert len({criterion(item).recipe for item in CRITERIA}) == len(CRITERIA)
    recipes = {learner("channel", LearnerOptions(criterion=name, reconstruct=fit)).recipe for fit in (True, False)}
    assert len(recipes) == 2
