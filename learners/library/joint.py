"""Joint weights: those of a layer that reads several groups, made when they are first asked for, and kept.

Such a layer has as many sets of inputs as its groups have levels multiplied; a search asks for few of them.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch

from learners.analysis import Analysis
from learners.base import GroupLearner, Learner, LevelWeights, WeightLearner
from learners.channel.consumers import unit_columns
from learners.channel.group_levels import GroupLevels
from learners.device import pick_device, single_thread
from learners.gram import AnyGram, on_device
from learners.library.adapt import adapt_layer, consumer_of
from learners.library.wiring import Wiring, kept_columns
from storage.errors import GiveUpError
from storage.files import atomic_write, content_hash

MOST_KNOWN = 256  # sets of weights kept in memory; all are on disk
PARTS = ("values", "codes", "scale", "zero", "bias")
FIELDS = ("level", "bits", "method", "exponent", "bias_exponent")


class JointWeights:
    """Makes joint weights and keeps them in a folder beside the library, one file for each set of inputs."""

    def __init__(
        self,
        folder: Path,
        analysis: Analysis,
        groups: Sequence[GroupLevels],
        learners: Sequence[Learner],
        gram: Callable[[str], AnyGram],
    ) -> None:
        self._folder = folder
        self._analysis = analysis
        self._groups = groups
        self._channels = next((item for item in learners if isinstance(item, GroupLearner)), None)
        self._weights = next((item for item in learners if isinstance(item, WeightLearner)), None)
        self._gram = gram
        self._known: OrderedDict[tuple[str, tuple[int, ...]], tuple[LevelWeights, ...]] = OrderedDict()

    def level(self, wiring: Wiring, levels: tuple[int, ...], width: int) -> LevelWeights:
        """The weights of a layer whose sources are at `levels`, at one of its widths."""
        key = wiring.layer.name, levels
        found = self._known.get(key)
        if found is None:
            name = content_hash(wiring.layer.name, ",".join(map(str, levels)))[:32]
            path = self._folder / f"{name}.safetensors"
            if not path.exists():
                self._folder.mkdir(parents=True, exist_ok=True)
                atomic_write(path, _dump(self._make(wiring, levels)))
            self._known[key] = found = _load(path)
            if len(self._known) > MOST_KNOWN:
                self._known.popitem(last=False)
        return found[width]  # not read from what is known: another thread may have made room there

    def _make(self, wiring: Wiring, levels: tuple[int, ...]) -> tuple[LevelWeights, ...]:
        layer, device = wiring.layer, pick_device()
        tensors = self._analysis.tensors
        removed = [
            unit
            for source, level in zip(wiring.sources, levels, strict=True)
            for unit in self._groups[source].removed(level)
        ]
        with single_thread(), torch.no_grad():
            columns = kept_columns(wiring, self._analysis.coupling, removed)
            bias = tensors[layer.bias].to(device) if layer.bias is not None else None
            gram = on_device(self._gram(layer.name), device)
            weight = tensors[layer.weight].to(device)
            consumer = consumer_of(layer, weight, gram, unit_columns(layer, self._analysis.coupling))
            try:
                return adapt_layer(consumer, bias, columns, self._channels, self._weights).levels
            except GiveUpError as error:
                raise GiveUpError(
                    f"layer {layer.name} cannot be fitted ({error}): keep = [{layer.name!r}] leaves it as it is"
                ) from error


def _dump(levels: Sequence[LevelWeights]) -> bytes:
    tensors: dict[str, torch.Tensor] = {}
    for index, level in enumerate(levels):
        for part in PARTS:
            tensor = getattr(level, part)
            if tensor is not None:
                tensors[f"{index}/{part}"] = tensor.clone().contiguous()
    fields = [{name: getattr(level, name) for name in FIELDS} for level in levels]
    return safetensors.torch.save(tensors, {"slimfront": json.dumps(fields)})


def _load(path: Path) -> tuple[LevelWeights, ...]:
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            fields: list[Mapping[str, Any]] = json.loads(file.metadata()["slimfront"])
            names = set(file.keys())
            return tuple(_read_level(file, names, index, entry) for index, entry in enumerate(fields))
    except (safetensors.SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise GiveUpError(
            f"joint weights {path} are damaged ({error}): delete the file and resume the study"
        ) from error


def _read_level(file: Any, names: set[str], index: int, entry: Mapping[str, Any]) -> LevelWeights:
    parts = {part: file.get_tensor(f"{index}/{part}") if f"{index}/{part}" in names else None for part in PARTS}
    return LevelWeights(
        level=entry["level"],
        bits=entry["bits"],
        method=entry["method"],
        exponent=entry["exponent"],
        bias_exponent=entry["bias_exponent"],
        row_errors=None,
        values=parts["values"],
        codes=parts["codes"],
        scale=parts["scale"],
        zero=parts["zero"],
        bias=parts["bias"],
    )
