"""Data of kind "python": all that a factory may return, and all that it may not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from objectives.workload import python
from objectives.workload.python import open_python
from objectives.workload.splits import Splits
from storage.errors import FixInputError

HEAD = """
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

x = np.arange(24 * 6, dtype=np.float32).reshape(24, 2, 3)
y = np.arange(24) % 4
"""
SHAPE = (2, 3)
X = np.arange(24 * 6, dtype=np.float32).reshape(24, 2, 3)


def opened(folder: Path, value: str, more: str = "", seed: int = 0) -> Splits:
    body = f'{HEAD}{more}\ndef splits():\n    return {{"train": {value}, "val": {value}}}\n'
    (folder / "data.py").write_text(body)
    return open_python(f"{folder}/data.py:splits", SHAPE, seed)


def refused(folder: Path, value: str, more: str = "") -> str:
    with pytest.raises(FixInputError) as caught:
        opened(folder, value, more)
    assert "\n" not in str(caught.value)
    return str(caught.value)


LABELLED = {
    "numpy": "(x, y)",
    "list": "[x, y]",
    "list of labels": "(x, y.tolist())",
    "torch": "(torch.tensor(x), torch.tensor(y))",
    "torch that wants gradients": "(torch.tensor(x, requires_grad=True), torch.tensor(y))",
    "float64": "(x.astype(np.float64), y.astype(np.int32))",
    "dataset": "TensorDataset(torch.tensor(x), torch.tensor(y))",
    "dataset of numbers": "Pairs()",
    "loader": "DataLoader(TensorDataset(torch.tensor(x), torch.tensor(y)), batch_size=7)",
    "batches": "[(x[:10], y[:10]), (x[10:], y[10:])]",
    "generator": "((x[i:i + 5], y[i:i + 5]) for i in range(0, 24, 5))",
    "iterable dataset": "Stream()",
}
MORE = """
class Pairs(Dataset):
    def __len__(self):
        return 24
    def __getitem__(self, index):
        return x[index], int(y[index])

class Stream(IterableDataset):
    def __iter__(self):
        return iter([(x[:20], y[:20]), (x[20:], y[20:])])
"""
UNLABELLED = {
    "array": "x",
    "tensor": "torch.tensor(x)",
    "pair": "(x, None)",
    "list pair": "[x, None]",
    "single": "(x,)",
    "batches": "[x[:10], x[10:]]",
    "two batches": "[x[:12], x[12:]]",
    "dataset": "TensorDataset(torch.tensor(x))",
    "loader": "DataLoader(torch.tensor(x), batch_size=5)",
}


@pytest.mark.parametrize("kind", LABELLED)
def test_labelled_data_is_captured(tmp_path: Path, kind: str) -> None:
    splits = opened(tmp_path, LABELLED[kind], MORE)
    for split in (splits.train, splits.val):
        assert np.array_equal(split.batch(range(24)), X)
        assert split.batch([0]).dtype == np.float32
        assert split.labels is not None
        assert split.labels.dtype == np.int64
        assert split.labels.tolist() == [0, 1, 2, 3] * 6
    assert splits.classes == ("0", "1", "2", "3")


@pytest.mark.parametrize("kind", UNLABELLED)
def test_unlabelled_data_is_captured(tmp_path: Path, kind: str) -> None:
    splits = opened(tmp_path, UNLABELLED[kind])
    assert np.array_equal(splits.val.batch(range(24)), X)
    assert splits.val.labels is None
    assert splits.classes == ()


def test_shuffling_loaders_follow_the_seed(tmp_path: Path) -> None:
    loader = "DataLoader(TensorDataset(torch.tensor(x), torch.tensor(y)), batch_size=5, shuffle=True)"
    first, second, other = (opened(tmp_path, loader, seed=seed).val.digest(range(24)) for seed in (1, 1, 2))
    assert first == second != other


def test_the_test_part_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "data.py").write_text(
        HEAD
        + """
class Guarded(dict):
    def __getitem__(self, key):
        if key == "test":
            raise AssertionError("looked at the test part")
        return super().__getitem__(key)
    get = values = items = None

def splits():
    return Guarded(train=(x, y), val=(x, y), test="anything")
"""
    )
    assert len(open_python(f"{tmp_path}/data.py:splits", SHAPE, 0).val) == 24


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("None", 'data.py:splits: "train" is a NoneType; give (x, y), a dataset or a loader'),
        ("{}", '"train" is a dict'),
        ("3", '"train" is a int'),
        ("'text'", '"train" is a str'),
        ("['text']", '"train" holds a str'),
        ("[]", '"train" is empty'),
        ("(x[:0], y[:0])", '"train" is empty'),
        ("(x.astype(np.uint8), y)", '"train" has images of type uint8; give float32'),
        ("(x[:, :1], y)", '"train" has images of shape [1, 3], but [model] input is [2, 3]'),
        ("(x[0], y)", '"train" has images of shape [3]'),
        ("(x, y[:3])", '"train" has labels of type int64 and shape [3] for 24 images'),
        ("(x, y.astype(float))", '"train" has labels of type float64'),
        ("(x, np.eye(24))", '"train" has labels of type float64 and shape [24, 24]'),
        ("(x, y - 1)", '"train" has the label -1'),
        ("(np.where(x == 8, np.nan, x), y)", '"train" has NaN or infinity in 1 images (first: 1)'),
        ("[(x, y), (x, None)]", "has labels in some batches and not in others"),
        (
            "(1 / 0 for _ in range(3))",
            'data.py:splits gave a "train" that raised ZeroDivisionError: division by zero',
        ),
    ],
)
def test_splits_that_cannot_be_used(tmp_path: Path, value: str, expected: str) -> None:
    assert expected in refused(tmp_path, value)


def test_a_dataset_that_raises_names_its_line(tmp_path: Path) -> None:
    length, item = "__len__ = lambda self: 3", "def __getitem__(self, index): raise KeyError(index)"
    more = f"class Broken(Dataset):\n    {length}\n    {item}\n"
    assert "raised KeyError: 0 (data.py:" in refused(tmp_path, "Broken()", more)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("return (1, 2)", 'data.py:splits returned a tuple; return {"train": ..., "val": ...}'),
        ("return {'train': (x, y)}", "returned no \"val\" (only 'train')"),
        ("return {}", 'returned no "train" (only nothing)'),
        ("raise OSError('gone')", "data.py:splits raised OSError: gone (data.py:"),
    ],
)
def test_factories_that_cannot_be_used(tmp_path: Path, body: str, expected: str) -> None:
    (tmp_path / "data.py").write_text(f"{HEAD}\ndef splits():\n    {body}\n")
    with pytest.raises(FixInputError) as caught:
        open_python(f"{tmp_path}/data.py:splits", SHAPE, 0)
    assert expected in str(caught.value)


def test_endless_data_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(python, "MAX_SPLIT_BYTES", 10_000)
    message = refused(
        tmp_path, "forever()", "import itertools\ndef forever(): return ((x, y) for _ in itertools.count())"
    )
    assert "return fewer images" in message
