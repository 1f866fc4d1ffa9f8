"""How tensors travel between processes of Ray: as numpy arrays, which it moves without copying them into a pickle."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch


def register_tensors() -> None:
    """From now on tensors leave this process so, which a Ray is connected to. They come out on their device."""
    from ray.util import register_serializer

    register_serializer(torch.Tensor, serializer=_to_array, deserializer=_to_tensor)


def deregister_tensors() -> None:
    """Undoes it, or does nothing."""
    from ray.util import deregister_serializer

    deregister_serializer(torch.Tensor)


def _to_array(tensor: torch.Tensor) -> tuple[npt.NDArray[np.generic], str]:
    return tensor.detach().cpu().numpy(), str(tensor.device)


def _to_tensor(sent: tuple[npt.NDArray[np.generic], str]) -> torch.Tensor:
    array, device = sent
    # What Ray hands out is its own memory, which must not be written to.
    return torch.from_numpy(array.copy()).to(device)
