"""Whatever is wrong with the input: one line with the remedy, code 2, and nothing stored."""

from __future__ import annotations

import json
import pickle
import sqlite3
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from storage.sql.tables import VERSION_TABLE
from tests.slimfront.finished import Finished
from tests.slimfront.material import ROOT, Ran, execute, invoke, write_study
from tests.storage.ordinary import open_folder, ordinary_user

IMAGES = {"kind": '"images"\npath = "pictures"'}
WRONG_STUDY_FILES: dict[str, tuple[dict[str, str], tuple[str, ...]]] = {
    "unknown key": ({"candidates": "12\ncandidate = 3"}, ("candidate", "candidates")),
    "unknown learner": ({"keep": '[]\nlearners = ["quantt"]'}, ("quantt", "channel, quant")),
    "unknown sampler": ({"keep": '[]\nsampler = "alocation"'}, ("alocation", "allocation")),
    "unknown runtime": ({"keep": '[]\n[runtime]\nname = "onnx"'}, ("onnx", "onnxruntime")),
    "unknown metric": ({"kind": '"digits"\nmetric = "top2"'}, ("top2", "top1", "agreement")),
    "unknown data": ({"kind": '"pictures"'}, ("pictures", "images", "digits", "python")),
    "unknown layer": ({"keep": '["conv9"]'}, ("conv9", "conv1", "linear")),
    "range": ({"candidates": "0"}, ("candidates", "1")),
    "drop": ({"max_drop": "-1.0"}, ("max_drop", "0")),
    "size": ({"size": '"eight"'}, ("size", "8x")),
    "no target": ({"size": "", "max_drop": ""}, ("target", "size")),
    "broken": ({"candidates": "= 12"}, ("TOML", "line")),
    "variable": ({"weights": '"${SURELY_NOT_SET}/w.safetensors"'}, ("SURELY_NOT_SET",)),
    "study name": ({"name": '"a/b"'}, ("a/b",)),
    "no factory file": ({"factory": '"net.py:tiny"'}, ("net.py", "No such file")),
    "no factory": ({"factory": '"nets.py:small"'}, ("small", "tiny")),
    "no module": ({"factory": '"nowhere.nets:tiny"'}, ("nowhere",)),
    "no weights": ({"weights": '"none.safetensors"'}, ("none.safetensors",)),
    "no such kind of weights": ({"weights": '"nets.py"'}, (".py", ".safetensors")),
    "impossible size": ({"size": '"1000x"'}, ("1000x", "smallest", "ask for that or less")),
    "impossible macs": ({"size": '"2x"\nmacs = "10%"'}, ("macs", "10%", "leaves at least", "ask for that or less")),
    "macs without channels": ({"size": '"2x"\nmacs = "50%"', "keep": '[]\nlearners = ["quant"]'}, ("macs", "1.0x")),
    "unknown criterion": ({"keep": '[]\ncriterion = "l3"'}, ("[search] criterion", '"l3"', "l1", "obs", "fpgm")),
    "round to nothing": ({"keep": "[]\nround_to = 0"}, ("[search] round_to = 0", "greater than or equal to 1")),
    "no channels": ({"keep": "[]\nmin_channels = -1"}, ("[search] min_channels = -1", "greater than or equal to 1")),
    "keep names a group of several": ({"keep": '["conv9"]'}, ('keep = "conv9"', "conv1", "depthwise", "linear")),
    "no images": (IMAGES, ("pictures", "no such folder")),
}


