"""The models and images that the benchmarks run on."""

from __future__ import annotations

import os
from pathlib import Path

from slimfront.submit import read_config
from storage.records.config import StudyConfig
from storage.records.target import Target

REPOSITORY = Path(__file__).resolve().parents[1]
VARIABLE = "SLIMFRONT_DATA"
MODELS = ("resnet20", "resnet56")
RESULTS = REPOSITORY / "benchmarks" / "results"


def data_folder() -> Path:
    """The folder with models/ and data/: SLIMFRONT_DATA, or `shared` beside the checkout."""
    folder = Path(os.environ.get(VARIABLE) or REPOSITORY.parent / "shared")
    if not (folder / "models").is_dir():
        raise SystemExit(f"{folder} has no models/: set {VARIABLE} to the folder with models/ and data/")
    os.environ[VARIABLE] = str(folder)
    return folder


def study_file(model: str) -> Path:
    """The example study of `model`, "resnet20" or "resnet56"."""
    return REPOSITORY / "examples" / "cifar10" / f"{model}.toml"


def config(model: str, name: str, target: str) -> StudyConfig:
    """The example study under another name and target, such as "size=8x drop<=1"."""
    data_folder()
    return read_config(study_file(model)).model_copy(update={"name": name, "target": Target.from_text(target)})
