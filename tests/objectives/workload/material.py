"""Small models, images and archives, written where a test wants them."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn

from storage.records.config import KnownNames, StudyConfig, read_study

KNOWN = KnownNames(
    learners=("channel", "quant"),
    samplers=("allocation", "auto"),
    runtimes=("onnxruntime",),
    metrics=("top1", "agreement"),
    criteria=("obs", "l1"),
)
CLASSES = ("bird", "cat")
NETS = """
from torch import nn

class Small(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3, padding=1)
        self.bn = nn.BatchNorm2d(4)
        self.linear = nn.Linear(4, 10)

    def forward(self, x):
        return self.linear(self.bn(self.conv(x)).relu().mean((2, 3)))

def small():
    return Small()
"""


class Small(nn.Module):
    """The model of NETS, for its state dict."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3, padding=1)
        self.bn = nn.BatchNorm2d(4)
        self.linear = nn.Linear(4, 10)


def small_weights(seed: int = 1) -> dict[str, torch.Tensor]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return dict(Small().state_dict())


def pixels(seed: int, height: int = 6, width: int = 5, channels: int = 3) -> np.ndarray[Any, np.dtype[np.uint8]]:
    values = np.random.default_rng(seed).integers(0, 256, (height, width, channels), dtype=np.uint8)
    return values[..., 0] if channels == 1 else values


def png(array: np.ndarray[Any, np.dtype[Any]], kind: str = "PNG") -> bytes:
    stream = io.BytesIO()
    Image.fromarray(array).save(stream, format=kind)
    return stream.getvalue()


def image_tree(train: int = 4, val: int = 20, channels: int = 3) -> dict[str, bytes]:
    """Paths and contents of a folder of images of 6 x 5 pixels; the test images are junk."""
    files: dict[str, bytes] = {}
    seed = 0
    for split, count in (("train", train), ("val", val), ("test", 2)):
        for name in CLASSES:
            for index in range(count):
                seed += 1
                content = b"never to be decoded" if split == "test" else png(pixels(seed, channels=channels))
                files[f"{split}/{name}/{index:03}.png"] = content
    return files


def write_tree(folder: Path, files: Mapping[str, bytes]) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def write_tar(path: Path, files: Mapping[str, bytes], mode: str = "w") -> Path:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def study(folder: Path, **tables: Any) -> StudyConfig:
    """A study of the small model on the digits, with some of its tables replaced or extended."""
    raw: dict[str, Any] = {
        "name": "a",
        "model": {"factory": "nets.py:small", "weights": "w.pt", "input": [1, 8, 8]},
        "data": {"kind": "digits"},
        "target": {"size": "4x"},
    }
    for key, value in tables.items():
        raw[key] = {**raw.get(key, {}), **value} if isinstance(value, dict) else value
    return read_study(raw, folder, "test", KNOWN)


def write_model(folder: Path, source: str = NETS, weights: Mapping[str, torch.Tensor] | None = None) -> Path:
    (folder / "nets.py").write_text(source)
    torch.save(dict(weights or small_weights()), folder / "w.pt")
    return folder
