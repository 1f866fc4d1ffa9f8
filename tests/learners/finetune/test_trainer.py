"""Trainings of small networks, whole and interrupted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from learners.finetune.batches import Batches
from learners.finetune.checkpoint import CHECKPOINT_FILE, Checkpoint
from learners.finetune.features import FeatureLoss
from learners.finetune.network import Grids, TrainedNetwork
from learners.finetune.options import TrainingOptions
from learners.finetune.trainer import DivergedError, Span, Trainer
from storage.records.space import FLOAT_BITS
from tests.built import Built, Floats
from tests.learners.agreement import Levels, random_levels, with_bits
from tests.learners.finetune.material import OPTIONS, split, teacher, trainable

IMAGES = 64  # four steps of an epoch
LESS = 0.96  # of what these networks lose, a training of a second makes up for little
Bits = list[tuple[str, bytes]]


def pruned(network: Built, bits: int = 3) -> Levels:
    space = network.library.space
    return with_bits(space, random_levels(space, np.random.default_rng(1)), bits)


def trainer(
    network: Built,
    levels: Levels,
    span: Span,
    options: TrainingOptions = OPTIONS,
    bf16: bool = False,
    labelled: bool = True,
) -> tuple[Trainer, TrainedNetwork]:
    trained = trainable(network, levels)
    features = None
    if options.features != "none":
        features = FeatureLoss(network.library.analysis, network.library.kept(levels), options.features)
    batches = Batches(split(network, IMAGES, labelled=labelled), options)
    dense = teacher(network) if options.distill else None
    return Trainer(trained, batches, options, span, dense, features, bf16), trained


def bits(tensors: Sequence[tuple[str, torch.Tensor]]) -> Bits:
    return [(name, item.detach().numpy().tobytes()) for name, item in sorted(tensors)]


def parameters(trained: TrainedNetwork) -> Bits:
    return bits(list(trained.named_parameters()))


@pytest.mark.parametrize("features", ["none", "fsp"])
@pytest.mark.parametrize("bf16", [False, True])
def test_an_interrupted_training_ends_with_the_bits_of_one_that_was_not(
    features: str, bf16: bool, built: Callable[[str], Built], tmp_path: Path
) -> None:
    network, span = built("resnet-conv"), Span(0, 3)
    levels, options = pruned(network), replace(OPTIONS, features=features, augment="crop+flip")
    whole, wanted = trainer(network, levels, span, options, bf16)
    reports = [whole.run_epoch() for _ in range(3)]
    for epoch in range(3):  # each in a process of its own, as it were
        part, found = trainer(network, levels, span, options, bf16)
        stored = Checkpoint.read(tmp_path / CHECKPOINT_FILE)
        if stored is not None:
            part.restore(stored)
        assert part.epoch == epoch
        assert replace(part.run_epoch(), seconds=0.0) == replace(reports[epoch], seconds=0.0)
        part.checkpoint().write(tmp_path / CHECKPOINT_FILE)
    assert parameters(found) == parameters(wanted)
    assert parameters(found) != parameters(trainable(network, levels))
    assert bits(list(part.checkpoint().tensors.items())) == bits(list(whole.checkpoint().tensors.items()))


def test_a_restored_training_leaves_the_other_one_alone(built: Callable[[str], Built]) -> None:
    network, span = built("plain"), Span(0, 2)
    levels = pruned(network)
    first, before = trainer(network, levels, span)
    first.run_epoch()
    kept = bits(list(first.checkpoint().tensors.items()))
    other, _ = trainer(network, levels, span)
    other.restore(first.checkpoint())
    other.run_epoch()
    assert bits(list(first.checkpoint().tensors.items())) == kept
    assert before.grids.shape == (len(network.packed(levels).activations),)


@pytest.mark.parametrize("features", ["none", "hidden", "fsp"])
def test_the_dense_model_teaches_what_was_lost(features: str, built: Callable[[str], Built]) -> None:
    network = built("resnet-conv")
    options = replace(OPTIONS, features=features, batch=8)
    work, trained = trainer(network, pruned(network), Span(0, 5), options, labelled=False)
    others = split(network, 32).images
    before = distance(network, trained, others)
    reports = [work.run_epoch() for _ in range(5)]
    assert reports[-1].loss < LESS * reports[0].loss
    assert distance(network, trained, others) < before
    assert [item.epoch for item in reports] == [0, 1, 2, 3, 4]
    assert all(item.accuracy is None and item.seconds > 0 for item in reports)


@pytest.mark.parametrize("distill", [True, False])
def test_labels_teach_beside_it_and_alone(distill: bool, built: Callable[[str], Built]) -> None:
    network = built("resnet-conv")
    options = replace(OPTIONS, distill=distill, batch=8, rate=0.03)
    work, _ = trainer(network, pruned(network), Span(0, 5), options)
    reports = [work.run_epoch() for _ in range(5)]
    assert reports[-1].loss < (1.0 if distill else LESS) * reports[0].loss
    assert all(item.accuracy is not None and 0 < item.accuracy <= 100 for item in reports)


def distance(network: Built, trained: TrainedNetwork, images: Floats) -> float:
    """From the dense model's outputs, on the grids of a file."""
    dense = teacher(network)
    with torch.no_grad():
        batch = torch.from_numpy(images)
        wanted = dense.program(dense.tensors, batch)
        return float((trained(batch, Grids.FIXED) - wanted).square().mean().sqrt())


