"""A live network with its data, and scripts that compress it, for the tests of the Python API."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import nn

from objectives.workload.digits import digits_part
from objectives.workload.factory import load_callable
from searcher.stages.latency_table import FOLDER
from tests.slimfront.material import NETS, environment

TARGET = "size=3x drop<=10"  # as the study file of `material` asks
OPTIONS: dict[str, Any] = {"candidates": 12, "keep": ["conv1"], "quick": 60}  # likewise

# The class of the network and the loaders live in this script alone.
SCRIPT = f"""
import sys
from safetensors.torch import load_file
from torch.utils.data import DataLoader, TensorDataset
{NETS}
from objectives.workload.digits import digits_part
import slimfront

def loader(part):
    split = digits_part(part)
    return DataLoader(TensorDataset(torch.from_numpy(split.images), torch.from_numpy(split.labels)), batch_size=50)

model = tiny()
model.load_state_dict(load_file(sys.argv[1]))
result = slimfront.compress(model, loader("train"), loader("val"), {TARGET!r}, **{OPTIONS!r})
print(result.name)
"""


def live_network(folder: Path) -> nn.Module:
    """The trained network of a folder of `trained_in`, in training mode, as it is after training."""
    model: nn.Module = load_callable(f"{folder / 'nets.py'}:tiny")()
    model.load_state_dict(load_file(folder / "tiny.safetensors"))
    return model.train()


def arrays(part: str) -> tuple[np.ndarray, np.ndarray]:
    """A part of the digits as (images, labels)."""
    split = digits_part(part)  # type: ignore[arg-type]
    assert split.labels is not None
    return split.images, split.labels


def tensors(part: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Likewise, as tensors."""
    images, labels = arrays(part)
    return torch.from_numpy(images), torch.from_numpy(labels)


def with_latencies(home: Path, source: Path) -> Path:
    """`home` with the timings of another: measured anew they are other numbers, by which others are chosen."""
    shutil.copytree(source / "cache" / FOLDER, home / "cache" / FOLDER)
    return home


def start_script(home: Path, weights: Path, folder: Path) -> subprocess.Popen[str]:
    """SCRIPT in a process of its own."""
    path = folder / "notebook.py"
    path.write_text(SCRIPT)
    return subprocess.Popen(
        [sys.executable, str(path), str(weights)],
        cwd=folder,
        env=environment(home),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
