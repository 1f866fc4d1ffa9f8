"""The level library: reads the file that `learners.library.build` has written."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import safetensors
import safetensors.torch
import torch
from pydantic import TypeAdapter

from learners.analysis import Analysis
from learners.base import LevelWeights
from learners.export.activations import Range
from learners.export.qdq import layer_nodes
from learners.graph.graph import Graph
from learners.graph.layers import Layer
from learners.quant.grid import BYTE_BITS
from learners.quant.rounding import round_to_nearest
from storage.errors import GiveUpError
from storage.files import atomic_write
from storage.records.space import Protected, SearchSpace

FORMAT = "slimfront-library-2"
ROUNDED = "rounded"  # prefix of the weights' id of the plain-rounding baseline


@dataclass(frozen=True)
class LibraryContent:
    """What a library file holds."""

    analysis: Analysis
    ranges: dict[str, Range]
    levels: dict[str, tuple[LevelWeights, ...]]  # by layer, in the order of its site's levels
    space: SearchSpace


class Library:
    """Weights, errors and costs of every layer at every level. The file is memory-mapped and never changes."""

    def __init__(self, path: Path, identifier: str) -> None:
        """Raises GiveUpError if the file is damaged: delete it, and it is built again."""
        self.id = identifier
        self.path = path
        try:
            self._file = _open(path)
            metadata = self._file.metadata() or {}
            self._document: dict[str, Any] = json.loads(metadata["slimfront"])
            version = self._document["format"]
        except (safetensors.SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
            raise GiveUpError(f"level library {path} is damaged ({error}): delete it and resume the study") from error
        if version != FORMAT:
            raise GiveUpError(f"level library {path} is of another version: delete it and resume the study")
        self._names = set(self._file.keys())

    @cached_property
    def space(self) -> SearchSpace:
        """Sites and levels, with errors and costs."""
        return SearchSpace.from_json(self._document["space"])

    @cached_property
    def analysis(self) -> Analysis:
        """The dense model."""
        graph = Graph.from_json(self._document["graph"])
        layers = TypeAdapter(tuple[Layer, ...]).validate_python(self._document["layers"])
        dense = onnx.load_from_string(self._file.get_tensor("onnx").numpy().tobytes())
        return Analysis(
            graph=graph,
            tensors={name: self._file.get_tensor(f"dense/{name}") for name in graph.parameters()},
            layers=layers,
            protected=tuple(Protected(**item) for item in self._document["protected"]),
            dense=dense,
            nodes=layer_nodes(dense, layers),
            input_shape=tuple(self._document["input_shape"]),
            macs=self._document["macs"],
        )

    @cached_property
    def ranges(self) -> dict[str, Range]:
        """Activation ranges of the dense ONNX model."""
        return {name: Range(low, high) for name, (low, high) in self._document["ranges"].items()}

    def choose(self, levels: Sequence[int], weights: str) -> dict[str, LevelWeights]:
        """Each layer's weights for a candidate. `weights` is this library's id, or its `rounded_id`."""
        if not self.space.contains(levels):
            raise ValueError(f"{tuple(levels)} is no candidate of library {self.id}")
        return {
            layer.name: self.adapted(index, level, weights)
            for index, (layer, level) in enumerate(zip(self.analysis.layers, levels, strict=True))
        }

    def adapted(self, layer: int, level: int, weights: str) -> LevelWeights:
        """The weights of one layer at one of its site's levels; `weights` as in `choose`."""
        if weights == self.rounded_id:
            return self._rounded(layer, level)
        if weights != self.id:
            raise ValueError(f"the candidate's weights {weights} are not of library {self.id}")
        return self.level(layer, level)

    @property
    def rounded_id(self) -> str:
        """Id of the weights that plain rounding gives, for the baseline."""
        return f"{ROUNDED}:{self.id}"

    def level(self, layer: int, level: int) -> LevelWeights:
        """The weights of one layer at one of its site's levels."""
        chosen = self.space.sites[layer].levels[level]

        def read(part: str) -> torch.Tensor | None:
            name = f"{layer}/{level}/{part}"
            tensor: torch.Tensor | None = self._file.get_tensor(name) if name in self._names else None
            return tensor

        return LevelWeights(
            level=chosen.name,
            bits=chosen.bits,
            codes=read("codes"),
            scale=read("scale"),
            zero=read("zero"),
            bias=read("bias"),
            error=chosen.error,
            method=chosen.method,
            exponent=self._document["exponents"][layer][level][0],
            bias_exponent=self._document["exponents"][layer][level][1],
        )

    def _rounded(self, index: int, level: int) -> LevelWeights:
        layer, bits = self.analysis.layers[index], self.space.sites[index].levels[level].bits
        if bits > BYTE_BITS:  # left in float32: there is nothing to round
            return self.level(index, level)
        tensors = self.analysis.tensors
        return round_to_nearest(tensors[layer.weight], tensors[layer.bias] if layer.bias else None, bits)


def _open(path: Path) -> Any:
    """A memory-mapped safetensors file; the package's own type has no annotations."""
    return safetensors.safe_open(path, framework="pt")


def write_library(path: Path, content: LibraryContent) -> None:
    """Writes the file in one step: whole or not at all."""
    tensors: dict[str, torch.Tensor] = {
        f"dense/{name}": tensor.contiguous() for name, tensor in content.analysis.tensors.items()
    }
    serialised = content.analysis.dense.SerializeToString(deterministic=True)
    tensors["onnx"] = torch.from_numpy(np.frombuffer(serialised, np.uint8).copy())
    for index, layer in enumerate(content.analysis.layers):
        for number, level in enumerate(content.levels[layer.name]):
            for part in ("codes", "scale", "zero", "bias"):
                tensor = getattr(level, part)
                if tensor is not None:
                    tensors[f"{index}/{number}/{part}"] = tensor.cpu().clone().contiguous()
    document: Mapping[str, object] = {
        "format": FORMAT,
        "graph": content.analysis.graph.to_json(),
        "layers": [asdict(layer) for layer in content.analysis.layers],
        "protected": [asdict(item) for item in content.analysis.protected],
        "input_shape": content.analysis.input_shape,
        "macs": content.analysis.macs,
        "ranges": {name: (item.low, item.high) for name, item in content.ranges.items()},
        "space": content.space.to_json(),
        "exponents": [
            [(level.exponent, level.bias_exponent) for level in content.levels[layer.name]]
            for layer in content.analysis.layers
        ],
    }
    atomic_write(path, safetensors.torch.save(tensors, {"slimfront": json.dumps(document)}))
