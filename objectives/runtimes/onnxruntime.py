"""ONNX Runtime on the processor."""

from __future__ import annotations

import re

import numpy as np
import numpy.typing as npt

from objectives.runtimes.base import Session
from storage.errors import GiveUpError

# ONNX Runtime's severities: 0 verbose, 1 info, 2 warning, 3 error, 4 fatal.
LOG_ERRORS_ONLY = 3
LOG_FATAL_ONLY = 4  # where errors are raised, too, and said with their remedy
LONGEST_CAUSE = 300  # characters: some refusals print half of the graph
PROVIDER = "CPUExecutionProvider"

_OUT_OF_MEMORY = re.compile(r"allocate memory|bad.?alloc|out of memory", re.IGNORECASE)
_CODE = re.compile(r"^\[ONNXRuntimeError\] : \d+ : ")


def refusals() -> tuple[type[Exception], ...]:
    """What ONNX Runtime raises: classes without a common base, and two of Python's own."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    native = [kind for kind in vars(state).values() if isinstance(kind, type) and issubclass(kind, Exception)]
    return (*native, RuntimeError, ValueError)


def cause(error: Exception) -> str:
    """The text of one of ONNX Runtime's errors as one line of bearable length."""
    line = _CODE.sub("", " ".join(str(error).split()))
    return line if len(line) <= LONGEST_CAUSE else line[:LONGEST_CAUSE] + "..."


def failed_call(runtime: str, shape: tuple[int, ...], error: Exception) -> GiveUpError:
    """What to raise where a call of `runtime`, its name and version, on an input of `shape` raised `error`."""
    if _OUT_OF_MEMORY.search(str(error)):
        return GiveUpError(f"{runtime} has too little memory for an input of shape {shape}: choose a smaller batch")
    return GiveUpError(
        f"{runtime} fails on an input of shape {shape}: {cause(error)}; "
        "export the model with a dynamic batch axis and feed what it was exported for"
    )


class OnnxRuntime:
    """ONNX Runtime's processor provider with all graph optimisations, one operator after the other."""

    name = "onnxruntime"

    @property
    def version(self) -> str:
        """Version of the installed onnxruntime."""
        import onnxruntime

        return str(onnxruntime.__version__)

    def session(self, model: bytes, threads: int) -> Session:
        """Load `model` (see `Runtime.session`)."""
        if threads < 1:
            raise ValueError(f"threads must be at least 1, not {threads}")
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
        options.log_severity_level = LOG_FATAL_ONLY
        # Threads that spin after a call would take the cores from the other sessions of this process, which
        # are timed in turn with this one. With one thread there is no pool and nothing spins either way.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        # Denormals stay as they are: flushing them switches the floating-point mode of the calling thread,
        # and so changes what numpy and torch compute there afterwards.
        options.add_session_config_entry("session.set_denormal_as_zero", "0")
        kinds = refusals()
        try:
            session = onnxruntime.InferenceSession(model, options, providers=[PROVIDER], enable_fallback=0)
        except kinds as error:
            raise GiveUpError(
                f"onnxruntime {self.version} refuses the model: {cause(error)}; "
                "export it with operators that this version has, or install another version"
            ) from error
        inputs, outputs = session.get_inputs(), session.get_outputs()
        if len(inputs) != 1 or inputs[0].type != "tensor(float)":
            found = ", ".join(f"{item.name}: {item.type}" for item in inputs) or "none"
            raise GiveUpError(f"the model must have one float32 input, it has {found}; wrap it to take one tensor")
        source, sink = inputs[0].name, [outputs[0].name]

        def run(images: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
            feed = np.ascontiguousarray(images, dtype=np.float32)
            try:
                result = session.run(sink, {source: feed})[0]
            except kinds as error:
                raise failed_call(f"onnxruntime {self.version}", feed.shape, error) from error
            return np.asarray(result, dtype=np.float32)

        return run
