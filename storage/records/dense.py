"""What is measured of the dense model, against which every candidate is judged."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class DenseFacts:
    """The dense model: the batch-norm-folded fp32 ONNX file on the confirmation images."""

    accuracy: float  # percent of the metric
    size_bytes: int  # of the ONNX file
    latency_ms: float | None  # of one batch on the study's runtime; None where it was not measured
    macs: int  # multiply-accumulates of one sample

    def __post_init__(self) -> None:
        if not math.isfinite(self.accuracy):
            raise ValueError(f"the dense accuracy is {self.accuracy}: it must be finite")
        if self.size_bytes <= 0 or self.macs < 0:
            raise ValueError(f"a dense model of {self.size_bytes} bytes and {self.macs} MACs is impossible")
        if self.latency_ms is not None and not (math.isfinite(self.latency_ms) and self.latency_ms > 0):
            raise ValueError(f"the dense latency is {self.latency_ms} ms: it must be finite and above 0")

    def to_json(self) -> str:
        """One line of JSON that `from_json` reads back to an equal value."""
        return json.dumps(asdict(self), separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> DenseFacts:
        """Inverse of `to_json`."""
        return cls(**json.loads(text))
