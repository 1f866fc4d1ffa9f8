"""Captured modules: the same graph as the module's own, and a module that nobody has touched."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from learners.captured import capture_model, open_model, unwrapped
from learners.graph.run import Program
from learners.graph.trace import trace
from storage.errors import FixInputError
from tests.network_parts import Plain
from tests.networks import IMAGE, NETWORKS, build, images


class Noted(nn.Module):
    """A network that counts and keeps what it has seen, as people make them to look inside."""

    def __init__(self) -> None:
        super().__init__()
        self.body = Plain()
        self.drop = nn.Dropout(0.5)
        self.calls = 0
        self.seen: torch.Tensor | None = None
        self.batches: torch.Tensor
        self.register_buffer("batches", torch.zeros(()))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        self.batches += 1.0
        self.seen = self.body(x)
        return self.drop(self.seen)  # type: ignore[no-any-return]


def refused(model: nn.Module, folder: Path, shape: tuple[int, ...] = IMAGE) -> str:
    with pytest.raises(FixInputError) as caught:
        capture_model(folder, model, shape)
    assert "\n" not in str(caught.value)
    assert list(folder.iterdir()) == []
    return str(caught.value)


def outputs(path: Path, batch: torch.Tensor) -> torch.Tensor:
    graph, tensors = open_model(path)
    with torch.no_grad():
        return Program(graph)(tensors, batch)


# Shared and computed weights, names that torch uses itself, constants, several axes: what a file could lose.
@pytest.mark.parametrize("name", ["resnet-pad", "tied", "names", "recurrent", "computed-weight", "encoder-layer"])
def test_a_captured_network_is_the_traced_one(name: str, tmp_path: Path) -> None:
    model, shape = build(name), NETWORKS[name].input
    graph, tensors = open_model(capture_model(tmp_path, model, shape))
    wanted, own = trace(model, shape)
    assert graph == wanted
    assert tensors.keys() == own.keys()
    assert all(torch.equal(tensors[name], own[name]) for name in own)
    batch = images(name, 3)
    with torch.no_grad():
        assert torch.equal(Program(graph)(tensors, batch), Program(wanted)(own, batch))


def test_the_same_network_is_one_file(tmp_path: Path) -> None:
    first, again = (capture_model(tmp_path, build("plain"), IMAGE) for _ in range(2))
    assert first == again
    changed = build("plain")
    with torch.no_grad():
        next(changed.parameters()).view(-1)[0] += 1
    assert capture_model(tmp_path, changed, IMAGE) != first
    assert len(list(tmp_path.iterdir())) == 2


def test_the_users_module_stays_as_it_is(tmp_path: Path) -> None:
    model = Noted()
    model.train()
    model.body.eval()  # as people freeze a part
    next(model.parameters()).requires_grad_(False)
    model(torch.zeros(2, *IMAGE)).sum().backward()
    batch = images("plain", 2)
    torch.manual_seed(5)
    states = (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist())  # type: ignore[index]
    before = snapshot(model)
    path = capture_model(tmp_path, model, IMAGE)
    assert snapshot(model) == before
    after = (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist())  # type: ignore[index]
    assert after == states
    assert torch.equal(outputs(path, batch), model.eval()(batch))  # without dropout


def snapshot(model: Noted) -> list[Any]:
    state = {name: (id(item), item.dtype, item.tolist()) for name, item in model.state_dict(keep_vars=True).items()}
    grads = {name: None if item.grad is None else item.grad.tolist() for name, item in model.named_parameters()}
    flags = [(name, module.training) for name, module in model.named_modules()]
    wanted = [(name, item.requires_grad) for name, item in model.named_parameters()]
    return [state, grads, flags, wanted, model.calls, id(model.seen), torch.get_num_threads()]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions_are_traced_in_float32(dtype: torch.dtype, tmp_path: Path) -> None:
    model = build("plain").to(dtype)
    graph, tensors = open_model(capture_model(tmp_path, model, IMAGE))
    assert all(tensor.dtype is torch.float32 for tensor in tensors.values() if tensor.is_floating_point())
    assert {item.dtype for item in model.parameters()} == {dtype}
    with torch.no_grad():
        assert torch.equal(Program(graph)(tensors, images("plain", 2)), model.float()(images("plain", 2)))


WRAPPERS: dict[str, Callable[[nn.Module], nn.Module]] = {
    "data parallel": nn.DataParallel,
    "compiled": lambda model: torch.compile(model, backend="eager"),  # type: ignore[dict-item, return-value]
    "both": lambda model: torch.compile(nn.DataParallel(model), backend="eager"),  # type: ignore[dict-item, return-value]
}


@pytest.mark.parametrize("kind", WRAPPERS)
def test_wrappers_leave_the_users_names(kind: str, tmp_path: Path) -> None:
    model = build("plain")
    wrapped = WRAPPERS[kind](model)
    assert unwrapped(wrapped) is model
    assert capture_model(tmp_path, wrapped, IMAGE) == capture_model(tmp_path, model, IMAGE)


def test_channels_last_is_no_other_network(tmp_path: Path) -> None:
    model = build("plain")
    other = build("plain").to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    batch = images("plain", 2)
    ours, theirs = (outputs(capture_model(tmp_path, item, IMAGE), batch) for item in (model, other))
    assert torch.allclose(ours, theirs, atol=1e-5)


class Locked(Plain):
    """Holds what cannot be copied."""

    def __init__(self) -> None:
        super().__init__()
        self.lock = threading.Lock()


class Two(Plain):
    def forward(self, x: torch.Tensor) -> Any:
        return super().forward(x), x


class Random(Plain):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x + torch.rand_like(x))


class Branching(Plain):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x if x.sum() > 0 else -x)


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (Locked, "Locked cannot be copied (TypeError: cannot pickle '_thread.lock' object): take what cannot be"),
        (Two, "Two outputs a tuple; its forward must return one floating tensor"),
        (Random, "does its forward draw random numbers?"),
        (Branching, "the model cannot be traced: test_captured.py, line"),
        (lambda: nn.Sequential(nn.Flatten(), nn.LazyLinear(10)), "Sequential has no 1.weight yet: run it on a batch"),
        (lambda: nn.Linear(3, 2), "Linear cannot run on an input of shape [2, 3, 16, 16], as train gives it: Runtime"),
    ],
)
def test_models_that_cannot_be_captured(make: Callable[[], nn.Module], expected: str, tmp_path: Path) -> None:
    assert expected in refused(make(), tmp_path)


def test_other_files_are_no_graphs(tmp_path: Path) -> None:
    path = capture_model(tmp_path, build("plain"), IMAGE)
    with pytest.raises(FixInputError, match="no such file; set"):
        open_model(tmp_path / "gone.safetensors")
    (tmp_path / "half.safetensors").write_bytes(path.read_bytes()[:100])
    with pytest.raises(FixInputError, match="cannot be read"):
        open_model(tmp_path / "half.safetensors")
