"""The state of a training after an epoch, as a file that is whole or absent."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import safetensors
import safetensors.torch
import torch

from storage.errors import GiveUpError
from storage.files import atomic_write

CHECKPOINT_FILE = "training.safetensors"
FORMAT = "slimfront-training-1"
MODEL = "model"  # prefix of the parameters


@dataclass(frozen=True)
class EpochReport:
    """What one epoch gave on the training images, as they were changed."""

    epoch: int  # of the whole training, from 0
    loss: float
    accuracy: float | None  # percent; None without labels
    seconds: float  # CPU seconds


@dataclass(frozen=True)
class Checkpoint:
    """Parameters and the optimiser's state, on the processor."""

    tensors: Mapping[str, torch.Tensor]  # "model/NAME", and "STATE/NAME" of the optimiser
    reports: tuple[EpochReport, ...]  # of all epochs so far

    @property
    def parameters(self) -> dict[str, torch.Tensor]:
        """Of the network, by their names there."""
        prefix = f"{MODEL}/"
        return {name.removeprefix(prefix): item for name, item in self.tensors.items() if name.startswith(prefix)}

    def write(self, path: Path) -> None:
        """DiskFullError where there is no room for it."""
        document = json.dumps({"format": FORMAT, "reports": [asdict(item) for item in self.reports]})
        tensors = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in self.tensors.items()}
        atomic_write(path, safetensors.torch.save(tensors, {"slimfront": document}))

    @classmethod
    def read(cls, path: Path) -> Checkpoint | None:
        """None if there is no such file. GiveUpError, with the remedy, for one that is damaged."""
        if not path.exists():
            return None
        try:
            with safetensors.safe_open(path, framework="pt") as file:
                document = json.loads((file.metadata() or {})["slimfront"])
                if document["format"] != FORMAT:
                    raise ValueError(f"of format {document['format']}")
                reports = tuple(EpochReport(**item) for item in document["reports"])
                return cls({name: file.get_tensor(name) for name in file.keys()}, reports)  # noqa: SIM118  (no mapping)
        except (safetensors.SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
            raise GiveUpError(
                f"checkpoint {path} is damaged ({error}): delete the file and resume the study, which trains this "
                "finalist anew"
            ) from error
