"""Baselines made by other tools, which a search has to beat."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from objectives.runtimes.onnxruntime import LOG_ERRORS_ONLY, cause, refusals
from storage.errors import FixInputError, GiveUpError
from storage.files import atomic_write, describe_os_error, make_folder

CALIBRATION_BATCH = 64  # images a call; the ranges are the same for any
LOG_WARNINGS = 2  # ONNX Runtime's severity before anyone sets it; it cannot be asked for
PACKAGE = str(Path(onnxruntime.__file__).parent)  # every file that logs on the quantiser's behalf lies below
# The modules with loggers of their own; a filter on the root logger does not see what children pass up to it.
QUANTIZER_LOGGERS = ("onnxruntime.quantization.shape_inference", "onnxruntime.tools.symbolic_shape_infer")
# What the quantiser and onnx's own checks raise on graphs that they do not foresee.
UNFORESEEN = (
    DecodeError,
    onnx.checker.ValidationError,
    onnx.shape_inference.InferenceError,
    AssertionError,
    AttributeError,
    LookupError,
    TypeError,
)

_log = logging.getLogger(__name__)


def ort_int8(dense: Path, calibration: npt.NDArray[np.float32], destination: Path) -> None:
    """Quantise `dense` to 8 bits as a user of ONNX Runtime would: pre-process, then `quantize_static`.

    QDQ format, unsigned 8-bit activations, signed 8-bit weights per channel, ranges by minimum and maximum:
    its recommendation for processors with VNNI, and its defaults for the rest. The same input gives the same
    bytes.

    Args:
        dense: an fp32 ONNX file with one input and a dynamic batch axis.
        calibration: [n, c, h, w], normalised as the model expects, n >= 1.
        destination: the file to write; it appears whole or not at all.

    Raises:
        FixInputError: `dense` cannot be read, or `destination` cannot be written.
        GiveUpError: ONNX Runtime cannot pre-process or quantise this model.
        DiskFullError: no space for `destination` or the temporary files.
        ValueError: no calibration images.
    """
    if len(calibration) == 0:
        raise ValueError("quantisation needs at least one calibration image")
    try:
        content = dense.read_bytes()
    except OSError as error:
        raise FixInputError(f"{dense} cannot be read ({error.strerror}): export the dense model first") from error
    try:
        # Beside the destination, where whoever writes next removes what a killed writer has left.
        with TemporaryDirectory(prefix=".int8-", dir=make_folder(destination.parent)) as folder:
            quantised = _quantise(dense.name, content, calibration, Path(folder))
    except OSError as error:
        raise describe_os_error(error, destination) from error
    atomic_write(destination, quantised)


def _quantise(name: str, content: bytes, calibration: npt.NDArray[np.float32], folder: Path) -> bytes:
    prepared, quantised = folder / "prepared.onnx", folder / "quantised.onnx"
    with _quiet() as messages:
        try:
            model = onnx.load_model_from_string(content)
            weights = {tensor.name for tensor in model.graph.initializer}
            inputs = [item.name for item in model.graph.input if item.name not in weights]
            if len(inputs) != 1:
                raise ValueError(f"it has {len(inputs)} inputs, and calibration feeds one")
            quant_pre_process(model, str(prepared))
            quantize_static(
                str(prepared),
                str(quantised),
                _Batches(calibration, inputs[0]),
                quant_format=QuantFormat.QDQ,
                per_channel=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
            )
        except (*refusals(), *UNFORESEEN) as error:
            text = cause(error) or type(error).__name__
            raise GiveUpError(
                f"onnxruntime {onnxruntime.__version__} cannot quantise {name}: {text}; "
                "export it with a dynamic batch axis, or go without this baseline"
            ) from error
    failures = [record.getMessage() for record in messages if record.levelno >= logging.ERROR]
    if failures:  # it goes on with the unoptimised graph, which is not what its users would get
        text = " ".join(failures[0].split())
        raise GiveUpError(
            f"onnxruntime {onnxruntime.__version__} cannot pre-process {name}: {text}; go without this baseline"
        )
    for record in messages:
        _log.debug("onnxruntime on %s: %s", name, record.getMessage())
    return quantised.read_bytes()


class _Batches(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime has no types
    """Feeds the calibration images once, in batches."""

    def __init__(self, images: npt.NDArray[np.float32], name: str) -> None:
        starts = range(0, len(images), CALIBRATION_BATCH)
        self._feeds = iter([{name: images[start : start + CALIBRATION_BATCH]} for start in starts])

    def get_next(self) -> dict[str, npt.NDArray[np.float32]] | None:
        """The next batch, or None after the last."""
        return next(self._feeds, None)


class _Collector(logging.Filter):
    """Keeps the quantiser's records to itself and lets all others pass."""

    def __init__(self, records: list[logging.LogRecord]) -> None:
        super().__init__()
        self._records = records

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether `record` goes on to the handlers."""
        if not record.pathname.startswith(PACKAGE):
            return True
        self._records.append(record)
        return False


@contextmanager
def _quiet() -> Iterator[list[logging.LogRecord]]:
    """Collect what the quantiser would print: it logs on the root logger and natively, and warns.

    Everything is as before when the block ends.
    """
    records: list[logging.LogRecord] = []
    collector = _Collector(records)
    root = logging.getLogger()
    loggers = [root, *map(logging.getLogger, QUANTIZER_LOGGERS)]
    silence = logging.NullHandler()  # logging.warning() installs a handler for good where there is none
    for logger in loggers:
        logger.addFilter(collector)
    root.addHandler(silence)
    onnxruntime.set_default_logger_severity(LOG_ERRORS_ONLY)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield records
    finally:
        onnxruntime.set_default_logger_severity(LOG_WARNINGS)
        root.removeHandler(silence)
        for logger in loggers:
            logger.removeFilter(collector)
