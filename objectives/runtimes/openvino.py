"""OpenVINO on the processor, from the same ONNX files; its package is the extra `[openvino]`."""

from __future__ import annotations

import re
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from objectives.runtimes.base import Session
from objectives.runtimes.onnxruntime import cause, failed_call
from storage.errors import FixInputError, GiveUpError

DEVICE = "CPU"
# "Exception from src/core/file.cpp:105:", one for each level of its source, and the file and line of a failed check
_WHERE = re.compile(r"Exception from \S+:\d+:\s*|(?<=failed) at \S+:\d+")


class OpenVino:
    """OpenVINO's processor plugin in float32; int8 layers of a file run in int8 as they are."""

    name = "openvino"

    @property
    def version(self) -> str:
        """Version of the installed openvino, without its build. Raises FixInputError if there is none."""
        return str(_library().__version__).split("-")[0]

    def session(self, model: bytes, threads: int) -> Session:
        """Load `model` (see `Runtime.session`). Raises FixInputError if openvino is not installed."""
        if threads < 1:
            raise ValueError(f"threads must be at least 1, not {threads}")
        core = _library().Core()
        try:
            network = core.read_model(model)
            found = [(item.any_name if item.names else "unnamed", item) for item in network.inputs]
            accepted = len(found) == 1 and found[0][1].element_type.to_string() == "f32"
            compiled = core.compile_model(network, DEVICE, _options(threads)) if accepted else None
        except RuntimeError as error:
            raise GiveUpError(
                f"openvino {self.version} refuses the model: {_cause(error)}; "
                "export it with operators that this version has, or install another version"
            ) from error
        if compiled is None:
            names = ", ".join(f"{name}: {item.element_type.to_string()}" for name, item in found) or "none"
            raise GiveUpError(f"the model must have one float32 input, it has {names}; wrap it to take one tensor")
        request = compiled.create_infer_request()
        version = self.version

        def run(images: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
            feed = np.ascontiguousarray(images, dtype=np.float32)
            try:
                # Outputs not shared: a shared one is a buffer that the next call overwrites.
                result = request.infer([feed], share_inputs=True, share_outputs=False)[0]
            except RuntimeError as error:
                raise failed_call(f"openvino {version}", feed.shape, RuntimeError(_cause(error))) from error
            return np.asarray(result, dtype=np.float32)

        return run


def _library() -> ModuleType:
    try:
        import openvino
    except ModuleNotFoundError as error:
        raise FixInputError(
            "the runtime openvino needs a package that is not installed: pip install 'slimfront[openvino]'"
        ) from error
    library: ModuleType = openvino
    return library


def _options(threads: int) -> dict[str, Any]:
    return {
        # Left alone it computes in bf16 where the processor can, and another file is measured than the user gets.
        "INFERENCE_PRECISION_HINT": "f32",
        "NUM_STREAMS": 1,
        "INFERENCE_NUM_THREADS": threads,
        # Several sessions of one process are timed in turn: pinned, all of them would sit on the same core.
        "ENABLE_CPU_PINNING": False,
        # Flushing denormals switches the floating-point mode of the calling thread.
        "CPU_DENORMALS_OPTIMIZATION": False,
    }


def _cause(error: RuntimeError) -> str:
    return cause(RuntimeError(_WHERE.sub("", str(error)).strip() or "no reason given"))
