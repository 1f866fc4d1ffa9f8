"""The quantisation learner and its parts: never worse than rounding, exact where it claims to be, finite always."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from learners.base import LearnerOptions, LevelWeights
from learners.gram import Gram
from learners.graph.layers import Layer
from learners.quant.gptq import gptq
from learners.quant.grid import BYTE_BITS, BYTE_ZERO, LARGEST_INT8, Grid, fit_grid, largest_code, storable
from learners.quant.learner import GPTQ_METHOD, QuantLearner
from learners.quant.refine import coordinate_descent, output_error, refit_scale
from learners.quant.rounding import round_to_nearest

WIDTHS = (2, 3, 4, 6, 8)


def case(seed: int, groups: int, rows: int, columns: int, rank: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """A weight [groups, rows, columns] and a covariance of correlated inputs."""
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(groups, rows, columns, generator=generator)
    mixing = torch.randn(groups, columns, rank or columns, generator=generator, dtype=torch.float64)
    noise = 0.05 * torch.eye(columns, dtype=torch.float64)
    return weight, mixing @ mixing.transpose(1, 2) + noise


def importance(covariance: torch.Tensor) -> torch.Tensor:
    return covariance.diagonal(dim1=1, dim2=2).float()


def layer(groups: int, rows: int, columns: int) -> Layer:
    shape = (groups * rows, columns, 1, 1)
    return Layer("c", "convolution", "y", "x", "c.weight", "c.bias", shape, groups, (1, 1), (0, 0), (1, 1), 1)


def gram_of(inputs: torch.Tensor) -> Gram:
    """[groups, samples, columns] to their Gram matrix."""
    rows = torch.cat([inputs, inputs.new_ones(*inputs.shape[:2], 1)], 2).double()
    return Gram(rows.transpose(1, 2) @ rows / rows.shape[1], rows.shape[1])


def error_of(level: LevelWeights) -> float:
    """Squared error of all rows."""
    assert level.row_errors is not None
    return float(level.row_errors.sum())


def check_levels(levels: list[LevelWeights], weight: torch.Tensor) -> None:
    """What every consumer relies on."""
    assert [level.level for level in levels] == ["fp32", "w8", "w6", "w4", "w3", "w2"]
    for level in levels[1:]:
        assert level.codes is not None
        assert level.scale is not None
        assert level.zero is not None
        assert level.bias is not None
        assert level.codes.dtype == torch.uint8
        assert int(level.codes.max()) <= largest_code(level.bits)
        assert int(level.zero.max()) <= 2 * largest_code(level.bits)
        if level.bits == BYTE_BITS:
            assert set(level.zero.tolist()) == {BYTE_ZERO}
        steps = 2 * level.codes.int() - level.zero.int().reshape(-1, *[1] * (weight.dim() - 1))
        if level.bits == BYTE_BITS:
            steps = steps // 2  # the zero point is even: every second step of the half grid is enough
        # Processors without VNNI add two products with uint8 activations in 16 bits: beyond 64, they overflow.
        assert int(steps.abs().max()) <= LARGEST_INT8
        for tensor in (level.scale, level.bias, level.weight()):
            assert bool(torch.isfinite(tensor).all())
        assert bool((level.scale > 0).all())
        assert level.row_errors is not None
        assert level.row_errors.shape == (len(weight),)
        assert bool(torch.isfinite(level.row_errors).all())
        assert bool((level.row_errors >= 0).all())


@given(seed=st.integers(0, 2**31), bits=st.sampled_from(WIDTHS), rows=st.integers(1, 4), columns=st.integers(1, 12))
@settings(max_examples=40, deadline=None)
def test_codes_stay_on_the_grid_and_decode_to_the_nearest_point(seed: int, bits: int, rows: int, columns: int) -> None:
    weight, covariance = case(seed, 2, rows, columns)
    grid = fit_grid(weight, importance(covariance), bits)
    codes = grid.encode(weight)
    assert torch.equal(codes, codes.round())
    assert float(codes.min()) >= 0
    assert float(codes.max()) <= largest_code(bits)
    assert torch.equal(grid.scale, grid.scale.half().float())
    assert torch.equal(grid.encode(grid.decode(codes)), codes)
    inside = (weight >= grid.decode(torch.zeros_like(codes))) & (weight <= grid.decode(grid.largest.expand_as(codes)))
    distance = (grid.nearest(weight) - weight).abs()
    assert bool((distance[inside] <= (0.5001 * grid.scale).expand_as(weight)[inside] + 1e-6).all())


@pytest.mark.parametrize("bits", WIDTHS)
def test_a_fitted_grid_is_no_worse_than_the_full_range(bits: int) -> None:
    weight, covariance = case(0, 1, 8, 64)
    importances = importance(covariance)
    grid = fit_grid(weight, importances, bits)
    largest = largest_code(bits)
    reach = weight.abs().amax(2, keepdim=True)
    full = Grid(grid.largest, storable(2 * reach / largest), torch.full_like(reach, float(largest)))

    def error(candidate: Grid) -> torch.Tensor:
        return ((candidate.nearest(weight) - weight).square() * importances[:, None]).sum(2)

    assert bool((error(grid) <= error(full)).all())


@given(seed=st.integers(0, 2**31), bits=st.sampled_from((2, 3, 4)), groups=st.integers(1, 3))
@settings(max_examples=25, deadline=None)
def test_refinement_never_raises_the_error(seed: int, bits: int, groups: int) -> None:
    weight, covariance = case(seed, groups, 3, 20, rank=6)
    grid = fit_grid(weight, importance(covariance), bits)
    codes = grid.encode(weight)
    before = output_error(weight, covariance, grid.decode(codes))
    refitted = refit_scale(weight, covariance, grid, codes)
    after = output_error(weight, covariance, refitted.decode(codes))
    assert bool((after <= before).all())
    descended = coordinate_descent(weight, covariance, refitted, codes, 2)
    last = output_error(weight, covariance, refitted.decode(descended))
    assert bool((last <= after * (1 + 1e-4)).all())  # the gradient is kept in float32
    assert float(descended.min()) >= 0
    assert float(descended.max()) <= largest_code(bits)


@pytest.mark.parametrize("columns", [7, 64, 65, 150])
def test_gptq_beats_rounding_on_correlated_inputs(columns: int) -> None:
    for bits in (2, 3, 4):
        weight, covariance = case(columns, 2, 16, columns, rank=max(3, columns // 4))
        grid = fit_grid(weight, importance(covariance), bits)
        rounded = output_error(weight, covariance, grid.nearest(weight)).sum()
        codes = gptq(weight, covariance, grid)
        assert float(output_error(weight, covariance, grid.decode(codes)).sum()) < 0.7 * float(rounded)
        assert float(codes.min()) >= 0
        assert float(codes.max()) <= largest_code(bits)


def test_gptq_on_uncorrelated_inputs_is_rounding() -> None:
    weight, _ = case(0, 2, 4, 10)
    covariance = torch.diag_embed(torch.rand(2, 10, dtype=torch.float64) + 0.1)
    grid = fit_grid(weight, importance(covariance), 3)
    assert torch.equal(gptq(weight, covariance, grid), grid.encode(weight))


@pytest.mark.parametrize("seed", range(5))
def test_the_learner_comes_near_the_best_codes_there_are(seed: int) -> None:
    """All 4^6 codes of a row of six 2-bit weights on the grid that the learner chose."""
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(1, 200, 3, generator=generator) @ torch.randn(1, 3, 6, generator=generator)
    inputs = inputs + 0.3 * torch.randn(1, 200, 6, generator=generator)
    weight = torch.randn(3, 6, 1, 1, generator=generator)
    gram = gram_of(inputs)
    level = QuantLearner(LearnerOptions()).adapt(layer(1, 3, 6), weight, torch.zeros(3), gram)[-1]
    assert level.scale is not None
    assert level.zero is not None
    matrix = weight.reshape(1, 3, 6).double()  # in float32 the two errors of the same codes differ by rounding
    chosen = output_error(matrix, gram.covariance, level.weight().reshape(1, 3, 6).double()).reshape(3)
    every = torch.tensor(list(itertools.product(range(4), repeat=6)), dtype=torch.float32)
    for row in range(3):
        points = (2 * every - float(level.zero[row])) * float(level.scale[row]) * 2.0 ** (level.exponent - 1)
        errors = output_error(matrix[:, row].expand(1, len(every), 6), gram.covariance, points[None].double())
        assert float(errors.min()) <= float(chosen[row]) * (1 + 1e-12)
        assert float(chosen[row]) <= 2.0 * float(errors.min())


@pytest.mark.parametrize(("groups", "rows", "columns"), [(1, 16, 40), (4, 4, 9), (8, 1, 9), (1, 1, 1), (1, 5, 1)])
def test_levels_are_legal_and_errors_true(groups: int, rows: int, columns: int) -> None:
    generator = torch.Generator().manual_seed(0)
    mixing = torch.randn(groups, columns, columns, generator=generator)
    inputs = torch.randn(groups, 300, columns, generator=generator) @ mixing + 1.5
    weight = torch.randn(groups * rows, columns, 1, 1, generator=generator)
    bias = torch.randn(groups * rows, generator=generator)
    levels = list(QuantLearner(LearnerOptions()).adapt(layer(groups, rows, columns), weight, bias, gram_of(inputs)))
    check_levels(levels, weight)
    assert error_of(levels[0]) == 0
    assert torch.equal(levels[0].weight(), weight)

    def outputs(part: torch.Tensor, offset: torch.Tensor) -> torch.Tensor:
        matrix = part.reshape(groups, rows, columns).double()
        return inputs.double() @ matrix.transpose(1, 2) + offset.double().reshape(groups, 1, rows)

    exact = outputs(weight, bias)
    for level in levels[1:]:
        assert level.bias is not None
        found = outputs(level.weight(), level.bias)
        # The bias takes up the mean of the error, so that what is left is its variance, which `row_errors` state.
        measured = (found - exact).square().mean(1).reshape(-1)
        power = float(exact.var(1, correction=0).sum())
        assert level.row_errors is not None
        torch.testing.assert_close(level.row_errors, measured, rtol=0.02, atol=1e-5 * power)
    for wide, narrow in itertools.pairwise(levels):
        assert error_of(wide) <= error_of(narrow) + 1e-6 * power


def test_the_learner_is_never_worse_than_rounding_on_its_own_grid() -> None:
    for seed in range(4):
        generator = torch.Generator().manual_seed(seed)
        inputs = torch.randn(1, 300, 5, generator=generator) @ torch.randn(1, 5, 24, generator=generator)
        weight = torch.randn(12, 24, 1, 1, generator=generator)
        gram = gram_of(inputs)
        levels = QuantLearner(LearnerOptions()).adapt(layer(1, 12, 24), weight, torch.zeros(12), gram)
        matrix = weight.reshape(1, 12, 24)
        for level in levels[1:]:
            grid = fit_grid(matrix, importance(gram.covariance), level.bits)
            rounded = output_error(matrix, gram.covariance, grid.nearest(matrix)).reshape(-1)
            found = output_error(matrix, gram.covariance, level.weight().reshape(1, 12, 24)).reshape(-1)
            assert bool((found <= rounded * (1 + 1e-6) + 1e-12).all())
            assert level.method == GPTQ_METHOD


def dead(inputs: torch.Tensor) -> torch.Tensor:
    inputs[:, :, ::2] = 0
    return inputs


Change = Callable[[torch.Tensor, torch.Tensor], tuple[torch.Tensor, torch.Tensor]]
DEGENERATE: dict[str, Change] = {
    "all inputs zero": lambda x, w: (0 * x, w),
    "inputs constant": lambda x, w: (0 * x + 3, w),
    "some inputs dead": lambda x, w: (dead(x), w),
    "inputs equal": lambda x, w: (x[:, :, :1].expand_as(x).clone(), w),
    "one sample": lambda x, w: (x[:, :1], w),
    "inputs huge": lambda x, w: (1e6 * x, w),
    "inputs tiny": lambda x, w: (1e-6 * x, w),
    "weights zero": lambda x, w: (x, 0 * w),
    "weights constant": lambda x, w: (x, 0 * w + 0.7),
    "one row zero": lambda x, w: (x, torch.cat([0 * w[:1], w[1:]])),
    "all positive": lambda x, w: (x, w.abs() + 1),
    "one outlier": lambda x, w: (x, w + 1000 * (w == w.max())),
    "weights tiny": lambda x, w: (x, 1e-7 * w),
    "weights large": lambda x, w: (x, 1e3 * w),
}


@pytest.mark.parametrize("name", DEGENERATE)
def test_degenerate_inputs_give_finite_legal_levels(name: str) -> None:
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(2, 50, 10, generator=generator)
    weight = torch.randn(8, 10, 1, 1, generator=generator)
    inputs, weight = DEGENERATE[name](inputs, weight)
    levels = list(QuantLearner(LearnerOptions()).adapt(layer(2, 4, 10), weight, torch.zeros(8), gram_of(inputs)))
    check_levels(levels, weight)
    if name in ("all inputs zero", "inputs constant", "weights zero"):
        assert all(error_of(level) < 1e-6 for level in levels)


@pytest.mark.parametrize("scale", [1e-7, 1e-4, 1e-2, 1.0, 1e2, 1e5])
def test_eight_bits_are_nearly_exact_at_any_scale(scale: float) -> None:
    """A first layer that reads pixels of 0 to 255 has weights of a hundredth of the usual."""
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(1, 400, 27, generator=generator) / scale
    weight = scale * torch.randn(16, 27, 1, 1, generator=generator)
    level = QuantLearner(LearnerOptions()).adapt(layer(1, 16, 27), weight, torch.zeros(16), gram_of(inputs))[1]
    assert error_of(level) < 1e-3 * 16 * 27  # the variance of 16 outputs of 27 inputs each


def test_the_same_inputs_give_the_same_bits() -> None:
    generator = torch.Generator().manual_seed(0)
    inputs, weight = torch.randn(1, 60, 30, generator=generator), torch.randn(9, 30, 1, 1, generator=generator)
    first, again = (
        QuantLearner(LearnerOptions()).adapt(layer(1, 9, 30), weight.clone(), torch.zeros(9), gram_of(inputs))
        for _ in range(2)
    )
    for one, other in zip(first[1:], again[1:], strict=True):
        assert one.codes is not None
        assert other.codes is not None
        assert torch.equal(one.codes, other.codes)
        assert error_of(one) == error_of(other)


@pytest.mark.parametrize("bits", WIDTHS)
def test_plain_rounding_is_symmetric_and_exact_at_its_ends(bits: int) -> None:
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(5, 3, 3, 3, generator=generator)
    level = round_to_nearest(weight, torch.ones(5), bits)
    assert level.codes is not None
    assert level.scale is not None
    found = level.weight()
    reach = LARGEST_INT8 if bits == BYTE_BITS else 2 ** (bits - 1) - 1
    step = weight.abs().amax((1, 2, 3)) / reach
    torch.testing.assert_close(level.scale.float() * 2.0**level.exponent, step, rtol=1e-3, atol=0)
    assert int(level.codes.max()) <= largest_code(bits)
    assert bool(((found - weight).abs() <= 0.505 * step[:, None, None, None]).all())
    mirrored = round_to_nearest(-weight, None, bits)
    assert torch.equal(mirrored.weight(), -found)
    assert mirrored.bias is None


def test_plain_rounding_of_zeros_is_zero() -> None:
    level = round_to_nearest(torch.zeros(3, 4), torch.zeros(3), 4)
    assert not level.weight().any()
    assert error_of(level) == 0
