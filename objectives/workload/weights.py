"""Trained weights from a file, without running anything that is in it."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path

import torch

from storage.errors import FixInputError

SAFETENSORS_SUFFIXES = (".safetensors",)
PICKLE_SUFFIXES = (".pt", ".pth", ".bin")
_WRAPPER_PREFIX = "module."  # torch.nn.DataParallel and DistributedDataParallel put it before every key
_SAVE_AS = "save model.state_dict() with torch.save, or as .safetensors"
# What torch's own messages hold when a file asks for code to be run.
_CODE_SIGNS = ("Unsupported global", "GLOBAL", "TorchScript", "Unsupported class", "ExportedProgram")
_FOREIGN_SIGN = "Unsupported operand"  # an instruction that torch.save never writes


def load_weights(path: Path) -> dict[str, torch.Tensor]:
    """A state dict: floating tensors as float32 on the CPU, others as they are.

    Read are .safetensors, and .pt, .pth and .bin through `torch.load(weights_only=True)` with no fallback. Of
    a checkpoint the entry "state_dict" is taken, and a "module." before every key is removed. FixInputError
    if the file is missing, junk, would run code, is no state dict, or holds NaN or infinity (the tensor is
    named).
    """
    if not path.is_file():
        raise FixInputError(f"{path}: there is no such weights file; set [model] weights")
    suffix = path.suffix.lower()
    if suffix in SAFETENSORS_SUFFIXES:
        raw: object = _read_safetensors(path)
    elif suffix in PICKLE_SUFFIXES:
        raw = _read_pickle(path)
    else:
        known = ", ".join((*SAFETENSORS_SUFFIXES, *PICKLE_SUFFIXES))
        raise FixInputError(f"{path}: weights of kind {suffix or '(none)'} are not read; known: {known}")
    return {key: _checked(path, key, tensor) for key, tensor in _state_dict(path, raw).items()}


def _read_safetensors(path: Path) -> object:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError, RuntimeError) as error:
        raise FixInputError(f"{path}: is not a readable safetensors file: {_first_line(error)}") from error


def _read_pickle(path: Path) -> object:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch warns about an archive that it then refuses
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a broken pickle can raise anything
        text = str(error)  # not shown: torch advises to load the file without protection
        if any(sign in text for sign in _CODE_SIGNS):
            raise FixInputError(f"{path}: would run code when loaded and is refused; {_SAVE_AS}") from error
        if _FOREIGN_SIGN in text:
            raise FixInputError(f"{path}: is junk or would run code when loaded and is refused; {_SAVE_AS}") from error
        kind = type(error).__name__
        raise FixInputError(f"{path}: is not a readable weights file ({kind}); {_SAVE_AS}") from error


def _state_dict(path: Path, raw: object) -> Mapping[str, torch.Tensor]:
    if isinstance(raw, Mapping) and isinstance(raw.get("state_dict"), Mapping):
        raw = raw["state_dict"]
    if not isinstance(raw, Mapping):
        raise FixInputError(f"{path}: holds a {type(raw).__name__}, not a state dict; {_SAVE_AS}")
    if not raw:
        raise FixInputError(f"{path}: holds no weights at all; {_SAVE_AS}")
    for key, value in raw.items():
        if not isinstance(key, str) or not isinstance(value, torch.Tensor):
            kind = type(value).__name__
            raise FixInputError(f"{path}: is not a state dict: {key!r} holds a {kind}; {_SAVE_AS}")
    if all(key.startswith(_WRAPPER_PREFIX) for key in raw):
        return {key.removeprefix(_WRAPPER_PREFIX): value for key, value in raw.items()}
    return dict(raw)


def _checked(path: Path, key: str, tensor: torch.Tensor) -> torch.Tensor:
    if tensor.is_meta or tensor.is_quantized or tensor.layout != torch.strided:
        raise FixInputError(f"{path}: {key} is not a plain dense tensor; save the float32 weights of the model")
    tensor = tensor.detach()
    if not tensor.is_floating_point():
        return tensor
    tensor = tensor.to(torch.float32).contiguous()
    bad = int(tensor.numel() - torch.isfinite(tensor).sum())
    if bad:
        raise FixInputError(f"{path}: {key} holds {bad} NaN or infinite values of {tensor.numel()}; train again")
    return tensor


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
