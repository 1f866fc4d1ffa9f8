"""Each criterion on a problem that can be solved by hand."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from learners.channel.consumers import Consumer
from learners.channel.coupling import Coupling
from learners.channel.criteria.base import CriterionInput, by_score
from learners.channel.criteria.table import CRITERIA, criterion
from learners.channel.groups import ChannelGroup
from learners.gram import AnyGram, DiagonalGram, Gram
from learners.graph.layers import INDEX_MAP, Layer
from learners.library.gradients import taylor_products
from storage.errors import FixInputError, GiveUpError
from tests.learners.channel.traced import trace_channels
from tests.networks import NETWORKS, build, images


def layer(name: str, outputs: int, inputs: int, kind: str = "convolution") -> Layer:
    shape = (outputs, inputs, 1, 1)
    return Layer(name, kind, name, "x", f"{name}.weight", f"{name}.bias", shape, 1, (1, 1), (0, 0), (1, 1), 1)


def group(
    width: int, layers: tuple[str, ...] = ("c",), together: tuple[frozenset[int], ...] | None = None
) -> ChannelGroup:
    units = tuple(range(1, width + 1))
    return ChannelGroup("c", layers, units, units, together or (frozenset(units),))


def given(
    weights: Mapping[str, torch.Tensor],
    consumers: Mapping[int, list[Consumer]] | None = None,
    gammas: Mapping[str, torch.Tensor] | None = None,
    products: Mapping[str, torch.Tensor] | None = None,
    kinds: Mapping[str, str] | None = None,
    seed: int = 0,
) -> CriterionInput:
    """Layers whose output i is unit i + 1."""
    kind = {name: (kinds or {}).get(name, "convolution") for name in weights}
    layers = {name: layer(name, weight.shape[0], weight.shape[1], kind[name]) for name, weight in weights.items()}
    outputs = {name: np.arange(1, len(weight) + 1) for name, weight in weights.items()}
    coupling = Coupling({}, {}, outputs, {}, (), {})
    return CriterionInput(
        coupling=coupling,
        layers=layers,
        tensors={f"{name}.weight": weight for name, weight in weights.items()},
        consumers=consumers or {},
        gammas=gammas or {},
        gradients=lambda: products or {},
        seed=seed,
    )


def filters(*rows: tuple[float, ...]) -> torch.Tensor:
    return torch.tensor(rows)[:, :, None, None]


def order(name: str, what: CriterionInput, of: ChannelGroup, fewest: int = 1) -> list[int]:
    return list(criterion(name).order(of, what, fewest))


def test_l1_and_l2_differ_where_they_must() -> None:
    weight = filters((3.0, 0.0), (2.0, 2.0), (0.1, 0.1), (5.0, 5.0))  # l1 3, 4; l2 3, 2.83
    assert order("l1", given({"c": weight}), group(4)) == [3, 1, 2]
    assert order("l2", given({"c": weight}), group(4)) == [3, 2, 1]


def test_fpgm_takes_the_filter_that_is_nearest_to_all_others() -> None:
    weight = filters((0.0, 0.0), (1.0, 0.0), (0.0, 2.0), (9.0, 9.0))
    distances = torch.cdist(weight.flatten(1), weight.flatten(1)).sum(1)
    wanted = (distances.argsort()[:3] + 1).tolist()
    assert order("fpgm", given({"c": weight}), group(4)) == wanted
    assert wanted[0] == 2  # not the smallest, which l1 takes
    assert order("l1", given({"c": weight}), group(4))[0] == 1


def test_bn_gamma_reads_gamma_before_folding_and_filters_where_there_is_none() -> None:
    weight = filters((9.0, 9.0), (1.0, 1.0), (5.0, 5.0))
    assert order("bn_gamma", given({"c": weight}), group(3)) == [2, 3]
    gammas = {"c": torch.tensor([0.1, 3.0, 0.5])}
    assert order("bn_gamma", given({"c": weight}, gammas=gammas), group(3)) == [1, 3]


def test_the_gammas_of_an_analysis_are_those_of_the_model() -> None:
    from learners.graph.fold import norm_gammas
    from learners.graph.trace import trace

    model = build("resnet-conv")
    found = norm_gammas(*trace(model, NETWORKS["resnet-conv"].input))
    assert set(found) >= {"stem.0", "blocks.0.first.0", "blocks.1.shortcut.0"}
    for name, gamma in found.items():
        norm = model.get_submodule(name.removesuffix("0") + "1")
        assert torch.equal(gamma, norm.get_parameter("weight").detach().abs())


def test_random_depends_on_the_seed_and_the_group_alone() -> None:
    weight = torch.randn(32, 2, 1, 1, generator=torch.Generator().manual_seed(0))
    first = order("random", given({"c": weight}), group(32))
    assert first == order("random", given({"c": -weight}), group(32))
    assert first != order("random", given({"c": weight}, seed=1), group(32))
    assert sorted(first) != first


def test_taylor_orders_by_the_products_that_it_is_given() -> None:
    weight = filters((1.0, 1.0), (1.0, 1.0), (1.0, 1.0))
    products = {"c.weight": filters((2.0, 2.0), (0.0, 1.0), (0.0, 3.0))}
    assert order("taylor", given({"c": weight}, products=products), group(3)) == [2, 3]


def test_taylor_products_are_those_of_autograd_by_hand() -> None:
    network = trace_channels(build("plain"), NETWORKS["plain"].input)
    batch = images("plain", 64)
    found = taylor_products(network.graph, network.tensors, network.layers, batch)
    weights = {name: network.tensors[name].clone().requires_grad_() for name in found}

    def forward(x: torch.Tensor) -> torch.Tensor:
        biases = {name: network.tensors[name.replace("weight", "bias")] for name in weights}
        x = F.relu(F.conv2d(x, weights["stem.0.weight"], biases["stem.0.weight"], padding=1))
        x = F.relu(F.conv2d(x, weights["body.0.weight"], biases["body.0.weight"], stride=2, padding=1))
        return F.linear(x.mean((2, 3)), weights["head.weight"], biases["head.weight"])

    wanted = {name: torch.zeros_like(weight) for name, weight in weights.items()}
    for half in (batch[:32], batch[32:]):
        logits = forward(half)
        loss = -(logits - logits.logsumexp(1, keepdim=True)).amax(1).mean()
        for name, gradient in zip(weights, torch.autograd.grad(loss, list(weights.values())), strict=True):
            wanted[name] += (weights[name].detach() * gradient).abs() / 2
    assert set(found) == {"stem.0.weight", "body.0.weight", "head.weight"}
    for name, product in found.items():
        torch.testing.assert_close(product, wanted[name], rtol=1e-4, atol=1e-7)


class Gated(nn.Module):
    """A gate by comparison, which no gradient passes."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.body, self.gate = nn.Conv2d(3, 4, 1), nn.Conv2d(4, 4, 1)
        self.head = nn.Linear(4, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.body(x)
        x = (self.gate(x) > 0).float() * x
        found: torch.Tensor = self.head(x.mean((2, 3)))
        return found


def test_weights_that_no_gradient_reaches_have_taylor_products_of_0() -> None:
    network = trace_channels(Gated(3), (3, 8, 8))
    batch = torch.randn(40, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    found = taylor_products(network.graph, network.tensors, network.layers, batch)
    assert not found["gate.weight"].any()
    assert found["body.weight"].any()
    assert found["head.weight"].any()


def test_taylor_products_are_refused_where_all_gradients_would_be_0() -> None:
    network = trace_channels(Gated(1), (3, 8, 8))
    with pytest.raises(FixInputError, match=r'outputs \[n, 1\]: take another criterion, such as "obs"$'):
        taylor_products(network.graph, network.tensors, network.layers, torch.randn(4, 3, 8, 8))


def test_several_layers_vote_whatever_their_scale_and_index_maps_do_not() -> None:
    small = filters((1.0, 1.0), (4.0, 4.0), (2.0, 2.0))
    large = 1000 * filters((1.1, 1.1), (1.0, 1.0), (1.2, 1.2))
    ones = torch.eye(3)[:, :, None, None] * torch.tensor([1e9, 0, 1e9])[:, None, None, None]
    what = given({"c": small, "d": large, "m": ones}, kinds={"m": INDEX_MAP})
    assert order("l1", what, group(3, ("c", "d", "m"))) == [1, 3]


def test_equal_scores_go_from_the_back() -> None:
    assert by_score(group(4), dict.fromkeys((1, 2, 3, 4), 1.0), 1) == (4, 3, 2)


@pytest.mark.parametrize("name", sorted(CRITERIA))
def test_one_of_every_set_that_goes_together_stays(name: str) -> None:
    weight = torch.rand(6, 2, 1, 1, generator=torch.Generator().manual_seed(0)) + 0.1
    what = given({"c": weight}, products={"c.weight": weight})
    sets = (frozenset({1, 2}), frozenset({3}), frozenset(range(1, 7)))
    found = order(name, what, group(6, together=sets))
    assert 3 not in found
    assert len(found) == 4
    assert not {1, 2} <= set(found)


# Structured optimal brain surgeon


def reader(inputs: torch.Tensor, weight: torch.Tensor, each: int = 1, wide: bool = False) -> Consumer:
    """A layer that reads unit u at the columns (u - 1) * each and the following."""
    rows = torch.cat([inputs, inputs.new_ones(len(inputs), 1)], 1).double()
    gram: AnyGram = Gram((rows.T @ rows / len(rows))[None], len(rows))
    if wide:
        gram = DiagonalGram(gram.mean, gram.variance, len(rows))
    count = weight.shape[1] // each
    columns = {unit: torch.arange((unit - 1) * each, unit * each) for unit in range(1, count + 1)}
    return Consumer(layer("r", weight.shape[0], weight.shape[1]), weight.double()[None], gram, columns)


def obs(*readers: Consumer, width: int, fewest: int = 1) -> list[int]:
    consumers = {unit: [item for item in readers if unit in item.columns] for unit in range(1, width + 1)}
    return order("obs", given({"c": torch.ones(width, 2, 1, 1)}, consumers), group(width), fewest)


def noise(columns: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(500, columns, generator=torch.Generator().manual_seed(seed))


def test_a_channel_that_another_one_repeats_goes_first_however_large_it_is() -> None:
    inputs = noise(5)
    inputs[:, 3] = 10 * inputs[:, 1] + 0.01 * noise(1, 1)[:, 0]
    weight = torch.ones(4, 5)
    assert obs(reader(inputs, weight), width=5)[0] in (2, 4)
    # Of the pair only one goes early: once it is gone the other stands for both.
    assert set(obs(reader(inputs, weight), width=5, fewest=1)[:2]) != {2, 4}


def test_independent_channels_go_by_the_variance_that_they_bring() -> None:
    inputs = noise(5) * torch.tensor([3.0, 1.0, 5.0, 2.0, 4.0])
    assert obs(reader(inputs, torch.eye(5)), width=5) == [2, 4, 1, 5]


def test_a_channel_that_nobody_reads_goes_first() -> None:
    inputs, weight = noise(4), torch.ones(3, 4)
    weight[:, 2] = 0
    assert obs(reader(inputs, weight), width=4)[0] == 3
    whole = reader(inputs, torch.ones(3, 4))
    columns = {unit: places for unit, places in whole.columns.items() if unit != 3}
    part = Consumer(whole.layer, whole.weight, whole.gram, columns)
    consumers = {unit: [part] for unit in columns}
    assert order("obs", given({"c": torch.ones(4, 2, 1, 1)}, consumers), group(4))[0] == 3


def test_costs_of_several_readers_are_summed() -> None:
    """Of inputs that share nothing, each costs its squared weight, here in 28ths: 1 + 16, 8 + 1, 16 + 3 and 3 + 8."""
    inputs = noise(4)
    inputs = torch.linalg.qr(inputs - inputs.mean(0)).Q * len(inputs) ** 0.5
    first = reader(inputs, torch.tensor([[1.0, 8.0, 16.0, 3.0]]).sqrt())
    second = reader(inputs, 10 * torch.tensor([[16.0, 1.0, 3.0, 8.0]]).sqrt())  # no reader outvotes others by its scale
    second = Consumer(layer("s", 1, 4), second.weight, second.gram, second.columns)
    assert obs(first, width=4) == [1, 4, 2]
    assert obs(second, width=4) == [2, 3, 4]
    assert obs(first, second, width=4) == [2, 4, 1]


def test_a_covariance_that_is_not_finite_and_one_that_is_not_definite_are_told_apart() -> None:
    matrix = torch.eye(4, dtype=torch.float64)[None]
    whole = reader(noise(3), torch.ones(1, 3))
    for value, said in ((float("nan"), "not finite: check"), (-1.0, 'scale the images .* criterion, such as "l2"')):
        wrong = matrix.clone()
        wrong[:, 0, 0] = value
        with pytest.raises(GiveUpError, match=f"^layer r: .*{said}.*; keep = \\['r'\\]"):
            obs(Consumer(whole.layer, whole.weight, Gram(wrong, 1), whole.columns), width=3)


def test_the_order_is_that_of_removing_the_cheapest_one_at_a_time() -> None:
    """Against least squares done anew for each subset."""
    mixing = torch.randn(6, 6, generator=torch.Generator().manual_seed(5))
    inputs = noise(6) @ mixing
    weight = torch.randn(3, 6, generator=torch.Generator().manual_seed(6))
    target = (inputs @ weight.T).double().numpy()

    def loss(kept: list[int]) -> float:
        design = np.concatenate([inputs[:, kept].double().numpy(), np.ones((500, 1))], 1)
        best, _, _, _ = np.linalg.lstsq(design, target, rcond=None)
        return float(np.square(design @ best - target).mean())

    left = list(range(6))
    wanted = []
    for _ in range(3):
        worst = min(left, key=lambda item: loss([other for other in left if other != item]))
        left.remove(worst)
        wanted.append(worst + 1)
    assert obs(reader(inputs, weight), width=6)[:3] == wanted


def test_units_of_several_columns_and_layers_without_a_covariance() -> None:
    inputs = noise(8) * torch.tensor([1.0, 1, 3, 3, 0.1, 4, 2, 2])
    assert obs(reader(inputs, torch.eye(8), each=2), width=4) == [1, 4, 3]
    assert obs(reader(inputs, torch.eye(8), each=2, wide=True), width=4) == [1, 4, 3]
