"""Files of named tensors that studies keep: safetensors, named by their content, memory-mapped when they are read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import safetensors
import safetensors.torch
import torch

from storage.content import keep_content
from storage.errors import FixInputError

SUFFIX = ".safetensors"
_KEY = "slimfront"  # of the one entry of the metadata: with several, their order would change the content
_SYSTEM_ERROR = re.compile(r"\(os error (\d+)\)")  # how safetensors passes on what the operating system says


def keep_tensors(folder: Path, tensors: Mapping[str, torch.Tensor], document: str) -> Path:
    """Writes `tensors`, which are contiguous, with a text beside them; returns the file's path.

    Errors as in `storage.content.keep_content`.
    """

    seen: set[int] = set()
    apart: dict[str, torch.Tensor] = {}  # safetensors refuses tensors that share memory
    for name, tensor in tensors.items():
        apart[name] = tensor.clone() if tensor.data_ptr() in seen else tensor
        seen.add(tensor.data_ptr())

    def write(path: Path) -> None:
        try:
            safetensors.torch.save_file(apart, path, {_KEY: document})
        except safetensors.SafetensorError as error:
            number = _SYSTEM_ERROR.search(str(error))
            if number is None:
                raise
            raise OSError(int(number[1]), str(error)) from error

    return keep_content(folder, SUFFIX, write)


def open_tensors(path: Path, key: str) -> tuple[dict[str, torch.Tensor], str]:
    """The tensors, backed by the file's pages, and the text. `key` is that of the study which names the file.

    FixInputError if there is no such file, or one of another kind.
    """
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            document = (file.metadata() or {}).get(_KEY, "")
            return {name: file.get_tensor(name) for name in file.keys()}, document  # noqa: SIM118  (no mapping)
    except FileNotFoundError as error:
        raise FixInputError(f"{path}: there is no such file; set {key}, or call slimfront.compress again") from error
    except (OSError, safetensors.SafetensorError) as error:
        text = " ".join(str(error).split())
        raise FixInputError(f"{path}: cannot be read ({text}); set {key}, or call slimfront.compress again") from error
