"""The level library: reads the file that `learners.library.build` has written."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
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
from learners.base import Adapted, Learner, LevelWeights
from learners.channel.group_levels import GroupLevels, kept_units
from learners.channel.surgery import Kept, cut_tensor
from learners.export.activations import Range
from learners.export.qdq import layer_nodes
from learners.gram import AnyGram, DiagonalGram, Gram
from learners.graph.graph import Graph
from learners.graph.layers import Layer
from learners.library.joint import JointWeights
from learners.library.wiring import Wiring, wire
from learners.quant.grid import BYTE_BITS
from learners.quant.rounding import round_to_nearest
from storage.errors import GiveUpError
from storage.files import atomic_write
from storage.records.space import QUANT, Protected, SearchSpace

FORMAT = "slimfront-library-9"
ROUNDED = "rounded"  # prefix of the weights' id of the plain-rounding baseline
PARTS = ("values", "codes", "scale", "zero", "bias")


@dataclass(frozen=True)
class LibraryContent:
    """What a library file holds."""

    analysis: Analysis
    ranges: dict[str, Range]
    groups: tuple[GroupLevels, ...]
    levels: Mapping[str, Sequence[Sequence[LevelWeights]]]  # layer -> for each level of what it reads, every width
    space: SearchSpace
    grams: Mapping[str, AnyGram]  # of layers that read several groups


class Library:
    """Weights, errors and costs of every layer at every level. The file is memory-mapped and never changes."""

    def __init__(self, path: Path, identifier: str, learners: Sequence[Learner]) -> None:
        """`learners` are those that it was built with: they make joint weights when these are asked for.

        Raises GiveUpError if the file is damaged: delete it, and it is built again.
        """
        self.id = identifier
        self.path = path
        self._learners = learners
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
        many = TypeAdapter(tuple[Layer, ...])
        layers, maps = (many.validate_python(self._document[key]) for key in ("layers", "maps"))
        template = onnx.load_from_string(self._file.get_tensor("onnx").numpy().tobytes())
        return Analysis(
            graph=graph,
            tensors={name: self._file.get_tensor(f"dense/{name}") for name in graph.parameters()},
            layers=layers,
            maps=maps,
            protected=tuple(Protected(**item) for item in self._document["protected"]),
            template=template,
            nodes=layer_nodes(template, [*layers, *maps]),
            gammas={},
            input_shape=tuple(self._document["input_shape"]),
            macs=self._document["macs"],
        )

    @cached_property
    def ranges(self) -> dict[str, Range]:
        """Activation ranges of the dense ONNX model."""
        return {name: Range(low, high) for name, (low, high) in self._document["ranges"].items()}

    @cached_property
    def groups(self) -> tuple[GroupLevels, ...]:
        """The channel groups; the first sites of the space, in this order."""
        return TypeAdapter(tuple[GroupLevels, ...]).validate_python(self._document["groups"])

    @cached_property
    def wirings(self) -> tuple[Wiring, ...]:
        """How the sites decide on each layer, then on each index map."""
        precision = {site.name: index for index, site in enumerate(self.space.sites) if site.learner == QUANT}
        return wire(self.analysis, self.groups, precision)

    def kept(self, levels: Sequence[int]) -> Kept:
        """Which channels a candidate keeps."""
        return kept_units(self.analysis.coupling, self.groups, levels[: len(self.groups)])

    def choose(self, levels: Sequence[int], weights: str) -> Adapted:
        """Everything that a candidate is made of. `weights` is this library's id, or its `rounded_id`."""
        if not self.space.contains(levels):
            raise ValueError(f"{tuple(levels)} is no candidate of library {self.id}")
        found = {wiring.layer.name: self.adapted(index, levels, weights) for index, wiring in enumerate(self.wirings)}
        return Adapted(self.kept(levels), found)

    def adapted(self, index: int, levels: Sequence[int], weights: str) -> LevelWeights:
        """The weights of layer `index` of `wirings` for a candidate; `weights` as in `choose`."""
        wiring = self.wirings[index]
        width = levels[wiring.precision] if wiring.precision is not None else 0
        if weights == self.rounded_id:
            found = self._rounded(index, levels, width)
        elif weights != self.id:
            raise ValueError(f"the candidate's weights {weights} are not of library {self.id}")
        elif len(wiring.sources) > 1 and any(levels[source] for source in wiring.sources):
            found = self._joint.level(wiring, tuple(levels[source] for source in wiring.sources), width)
        else:
            found = self.level(index, levels[wiring.sources[0]] if len(wiring.sources) == 1 else 0, width)
        places = wiring.rows[levels[wiring.output] if wiring.output is not None else 0]
        return found if places.all() else found.rows(torch.from_numpy(np.flatnonzero(places)))

    @property
    def rounded_id(self) -> str:
        """Id of the weights that plain rounding gives, for the baseline."""
        return f"{ROUNDED}:{self.id}"

    def level(self, index: int, variant: int, width: int) -> LevelWeights:
        """All output channels of layer `index`, where what it reads is at level `variant`, at one of its widths."""
        document = self._document["levels"][index][variant][width]

        def read(part: str) -> torch.Tensor | None:
            name = f"{index}/{variant}/{width}/{part}"
            tensor: torch.Tensor | None = self._file.get_tensor(name) if name in self._names else None
            return tensor

        values, bias = read("values"), read("bias")
        layer = self.wirings[index].layer
        if document["original"]:
            values = self.analysis.tensors[layer.weight]
            bias = self.analysis.tensors[layer.bias] if layer.bias is not None else None
        return LevelWeights(
            level=document["level"],
            bits=document["bits"],
            values=values,
            codes=read("codes"),
            scale=read("scale"),
            zero=read("zero"),
            bias=bias,
            row_errors=None,
            method=document["method"],
            exponent=document["exponent"],
            bias_exponent=document["bias_exponent"],
        )

    def _rounded(self, index: int, levels: Sequence[int], width: int) -> LevelWeights:
        """The weights of the inputs that are left, rounded and not fitted."""
        layer, level = self.wirings[index].layer, self.level(index, 0, width)
        tensors, slots = self.analysis.tensors, self.analysis.coupling.tensors.get(layer.weight, ())
        weight = cut_tensor(tensors[layer.weight], [slot for slot in slots if slot.axis == 1], self.kept(levels))
        if level.bits > BYTE_BITS:  # left in float32: there is nothing to round
            return replace(level, values=weight)
        return round_to_nearest(weight, tensors[layer.bias] if layer.bias else None, level.bits)

    @cached_property
    def _joint(self) -> JointWeights:
        return JointWeights(self.path.with_suffix(".joint"), self.analysis, self.groups, self._learners, self._gram)

    def _gram(self, layer: str) -> AnyGram:
        """The statistics of a layer that reads several groups."""
        samples = self._document["grams"][layer]
        if f"gram/{layer}" in self._names:
            return Gram(self._file.get_tensor(f"gram/{layer}"), samples)
        return DiagonalGram(self._file.get_tensor(f"mean/{layer}"), self._file.get_tensor(f"variance/{layer}"), samples)