@pytest.mark.parametrize("rate", [1e6, float("inf")])
def test_a_loss_that_is_no_number_ends_the_training(rate: float, built: Callable[[str], Built]) -> None:
    network = built("plain")
    work, _ = trainer(network, pruned(network), Span(0, 4), replace(OPTIONS, rate=rate, distill=False))
    with pytest.raises(DivergedError, match=r"^its loss became NaN or infinite in epoch \d$") as caught:
        list(iter(work.run_epoch, None))
    assert caught.value.epoch == work.epoch < 4  # which has no report


def test_what_the_last_step_has_broken_is_no_training(built: Callable[[str], Built]) -> None:
    """No loss after it shows that its parameters are no numbers."""
    network = built("plain")
    work, _ = trainer(network, pruned(network), Span(0, 1), replace(OPTIONS, rate=float("inf"), batch=IMAGES))
    with pytest.raises(DivergedError, match=r"in epoch 1$"):
        work.run_epoch()


def test_grids_are_learned_at_the_end_alone(built: Callable[[str], Built]) -> None:
    network = built("plain")
    work, trained = trainer(network, pruned(network), Span(0, 4), replace(OPTIONS, batch=8))
    for _ in range(2):
        work.run_epoch()
        assert not bool(trained.grids.any())
    for _ in range(2):
        work.run_epoch()
    assert bool((trained.grids != 0).any())
    assert float(trained.grids.detach().abs().max()) < 0.2


def test_the_rate_rises_at_first_and_ends_at_nothing(built: Callable[[str], Built]) -> None:
    """Adam moves every number by about the rate: so does the largest change of an epoch show it."""
    network = built("plain")
    work, trained = trainer(network, pruned(network), Span(0, 6), replace(OPTIONS, batch=8))
    changes = []
    for _ in range(6):
        before = [item.detach().clone() for item in trained.layers.parameters()]
        work.run_epoch()
        after = [item.detach() for item in trained.layers.parameters()]
        changes.append(max(float((new - old).abs().max()) for new, old in zip(after, before, strict=True)))
    assert changes[-1] < changes[0] / 4
    assert max(changes) <= 8 * 2 * OPTIONS.rate


def test_a_later_span_begins_with_its_own_epochs(built: Callable[[str], Built]) -> None:
    network = built("plain")
    work, _ = trainer(network, pruned(network), Span(2, 4))
    assert work.epoch == 2
    assert [work.run_epoch().epoch for _ in range(2)] == [2, 3]
    assert [item.epoch for item in work.checkpoint().reports] == [2, 3]


def test_a_plan_in_float_is_trained_without_grids(built: Callable[[str], Built]) -> None:
    network = built("plain")
    space = network.library.space
    levels = with_bits(space, random_levels(space, np.random.default_rng(1)), FLOAT_BITS)
    work, trained = trainer(network, levels, Span(0, 2))
    first = parameters(trained)
    assert work.run_epoch().loss > work.run_epoch().loss
    assert parameters(trained) != first


@pytest.mark.parametrize("name", ["attention", "encoder-layer", "in-place", "mlp", "norm-first", "shufflenet", "silu"])
def test_networks_of_other_families_learn_too(name: str, built: Callable[[str], Built]) -> None:
    network = built(name)
    work, _ = trainer(network, pruned(network), Span(0, 3))
    losses = [work.run_epoch().loss for _ in range(3)]
    assert losses[-1] < losses[0]
