"""The demo's folder: a model, its weights and a study file, as a user would have them."""

from __future__ import annotations

from pathlib import Path

from searcher.progress import Progress
from slimfront.demo import nets
from slimfront.demo.train import train
from storage.errors import FixInputError
from storage.files import atomic_write, make_folder

NAME = "digits-demo"
MODEL_FILE, WEIGHTS_FILE, STUDY_FILE = "nets.py", "digits.safetensors", "study.toml"
STAGE = "training"

STUDY = f'''\
name = "{NAME}"
seed = 0

[model]
factory = "{MODEL_FILE}:digits_net"
weights = "{WEIGHTS_FILE}"
input = [1, 8, 8]

[data]
kind = "digits"     # scikit-learn's; images of your own: kind = "images" and a path

[target]
size = "8x"         # at least 8 times smaller than the dense ONNX file ...
max_drop = 2.0      # ... at most 2 points less accurate

[search]
candidates = 100
'''


def write_demo(folder: Path, fresh: bool, progress: Progress) -> Path:
    """Writes the files that `folder` lacks, or all of them, trains the network and returns the study file's path.

    Raises FixInputError if `folder` holds something else.
    """
    files = {MODEL_FILE: Path(nets.__file__).read_bytes(), STUDY_FILE: STUDY.encode()}
    if folder.is_dir():
        foreign = sorted({entry.name for entry in folder.iterdir()} - {*files, WEIGHTS_FILE, "__pycache__"})
        if foreign:
            raise FixInputError(f"{folder} holds other files ({foreign[0]}): name a new folder with --directory")
    make_folder(folder)
    for name, content in files.items():
        if fresh or not (folder / name).exists():
            atomic_write(folder / name, content)
    if fresh or not (folder / WEIGHTS_FILE).exists():
        train(nets.digits_net, folder / WEIGHTS_FILE, lambda done, of: progress.update(STAGE, done, of, "6 epochs"))
    return folder / STUDY_FILE
