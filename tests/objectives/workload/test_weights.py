"""Weight files: formats, wrappers, and everything that is refused."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from objectives.workload.weights import load_weights
from storage.errors import FixInputError
from tests.objectives.workload.material import small_weights


class Command:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.folder),)


def refused(path: Path) -> str:
    with pytest.raises(FixInputError) as caught:
        load_weights(path)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert "weights_only" not in message  # torch's advice to load it anyway
    assert "\n" not in message
    return message


def test_all_formats_and_wrappers_give_the_same_weights(tmp_path: Path) -> None:
    weights = small_weights()
    save_file(weights, tmp_path / "w.safetensors")
    torch.save(weights, tmp_path / "w.pt")
    torch.save(
        {"epoch": 3, "state_dict": {f"module.{key}": value for key, value in weights.items()}},
        tmp_path / "w.pth",
    )
    torch.save(
        {key: nn.Parameter(value) if value.ndim else value for key, value in weights.items()},
        tmp_path / "w.bin",
    )
    for suffix in ("safetensors", "pt", "pth", "bin"):
        loaded = load_weights(tmp_path / f"w.{suffix}")
        assert loaded.keys() == weights.keys()
        assert all(torch.equal(loaded[key], weights[key]) for key in weights)
        assert not any(tensor.requires_grad for tensor in loaded.values())


def test_floating_tensors_become_float32_and_counters_stay(tmp_path: Path) -> None:
    torch.save(
        {
            "a": torch.ones(2, dtype=torch.float16),
            "b": torch.ones(2, dtype=torch.float64),
            "n": torch.tensor(3),
        },
        tmp_path / "w.pt",
    )
    loaded = load_weights(tmp_path / "w.pt")
    assert [loaded[key].dtype for key in "abn"] == [torch.float32, torch.float32, torch.int64]


def test_a_prefix_of_some_keys_only_is_part_of_the_names(tmp_path: Path) -> None:
    torch.save({"module.a": torch.ones(1), "b": torch.ones(1)}, tmp_path / "w.pt")
    assert set(load_weights(tmp_path / "w.pt")) == {"module.a", "b"}


@pytest.mark.parametrize("wrap", [False, True])
def test_a_file_that_would_run_code_is_refused_and_runs_nothing(tmp_path: Path, wrap: bool) -> None:
    trap = tmp_path / "trap"
    path = tmp_path / "w.pt"
    if wrap:
        torch.save({"a": torch.ones(1), "x": Command(trap)}, path)
    else:
        path.write_bytes(pickle.dumps(Command(trap)))
    message = refused(path)
    assert "would run code when loaded and is refused" in message
    assert ("junk" in message) != wrap
    assert "save model.state_dict()" in message
    assert ".safetensors" in message
    assert not trap.exists()


def test_a_whole_pickled_model_is_refused(tmp_path: Path) -> None:
    torch.save(nn.Sequential(nn.Linear(2, 2)), tmp_path / "w.pt")
    assert "would run code" in refused(tmp_path / "w.pt")


def test_a_scripted_model_is_refused(tmp_path: Path) -> None:
    with pytest.warns(DeprecationWarning, match=r"torch\.jit"):
        torch.jit.save(torch.jit.script(nn.Linear(2, 2)), str(tmp_path / "w.pt"))
    assert "would run code" in refused(tmp_path / "w.pt")


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".bin", ".safetensors"])
@pytest.mark.parametrize(
    "content", [b"", b"junk" * 100, b"PK\x03\x04" + b"\0" * 64, b"\x80\x02}q\x00X\x01", b"\xff" * 16]
)
def test_junk_is_refused(tmp_path: Path, suffix: str, content: bytes) -> None:
    path = tmp_path / f"w{suffix}"
    path.write_bytes(content)
    message = refused(path)
    assert "is not a readable" in message or ": is junk or would run code" in message


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_a_truncated_file_is_refused(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"w{suffix}"
    if suffix == ".pt":
        torch.save(small_weights(), path)
    else:
        save_file(small_weights(), path)
    path.write_bytes(path.read_bytes()[:-100])
    assert "is not a readable" in refused(path)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (torch.ones(2), "holds a Tensor, not a state dict"),
        ([torch.ones(2)], "holds a list, not a state dict"),
        ({}, "holds no weights at all"),
        ({"state_dict": {}}, "holds no weights at all"),
        ({"epoch": 3, "model": {"a": torch.ones(1)}}, "is not a state dict: 'epoch' holds a int"),
        ({3: torch.ones(1)}, "is not a state dict: 3 holds a Tensor"),
        ({"a": torch.ones(2, 2).to_sparse()}, "a is not a plain dense tensor"),
        ({"a": torch.tensor([1.0, float("nan"), float("inf")])}, "a holds 2 NaN or infinite values of 3"),
        ({"a": torch.tensor([1e300], dtype=torch.float64)}, "a holds 1 NaN or infinite values of 1"),
    ],
)
def test_what_is_no_state_dict_of_finite_weights(tmp_path: Path, content: object, expected: str) -> None:
    torch.save(content, tmp_path / "w.pt")
    assert expected in refused(tmp_path / "w.pt")


def test_missing_files_and_unknown_kinds(tmp_path: Path) -> None:
    assert "there is no such weights file" in refused(tmp_path / "none.pt")
    assert "there is no such weights file" in refused(tmp_path)
    (tmp_path / "w.h5").write_bytes(b"x")
    assert "weights of kind .h5 are not read; known: .safetensors, .pt" in refused(tmp_path / "w.h5")