@pytest.fixture
def place(tmp_path: Path, trained: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for a study, and a home without any."""
    monkeypatch.setenv("SLIMFRONT_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("SLIMFRONT_STORE", raising=False)
    folder = tmp_path / "study"
    folder.mkdir()
    write_study(folder, trained)
    return folder


def check(ran: Ran, *parts: str, code: int = 2) -> None:
    """One line, that says `parts`, and nothing stored."""
    assert ran.code == code, ran.err
    assert len(ran.errors) == 1, ran.err
    assert ran.err.splitlines()[-1] == ran.errors[0]
    assert "Traceback" not in ran.err
    assert "internal error" not in ran.err
    assert ran.out == ""
    for part in parts:
        assert part in ran.errors[0]
    listed = invoke("list", "--json")
    assert json.loads(listed.out) == []


@pytest.mark.parametrize("name", WRONG_STUDY_FILES)
def test_a_wrong_study_file(place: Path, trained: Path, name: str) -> None:
    changes, parts = WRONG_STUDY_FILES[name]
    path = write_study(place, trained, **changes)
    check(invoke("run", str(path)), *parts)


@pytest.mark.parametrize("name", ["unknown sampler", "no weights", "impossible size"])
def test_plan_says_the_same(place: Path, trained: Path, name: str) -> None:
    changes, parts = WRONG_STUDY_FILES[name]
    path = write_study(place, trained, **changes)
    check(invoke("plan", str(path)), *parts)


def test_a_study_file_that_is_not_there(place: Path) -> None:
    check(invoke("run", str(place / "nothing.toml")), "nothing.toml")


RAISES = "def tiny():\n    size = 3\n    raise ValueError('no such size')\n"
NO_MODULE = "def tiny():\n    return {'weights': 1}\n"
UNTRACEABLE = """
def forward(self, x):
    if float(x.sum()) > 0:
        return self.conv1(x).flatten(1)
    return x.flatten(1)
"""
NOTHING = """
import torch
from torch import nn
class TinyNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.bn1 = nn.BatchNorm2d(1)
    def forward(self, x):
        return self.bn1(x).flatten(1)[:, :10]
def tiny():
    return TinyNet()
"""


def with_forward(folder: Path, forward: str) -> None:
    """Replaces the forward method of the network."""
    source = (folder / "nets.py").read_text()
    head, _, tail = source.partition("    def forward")
    lines = "".join(f"    {line}\n" if line else "\n" for line in forward.strip().splitlines())
    (folder / "nets.py").write_text(f"{head}{lines}\n\ndef tiny{tail.partition('def tiny')[2]}")


@pytest.mark.parametrize(
    ("source", "parts"),
    [(RAISES, ("no such size", "nets.py:3")), (NO_MODULE, ("dict", "Module")), ("def tiny(:\n", ("nets.py:1",))],
)
def test_a_wrong_factory(place: Path, source: str, parts: tuple[str, ...]) -> None:
    (place / "nets.py").write_text(source)
    check(invoke("run", str(place / "study.toml")), *parts)


def test_a_model_that_cannot_be_traced_names_its_line(place: Path) -> None:
    with_forward(place, UNTRACEABLE)
    line = (place / "nets.py").read_text().splitlines().index("        if float(x.sum()) > 0:") + 1
    check(invoke("run", str(place / "study.toml")), f"nets.py, line {line} ")


def test_a_model_with_nothing_to_compress(place: Path, trained: Path) -> None:
    path = write_study(place, trained, keep="[]")
    (place / "nets.py").write_text(NOTHING)
    save_file(
        {"bn1.weight": torch.ones(1), "bn1.bias": torch.zeros(1)}
        | {"bn1.running_mean": torch.zeros(1), "bn1.running_var": torch.ones(1)},
        place / "tiny.safetensors",
    )
    check(invoke("run", str(path)), "no layer to compress")


def rename(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {key.replace("conv2", "conv3"): value for key, value in weights.items()}


def spoil(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    weights["conv2.weight"][0, 0, 0, 0] = torch.nan
    return weights


def reshape(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return weights | {"linear.weight": torch.zeros(10, 12)}


def overflow(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {key: value * 1e30 if key.endswith("weight") else value for key, value in weights.items()}


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        (rename, ("first: conv2.weight", "first: conv3.")),
        (spoil, ("conv2.weight", "NaN")),
        (reshape, ("linear.weight", "[10, 12]", "[10, 24]")),
        (overflow, ("NaN or infinity",)),
    ],
)
def test_weights_that_do_not_go(
    place: Path, change: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]], parts: tuple[str, ...]
) -> None:
    file = place / "tiny.safetensors"
    save_file({key: value.clone() for key, value in change(load_file(file)).items()}, file)
    check(invoke("run", str(place / "study.toml")), *parts)


def test_weights_that_are_junk(place: Path) -> None:
    (place / "tiny.safetensors").write_bytes(b"junk" * 100)
    check(invoke("run", str(place / "study.toml")), "tiny.safetensors")


class Shell:
    """Unpickling it would run a command."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (self.mark,))


def test_weights_that_would_run_code(place: Path, trained: Path) -> None:
    path = write_study(place, trained, weights='"evil.pt"')
    (place / "evil.pt").write_bytes(pickle.dumps({"conv1.weight": Shell(place / "mark")}))
    check(invoke("run", str(path)), "evil.pt", "refused")
    assert not (place / "mark").exists()


def pictures(folder: Path, train: int = 6, val: int = 12, side: int = 8) -> None:
    """Two classes of grey images."""
    noise = np.random.default_rng(0)
    for split, count in (("train", train), ("val", val)):
        for name in ("a", "b"):
            (folder / split / name).mkdir(parents=True)
            for index in range(count):
                pixels = noise.integers(0, 256, (side, side), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / split / name / f"{index:02}.png")


def break_one(folder: Path) -> None:
    (folder / "val" / "b" / "03.png").write_bytes(b"not an image")


def resize_one(folder: Path) -> None:
    Image.new("L", (9, 8)).save(folder / "train" / "a" / "05.png")


def empty_class(folder: Path) -> None:
    for file in (folder / "val" / "a").iterdir():
        file.unlink()


def no_val(folder: Path) -> None:
    (folder / "val").rename(folder / "validation")


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        (break_one, ("val/b/03.png",)),
        (resize_one, ("train/a/05.png", "8 x 9", "8 x 8")),
        (empty_class, ("val/a",)),
        (no_val, ("val",)),
    ],
)
def test_images_that_do_not_go(
    place: Path, trained: Path, change: Callable[[Path], None], parts: tuple[str, ...]
) -> None:
    path = write_study(place, trained, **IMAGES)
    pictures(place / "pictures")
    change(place / "pictures")
    check(invoke("run", str(path)), *parts)


