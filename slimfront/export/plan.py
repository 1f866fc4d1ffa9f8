"""`plan.json`: what was done to each layer, and every figure with what it needs to be understood."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from importlib.metadata import version
from typing import Any

import slimfront
from dashboards.candidate import CandidateView
from dashboards.study import StudyData
from objectives.workload.workload import Workload

FORMAT = "slimfront-plan-2"
KNOWN_FORMATS = (FORMAT, "slimfront-plan-1")  # of folders that may be replaced
PACKAGES = ("torch", "onnx", "onnxruntime", "numpy")  # whose versions decide what the files hold


def plan_json(
    data: StudyData, view: CandidateView, workload: Workload, verification: str, files: Mapping[str, bytes]
) -> bytes:
    """The document as UTF-8, the same for the same study and versions."""
    assert data.analysis is not None
    document: dict[str, Any] = {
        "format": FORMAT,
        **view.to_dict(),
        "target": data.target.to_dict(),
        "dense": None if data.dense is None else asdict(data.dense),
        "hardware": data.hardware,
        "runtime": data.config.runtime.model_dump(),
        "input": {
            "dtype": "float32",
            "layout": "NCHW" if len(workload.input_shape) == IMAGE_AXES else "N, then the shape",
            "shape": workload.input_shape,
            "mean": data.config.data.mean,
            "std": data.config.data.std,
            "classes": workload.classes,
        },
        "metric": workload.metric.name,
        "verification": verification,
        "files": {name: len(content) for name, content in files.items()},
        "versions": {"slimfront": slimfront.__version__, **{name: version(name) for name in PACKAGES}},
    }
    return (json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()


IMAGE_AXES = 3  # channels, height, width
