"""The Python of the README and of the how-to, run as it stands there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from torch.utils.data import DataLoader, TensorDataset

from slimfront.demo.nets import digits_net
from slimfront.demo.train import train
from tests.documentation import DOCS, ROOT, blocks
from tests.slimfront.python_api import arrays, tensors

PAGE = DOCS / "how-to" / "python-api.md"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a home of its own."""
    monkeypatch.setenv("SLIMFRONT_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("SLIMFRONT_STORE", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.slow
def test_the_readme_example_runs(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # A tenth of the candidates show as well that it runs.
    monkeypatch.setattr("storage.records.config.DEFAULT_CANDIDATES", 30)
    block = next(block for block in blocks(ROOT / "README.md", "python") if "compress" in block)
    model = digits_net()
    train(lambda: model, folder / "net.safetensors", lambda _done, _of: None)
    names: dict[str, Any] = {
        "model": model,
        "train_loader": DataLoader(TensorDataset(*tensors("train")), batch_size=64, shuffle=True),
        "val_loader": DataLoader(TensorDataset(*tensors("val")), batch_size=64),
        "images": arrays("val")[0],
    }
    exec(compile(block, "README.md", "exec"), names)
    assert len([line for line in block.splitlines() if line]) == 6
    assert names["outputs"].shape == (360, 10)
    assert (folder / "out" / "model.slim").exists()
    assert capsys.readouterr().out.split()[:2] == ["candidate", "accuracy"]


@pytest.mark.slow
def test_the_how_to_runs(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, Any] = {}
    for block in blocks(PAGE, "python"):
        exec(compile(block, PAGE.name, "exec"), names)
    assert names["again"].to_dict() == names["result"].to_dict()
    assert names["result"].target_met
    assert names["logits"].shape == (8, 10)
    assert (folder / "out" / "plan.json").exists()
    assert "succeeded candidate" in capsys.readouterr().out