def _open(path: Path) -> Any:
    """A memory-mapped safetensors file; the package's own type has no annotations."""
    return safetensors.safe_open(path, framework="pt")


def write_library(path: Path, content: LibraryContent) -> None:
    """Writes the file in one step: whole or not at all."""
    analysis = content.analysis
    tensors: dict[str, torch.Tensor] = {
        f"dense/{name}": tensor.contiguous() for name, tensor in analysis.tensors.items()
    }
    serialised = analysis.template.SerializeToString(deterministic=True)
    tensors["onnx"] = torch.from_numpy(np.frombuffer(serialised, np.uint8).copy())
    documents = []
    for index, layer in enumerate((*analysis.layers, *analysis.maps)):
        variants = []
        for variant, widths in enumerate(content.levels[layer.name]):
            entries = []
            for width, level in enumerate(widths):
                original = variant == 0 and level.codes is None
                entries.append(_entry(level, original))
                for part in () if original else PARTS:
                    tensor = getattr(level, part)
                    if tensor is not None:
                        tensors[f"{index}/{variant}/{width}/{part}"] = tensor.clone().contiguous()
            variants.append(entries)
        documents.append(variants)
    for name, gram in content.grams.items():
        parts = {"gram": gram.matrix} if isinstance(gram, Gram) else {"mean": gram.mean, "variance": gram.variance}
        tensors.update({f"{part}/{name}": tensor.cpu().clone().contiguous() for part, tensor in parts.items()})
    document: Mapping[str, object] = {
        "format": FORMAT,
        "graph": analysis.graph.to_json(),
        "layers": [asdict(layer) for layer in analysis.layers],
        "maps": [asdict(layer) for layer in analysis.maps],
        "protected": [asdict(item) for item in analysis.protected],
        "input_shape": analysis.input_shape,
        "macs": analysis.macs,
        "ranges": {name: (item.low, item.high) for name, item in content.ranges.items()},
        "groups": TypeAdapter(tuple[GroupLevels, ...]).dump_python(content.groups, mode="json"),
        "space": content.space.to_json(),
        "levels": documents,
        "grams": {name: gram.samples for name, gram in content.grams.items()},
    }
    atomic_write(path, safetensors.torch.save(tensors, {"slimfront": json.dumps(document)}))


def _entry(level: LevelWeights, original: bool) -> dict[str, object]:
    """What a level has besides its tensors; those of the original are the dense model's."""
    return {
        "original": original,
        "level": level.level,
        "bits": level.bits,
        "method": level.method,
        "exponent": level.exponent,
        "bias_exponent": level.bias_exponent,
    }
