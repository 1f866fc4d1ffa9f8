"""Trains one network, epoch by epoch."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass

import torch

from learners.finetune.batches import Batch, Batches
from learners.finetune.checkpoint import MODEL, Checkpoint, EpochReport
from learners.finetune.features import FeatureLoss
from learners.finetune.loss import is_classifier, training_loss
from learners.finetune.network import Grids, TrainedNetwork
from learners.finetune.options import TrainingOptions
from learners.graph.graph import Node
from learners.graph.run import Observer, Program

WARM_UP = 0.03  # share of the steps in which the rate rises: Adam's first estimates are rough
BETAS = (0.9, 0.99)  # short memories, as trainings are short
# Activation grids get a gradient every so many steps: it takes two more passes over every tensor, and a grid is one
# number that moves slowly.
GRID_STEPS = 8
# Of the steps, the last ones, that round activations: 8 bits change little, which is soon learned, and rounding them is
# a large part of what a step costs.
ROUNDED = 0.4
STATE = ("exp_avg", "exp_avg_sq", "step")  # of AdamW, for each parameter


class DivergedError(Exception):
    """The loss is no finite number any more. `epoch` is when."""

    def __init__(self, epoch: int) -> None:
        super().__init__(f"its loss became NaN or infinite in epoch {epoch + 1}")
        self.epoch = epoch


@dataclass(frozen=True)
class Teacher:
    """The dense model."""

    program: Program
    tensors: Mapping[str, torch.Tensor]


@dataclass(frozen=True)
class Span:
    """Epochs over which the learning rate falls to 0: from `start` up to `stop`, of the whole training."""

    start: int
    stop: int


class Trainer:
    """Trains a network in place with AdamW (Loshchilov and Hutter 2019, 1711.05101, without decay) and a rate that
    falls by a cosine.

    Deterministic on one thread of one type of processor: an epoch depends on the checkpoint before it alone.
    """

    def __init__(
        self,
        network: TrainedNetwork,
        batches: Batches,
        options: TrainingOptions,
        span: Span,
        teacher: Teacher | None,
        features: FeatureLoss | None,
        bf16: bool,
    ) -> None:
        """The network and the teacher's tensors are on the device that trains. `features` need a teacher."""
        self._network = network
        self._batches = batches
        self._rate = options.rate
        self._span = span
        self._teacher = teacher
        self._features = features
        self._bf16 = bf16
        self._named = {name: item for name, item in network.named_parameters() if item.requires_grad}
        self._device = next(iter(self._named.values())).device
        self._optimiser = torch.optim.AdamW(self._named.values(), lr=options.rate, betas=BETAS, weight_decay=0.0)
        self._reports: tuple[EpochReport, ...] = ()

    @property
    def epoch(self) -> int:
        """The next epoch."""
        return self._reports[-1].epoch + 1 if self._reports else self._span.start

    @property
    def _steps(self) -> int:
        """Of the whole span."""
        return (self._span.stop - self._span.start) * self._batches.steps

    def run_epoch(self) -> EpochReport:
        """Trains for the next epoch. DivergedError where the loss is not finite; the network is of no use then."""
        epoch, started = self.epoch, time.process_time()
        done = (epoch - self._span.start) * self._batches.steps
        total, right, seen = 0.0, 0, 0
        for step, batch in enumerate(self._batches.epoch(epoch)):
            for group in self._optimiser.param_groups:
                group["lr"] = self._rate * self._share(done + step)
            loss, hits = self._step(batch, self._grids(done + step))
            if not math.isfinite(loss):
                raise DivergedError(epoch)
            total += loss
            right += hits or 0
            seen += len(batch.images)
        if not all(bool(torch.isfinite(item).all()) for item in self._named.values()):
            raise DivergedError(epoch)  # as the next loss would show
        accuracy = None if hits is None else 100 * right / seen
        report = EpochReport(epoch, total / self._batches.steps, accuracy, time.process_time() - started)
        self._reports = (*self._reports, report)
        return report

    def _share(self, step: int) -> float:
        """Of the highest rate, at a step of the span."""
        warm = min(1.0, (step + 1) / (WARM_UP * self._steps + 1))
        return warm * (1 + math.cos(math.pi * step / self._steps)) / 2

    def _grids(self, step: int) -> Grids:
        """What becomes of activations at a step of the span."""
        first = math.ceil((1 - ROUNDED) * self._steps)
        if step < first:
            return Grids.LEFT_OUT
        return Grids.LEARNED if (step - first) % GRID_STEPS == 0 else Grids.FIXED

    def _step(self, batch: Batch, grids: Grids) -> tuple[float, int | None]:
        """One step; the loss, and how many of the images are classified rightly, None without labels."""
        images = batch.images.to(self._device)
        if images.dim() == 4:
            images = images.contiguous(memory_format=torch.channels_last)
        labels = None if batch.labels is None else batch.labels.to(self._device)
        dense: dict[str, torch.Tensor] = {}
        own: dict[str, torch.Tensor] = {}
        wanted = self._features.names if self._features is not None else frozenset()
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._bf16):
            taught = None
            if self._teacher is not None:
                with torch.no_grad():
                    taught = self._teacher.program(self._teacher.tensors, images, _collect(wanted, dense)).float()
            output = self._network(images, grids, _collect(wanted, own)).float()
        loss = training_loss(output, labels, taught)
        if self._features is not None:
            loss = loss + self._features(own, dense)
        self._optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        if grids is not Grids.LEARNED:
            self._network.grids.grad = None
        self._optimiser.step()
        known = labels is not None and is_classifier(output)
        return float(loss.detach()), int((output.argmax(1) == labels).sum()) if known else None

    def checkpoint(self) -> Checkpoint:
        """Where the training stands; what it holds is not copied yet."""
        tensors = {f"{MODEL}/{name}": item.detach() for name, item in self._named.items()}
        for name, item in self._named.items():
            state = self._optimiser.state.get(item, {})
            tensors.update({f"{key}/{name}": state[key] for key in STATE if key in state})
        return Checkpoint(tensors, self._reports)

    def restore(self, checkpoint: Checkpoint) -> None:
        """Goes on from there."""
        self._network.load(checkpoint.parameters)
        self._reports = checkpoint.reports
        for name, item in self._named.items():
            state = {key: checkpoint.tensors[f"{key}/{name}"] for key in STATE if f"{key}/{name}" in checkpoint.tensors}
            if state:
                # Copies: the optimiser changes them. It counts its steps on the processor.
                places = {key: torch.device("cpu") if key == "step" else self._device for key in state}
                self._optimiser.state[item] = {key: value.to(places[key], copy=True) for key, value in state.items()}


def _collect(names: frozenset[str], into: dict[str, torch.Tensor]) -> Observer | None:
    """An observer that keeps the values `names`; None where there are none."""
    if not names:
        return None

    def observe(node: Node, value: torch.Tensor) -> None:
        if node.name in names:
            into[node.name] = value

    return observe