def test_too_few_images(place: Path, trained: Path) -> None:
    path = write_study(place, trained, **IMAGES)
    pictures(place / "pictures", val=3)
    check(invoke("run", str(path)), "6 images", "at least 20")


def test_labels_that_no_output_stands_for(place: Path, trained: Path) -> None:
    path = write_study(place, trained, kind='"python"\nfactory = "data.py:splits"')
    (place / "data.py").write_text(
        "import numpy as np\n"
        "def splits():\n"
        "    x = np.random.default_rng(0).random((60, 1, 8, 8)).astype(np.float32)\n"
        "    y = np.arange(60) % 11\n"
        '    return {"train": (x, y), "val": (x, y)}\n'
    )
    check(invoke("run", str(path)), "labels up to 10", "10 outputs")


def test_a_home_that_is_a_file(place: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    with monkeypatch.context() as changed:
        changed.setenv("SLIMFRONT_HOME", str(file))
        ran = invoke("run", str(place / "study.toml"))
    check(ran, "is a file", "SLIMFRONT_HOME")


@pytest.mark.parametrize("url", ["postgres://x", "sqlite://", "sqlite:///", "study.db"])
def test_a_store_that_is_none(place: Path, url: str) -> None:
    check(invoke("run", str(place / "study.toml"), "--store", url), "sqlite:///")


def test_a_database_of_a_newer_version(place: Path, tmp_path: Path) -> None:
    file = tmp_path / "newer.db"
    url = f"sqlite:///{file}"
    assert invoke("list", "--store", url).code == 0
    with sqlite3.connect(file) as connection:
        connection.execute(f"UPDATE {VERSION_TABLE} SET version_num = '9999'")
    connection.close()
    check(invoke("run", str(place / "study.toml"), "--store", url), "9999", "newer Slimfront")


def test_a_database_of_another_program(place: Path, tmp_path: Path) -> None:
    file = tmp_path / "other.db"
    with sqlite3.connect(file) as connection:
        connection.execute("CREATE TABLE recipes (name TEXT)")
    connection.close()
    check(invoke("run", str(place / "study.toml"), "--store", f"sqlite:///{file}"), "another program")


def test_a_locked_database(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from storage.open import open_store

    file = tmp_path / "locked.db"
    url = f"sqlite:///{file}"
    assert invoke("list", "--store", url).code == 0
    defaults = open_store.__kwdefaults__
    assert defaults is not None
    monkeypatch.setitem(defaults, "busy_seconds", 0.1)
    connection = sqlite3.connect(file, isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    try:
        check(invoke("run", str(place / "study.toml"), "--store", url), "locked", "wait", code=1)
    finally:
        connection.close()


def test_a_read_only_database(at_home: Finished, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_folder() as folder:
        database = folder / "database"
        database.mkdir()
        url = f"sqlite:///{database / 'studies.db'}"
        monkeypatch.setenv("SLIMFRONT_HOME", str(folder / "home"))
        assert invoke("list", "--store", url).code == 0
        write_study(folder, at_home.folder)
        # What `run` imports on its way may lie where an ordinary user may not read: let it be there before.
        assert invoke("plan", str(folder / "study.toml")).code == 0
        database.chmod(0o555)
        with ordinary_user():
            ran = invoke("run", str(folder / "study.toml"), "--store", url)
            assert json.loads(invoke("list", "--json", "--store", url).out) == []
    assert ran.code == 2, ran.err
    assert len(ran.errors) == 1
    assert "read-only" in ran.errors[0]


@pytest.mark.parametrize(("limit", "command"), [(20_000, "list"), (150_000, "run")])
def test_a_full_disk(place: Path, tmp_path: Path, limit: int, command: str) -> None:
    # A limit of the size of files stands for a disk without space; the first fails the database, the second a study.
    hooks = tmp_path / "hooks"
    hooks.mkdir()
    code = f"import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))\n"
    (hooks / "sitecustomize.py").write_text(code)
    home = tmp_path / "full"
    arguments = {"list": ["list"], "run": ["run", str(place / "study.toml")]}[command]
    ran = execute(home, *arguments, PYTHONPATH=f"{hooks}:{ROOT}", PYTHONDONTWRITEBYTECODE="1")
    assert ran.code == 1, ran.err
    assert len(ran.errors) == 1, ran.err
    assert "no space is left" in ran.errors[0]
    assert "Traceback" not in ran.err
    assert not list(home.rglob("*.tmp"))
    again = execute(home, *{"list": ["list"], "run": ["resume", "tiny"]}[command])
    assert again.code == 0, again.err
