"""The dense model: what is built, and every way in which it cannot be."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from objectives.workload.model import build_model
from storage.errors import FixInputError
from storage.records.config import ModelConfig
from tests.objectives.workload.material import NETS, small_weights, write_model
from tests.shared_material import shared_file


def config(folder: Path, name: str = "small") -> ModelConfig:
    return ModelConfig(factory=f"{folder}/nets.py:{name}", weights=f"{folder}/w.pt", input=(1, 8, 8))


def refused(folder: Path) -> str:
    with pytest.raises(FixInputError) as caught:
        build_model(config(folder), seed=0)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_the_model_is_ready_for_inference(tmp_path: Path) -> None:
    write_model(tmp_path)
    model = build_model(config(tmp_path), seed=0)
    assert not any(module.training for module in model.modules())
    assert not any(parameter.requires_grad for parameter in model.parameters())
    weights = small_weights()
    assert all(torch.equal(value, weights[key]) for key, value in model.state_dict().items())
    assert build_model(config(tmp_path), seed=0) is not model


def test_half_precision_models_and_weights_become_float32(tmp_path: Path) -> None:
    weights = {key: value.half() if value.is_floating_point() else value for key, value in small_weights().items()}
    write_model(tmp_path, NETS.replace("return Small()", "return Small().half().train()"), weights)
    assert {value.dtype for value in build_model(config(tmp_path), 0).parameters()} == {torch.float32}


def test_what_the_factory_draws_follows_the_seed_and_disturbs_nobody(tmp_path: Path) -> None:
    source = NETS.replace(
        "self.linear = nn.Linear(4, 10)",
        "self.linear = nn.Linear(4, 10)\n        import random, torch, numpy\n"
        "        self.draw = (random.random(), float(torch.rand(())), float(numpy.random.rand()))",
    )
    write_model(tmp_path, source)
    state = torch.random.get_rng_state()
    draws = [build_model(config(tmp_path), seed).draw for seed in (0, 0, 2**62)]
    assert draws[0] == draws[1] != draws[2]
    assert torch.equal(torch.random.get_rng_state(), state)


def test_missing_counters_and_tied_weights_are_no_misfit(tmp_path: Path) -> None:
    weights = {key: value for key, value in small_weights().items() if not key.endswith("num_batches_tracked")}
    write_model(tmp_path, weights=weights)
    build_model(config(tmp_path), 0)
    tied = NETS.replace("self.linear = nn.Linear(4, 10)", "self.linear = nn.Linear(4, 10); self.twin = self.linear")
    write_model(tmp_path, tied)
    twin = build_model(config(tmp_path), 0).twin
    assert isinstance(twin, torch.nn.Linear)
    assert torch.equal(twin.weight, small_weights()["linear.weight"])


def test_weights_of_another_model(tmp_path: Path) -> None:
    weights = small_weights()
    renamed = {key.replace("linear", "fc"): value for key, value in weights.items()}
    write_model(tmp_path, weights=renamed)
    message = refused(tmp_path)
    assert "2 missing (first: linear.weight) and 2 unexpected (first: fc.weight) of 9 keys" in message
    write_model(tmp_path, weights={key: value for key, value in weights.items() if key != "conv.bias"})
    assert "does not fit nets.py:small: 1 missing (first: conv.bias) of 9 keys" in refused(tmp_path)
    write_model(tmp_path, weights={**weights, "linear.weight": torch.ones(5, 4)})
    assert "linear.weight has shape [5, 4], the model wants [10, 4]" in refused(tmp_path)


RETURN = "return self.linear(self.bn(self.conv(x)).relu().mean((2, 3)))"


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("return Small()", "return 3", "nets.py:small returned a int; return a torch.nn.Module"),
        ("return Small()", "return Small", "nets.py:small returned a type"),
        ("return Small()", "raise OSError('no file')", "nets.py:small raised OSError: no file (nets.py:15)"),
        ("def small()", "def small(depth)", "nets.py:small raised TypeError"),
        (RETURN, "return self.linear(x)", "cannot run on an input of shape [2, 1, 8, 8]: RuntimeError"),
        (RETURN, "return self.linear(x)", "(nets.py:12)"),
        (
            RETURN,
            f"{RETURN}, x",
            "nets.py:small outputs a tuple; its forward must return one floating tensor",
        ),
        (RETURN, f"{RETURN}.argmax(1)", "outputs a torch.int64 tensor"),
        (RETURN, f"{RETURN}.sum()", "outputs shape [] for 2 samples"),
        (RETURN, f"{RETURN}.reshape(1, -1)", "outputs shape [1, 20] for 2 samples; it must be [2, ...]"),
        (RETURN, f"{RETURN} / 0", "outputs NaN or infinity"),
    ],
)
def test_factories_that_cannot_work(tmp_path: Path, old: str, new: str, expected: str) -> None:
    assert old in NETS
    write_model(tmp_path, NETS.replace(old, new))
    assert expected in refused(tmp_path)


def test_missing_files(tmp_path: Path) -> None:
    assert "cannot read the file" in refused(tmp_path)
    write_model(tmp_path)
    (tmp_path / "w.pt").unlink()
    assert "there is no such weights file" in refused(tmp_path)


def test_not_finite_weights_are_named(tmp_path: Path) -> None:
    write_model(tmp_path, weights={**small_weights(), "conv.bias": torch.full((4,), float("nan"))})
    assert "conv.bias holds 4 NaN or infinite values of 4" in refused(tmp_path)


@pytest.mark.shared
def test_real_weights_that_do_not_fit_say_so(tmp_path: Path) -> None:
    write_model(tmp_path)
    weights = shared_file("models/resnet20.safetensors")
    with pytest.raises(FixInputError, match=r"does not fit nets.py:small: \d+ missing .* and \d+ unexpected"):
        build_model(ModelConfig(factory=f"{tmp_path}/nets.py:small", weights=str(weights), input=(1, 8, 8)), 0)
