"""The state of a training as a file."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
import safetensors.torch
import torch

from learners.finetune.checkpoint import CHECKPOINT_FILE, Checkpoint, EpochReport
from storage.errors import GiveUpError
from tests.slimfront.material import ROOT

REPORTS = (EpochReport(0, 1.5, 62.5, 3.25), EpochReport(1, 0.5, None, 1e-3))
WRITES = 5  # of another process, that are read in between

WRITER = """
import sys
from pathlib import Path
import torch
from learners.finetune.checkpoint import Checkpoint, EpochReport

number = 0
while True:
    tensors = {f"model/{index}": torch.full((20_000,), float(number)) for index in range(5)}
    Checkpoint(tensors, (EpochReport(number, float(number), None, 0.0),)).write(Path(sys.argv[1]))
    number += 1
    print(number, flush=True)
"""


def some() -> Checkpoint:
    generator = torch.Generator().manual_seed(0)
    wide = torch.randn(2, 3, 4, 5, generator=generator)
    return Checkpoint(
        {
            "model/weight": wide.to(memory_format=torch.channels_last),
            "model/layers.0.bias": wide[0, 0, 0],  # a part of the other one's memory
            "exp_avg/weight": torch.zeros(0),
            "step/weight": torch.tensor(7.0),
        },
        REPORTS,
    )


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "study" / "12" / CHECKPOINT_FILE
    some().write(path)
    found = Checkpoint.read(path)
    assert found is not None
    assert found.reports == REPORTS
    assert set(found.tensors) == set(some().tensors)
    for name, tensor in some().tensors.items():
        assert torch.equal(found.tensors[name], tensor)
    assert set(found.parameters) == {"weight", "layers.0.bias"}
    assert [item.name for item in path.parent.iterdir()] == [CHECKPOINT_FILE]


def test_gradients_do_not_come_along(tmp_path: Path) -> None:
    Checkpoint({"model/weight": torch.ones(2, requires_grad=True)}, ()).write(tmp_path / CHECKPOINT_FILE)
    found = Checkpoint.read(tmp_path / CHECKPOINT_FILE)
    assert found is not None
    assert not found.parameters["weight"].requires_grad


def test_a_file_that_is_not_there_is_none(tmp_path: Path) -> None:
    assert Checkpoint.read(tmp_path / CHECKPOINT_FILE) is None


@pytest.mark.parametrize("damage", ["empty", "cut", "noise", "foreign", "format", "reports"])
def test_a_damaged_file_says_what_to_do(tmp_path: Path, damage: str) -> None:
    path = tmp_path / CHECKPOINT_FILE
    some().write(path)
    data = path.read_bytes()
    tensors = {"model/weight": torch.zeros(3)}
    path.write_bytes(
        {
            "empty": b"",
            "cut": data[:-10],
            "noise": b"\xff" * len(data),
            "foreign": safetensors.torch.save(tensors),
            "format": data.replace(b"slimfront-training-1", b"slimfront-training-0"),
            "reports": data.replace(b"loss", b"lost"),
        }[damage]
    )
    with pytest.raises(GiveUpError) as caught:
        Checkpoint.read(path)
    text = str(caught.value)
    assert text.startswith(f"checkpoint {path} is damaged (")
    assert text.endswith("): delete the file and resume the study, which trains this finalist anew")
    assert "\n" not in text


def test_a_checkpoint_is_whole_at_any_moment_and_after_a_kill(tmp_path: Path) -> None:
    path = tmp_path / CHECKPOINT_FILE
    command = [sys.executable, "-c", WRITER, str(path)]
    seen: set[int] = set()
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        while len(seen) < WRITES:
            seen.add(whole(path))
        process.kill()
    assert process.returncode == -signal.SIGKILL
    assert whole(path) >= max(seen)


def whole(path: Path) -> int:
    """The number of a checkpoint, all of which is of one write."""
    found = Checkpoint.read(path)
    assert found is not None
    (report,) = found.reports
    assert all(bool((item == report.loss).all()) for item in found.tensors.values())
    return report.epoch
