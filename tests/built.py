"""Libraries of the small networks, built once for all tests and all processes that run them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from learners.analysis import analyse
from learners.base import Learner, LearnerOptions
from learners.channel.learner import ChannelLearner
from learners.device import single_thread
from learners.export.packing import pack_candidate
from learners.graph.run import Program
from learners.library.build import library_path, open_or_build
from learners.library.library import Library
from learners.quant.learner import QuantLearner
from learners.stitch import stitched_graph, stitched_tensors
from learners.table import in_order
from storage.files import atomic_write, file_lock
from storage.slim import InputContract, PackedModel
from tests.networks import NETWORKS, build, images

CALIBRATION_IMAGES = 32
SEED = 0
LEARNERS = in_order(("channel", "quant"), LearnerOptions())
# All widths where a test is about them; elsewhere three do as well, and are built in half the time.
EVERY_WIDTH = frozenset(
    {"densenet", "mixer", "mobilenet", "one-layer", "plain", "resnet-conv", "resnet-pad", "shufflenet", "vgg"}
)
FEW_WIDTHS: tuple[Learner, ...] = (ChannelLearner(LearnerOptions()), QuantLearner(LearnerOptions(), widths=(8, 4, 3)))

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Built:
    """A network with its library."""

    name: str
    model: nn.Module
    library: Library
    images: Floats  # those of the calibration: no activation lies outside the ranges
    shape: tuple[int, ...]  # of one image

    @property
    def contract(self) -> InputContract:
        """The network's input contract, without normalisation."""
        return InputContract(self.shape, (0.0,) * self.shape[0], (1.0,) * self.shape[0])

    def packed(self, levels: tuple[int, ...]) -> PackedModel:
        """The packed model of a candidate."""
        chosen = self.library.choose(levels, self.library.id)
        return pack_candidate(self.library.analysis, chosen, self.library.ranges, self.contract)

    def stitched(self, levels: tuple[int, ...]) -> Floats:
        """Outputs of the traced graph with the candidate's channels and weights."""
        chosen = self.library.choose(levels, self.library.id)
        with single_thread(), torch.no_grad():
            outputs: Floats = Program(stitched_graph(self.library.analysis, chosen.kept))(
                stitched_tensors(self.library.analysis, chosen), torch.from_numpy(self.images)
            ).numpy()
        return outputs

    def dense(self) -> Floats:
        """Outputs of the user's model."""
        with single_thread(), torch.no_grad():
            outputs: Floats = self.model(torch.from_numpy(self.images)).numpy()
        return outputs


def open_built(folder: Path, name: str) -> Built:
    """The network called `name`; its library comes from `folder`, where the first process to ask has built it."""
    note = folder / f"{name}.id"
    model, batch = build(name), images(name, CALIBRATION_IMAGES).numpy()
    learners = LEARNERS if name in EVERY_WIDTH else FEW_WIDTHS
    folder.mkdir(exist_ok=True)
    with file_lock(folder / f"{name}.lock"):
        if note.exists():
            identifier = note.read_text()
            library = Library(library_path(folder, identifier), identifier, learners)
        else:
            with single_thread():
                analysis = analyse(model, NETWORKS[name].input, (), SEED)
            library = open_or_build(folder, analysis, batch, learners, SEED, lambda *_: None)
            atomic_write(note, library.id.encode())
    return Built(name, model, library, batch, NETWORKS[name].input)
