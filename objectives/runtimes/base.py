"""The contract of a runtime: what an exported model runs on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

# float32 NCHW in; float32 with the same first axis out, usually [n, classes].
Session: TypeAlias = Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float32]]


class Runtime(Protocol):
    """Runs exported models. One file and one line in `objectives.runtimes.table` make a new one.

    Called in this order, on one thread of one process:

    1. the constructor, without arguments: cheap, imports nothing heavy, opens nothing;
    2. `name` and `version`, for messages, the study's record of the hardware and the keys of caches;
    3. `session(model, threads)`, once for each exported file, the dense one among them. Several sessions are
       alive at once while latencies are compared, so an idle one must leave the processor alone;
    4. the callable it returned, any number of times with any batch size, on the thread that made it.

    A runtime is stateless: sessions do not depend on one another, and are freed when nothing refers to them.
    """

    @property
    def name(self) -> str:
        """Key into `RUNTIMES`."""

    @property
    def version(self) -> str:
        """Version of the library behind it, such as "1.31.1"."""

    def session(self, model: bytes, threads: int) -> Session:
        """Load a model for inference.

        Args:
            model: an ONNX file with one input, whose first axis is dynamic, and at least one output.
            threads: threads that one call may use, >= 1.

        Returns:
            A callable from float32 NCHW to the first output as float32. It raises GiveUpError if the model
            fails on an input, and leaves the input unchanged.

        Raises:
            GiveUpError: the runtime refuses the model; one line with the cause.
            ValueError: threads < 1.
        """
