"""Slimfront: hand it a trained model, data and a wish; take back the measured front of smaller, faster models."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # a deployment that only loads a model has neither torch nor the command line
    from pathlib import Path

    import torch

    from objectives.runtimes.packed import PackedSession
    from slimfront.compression import compress
    from slimfront.result import StudyResult
    from slimfront.studies import list_studies, load_study

__version__ = "0.1.0"
__all__ = ["StudyResult", "compress", "list_studies", "load", "load_study", "load_torch"]

_LAZY = {  # imported when first used
    "StudyResult": "slimfront.result",
    "compress": "slimfront.compression",
    "list_studies": "slimfront.studies",
    "load_study": "slimfront.studies",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'slimfront' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_LAZY[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY})


def load(path: str | Path, threads: int = 1) -> PackedSession:
    """The model in a `model.slim`, as a callable from float32 [n, channels, height, width] to its output [n, ...].

    Needs numpy, onnxruntime and the standard library only. The images are normalised as `contract` of the
    result says: (pixel / 255 - mean) / std for each channel. `threads` is what one call may use.

    Raises PackedFileError for a file that is missing, damaged, foreign or newer, and FixInputError when it is
    called with an array of another type or shape.
    """
    from objectives.runtimes.packed import load as load_packed

    return load_packed(path, threads)


def load_torch(path: str | Path) -> torch.nn.Module:
    """The model in a `model.slim` as a module in eval mode, in float32, with the user's parameter names.

    Its weights are those that the file's codes stand for; activations are not quantised. Raises PackedFileError
    as `load` does.
    """
    from learners.materialise import materialise
    from objectives.runtimes.packed import read

    return materialise(read(path))
