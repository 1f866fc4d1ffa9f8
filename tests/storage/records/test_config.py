"""The study file: what is read, what is refused, and in which words."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from storage.errors import FixInputError
from storage.records.config import DEFAULT_CANDIDATES, KnownNames, StudyConfig, load_study_file, read_study

KNOWN = KnownNames(
    learners=("channel", "quant"),
    samplers=("allocation", "auto"),
    runtimes=("onnxruntime",),
    metrics=("top1", "agreement"),
    criteria=("obs", "l1"),
)
STUDY = """
name = "resnet56-cifar10"
seed = 0
[model]
factory = "nets.py:resnet56"
weights = "resnet56.safetensors"
input = [3, 32, 32]
[data]
kind = "images"
path = "cifar10.tar.xz"
mean = [0.485, 0.456, 0.406]
std = [0.229, 0.224, 0.225]
[target]
size = "8x"
max_drop = 1.0
[search]
learners = ["quant"]
sampler = "allocation"
candidates = 300
keep = ["conv1"]
[runtime]
name = "onnxruntime"
threads = 1
batch = 1
"""
SHORT = """
name = "a"
[model]
factory = "nets.py:small"
weights = "w.pt"
input = [1, 8, 8]
[data]
kind = "digits"
[target]
max_drop = 1
"""


def load(folder: Path, text: str) -> StudyConfig:
    path = folder / "study.toml"
    path.write_text(text, encoding="utf-8")
    return load_study_file(path, KNOWN)


def refused(folder: Path, text: str) -> str:
    """The error without the folder: "study.toml: ..."."""
    with pytest.raises(FixInputError) as caught:
        load(folder, text)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(str(folder / "study.toml"))
    return message.removeprefix(f"{folder}/")


def test_the_study_of_the_documentation(tmp_path: Path) -> None:
    config = load(tmp_path, STUDY)
    assert config.name == "resnet56-cifar10"
    assert config.model.factory == f"{tmp_path}/nets.py:resnet56"
    assert config.model.weights == f"{tmp_path}/resnet56.safetensors"
    assert config.model.input == (3, 32, 32)
    assert config.data.path == f"{tmp_path}/cifar10.tar.xz"
    assert config.data.std == (0.229, 0.224, 0.225)
    assert config.target.to_dict() == {"size": "8x", "max_drop": 1.0}
    assert config.search.keep == ("conv1",)
    assert StudyConfig.from_json(config.to_json()) == config
    assert "\n" not in config.to_json()
    assert hash(config) == hash(load(tmp_path, STUDY))


def test_defaults(tmp_path: Path) -> None:
    config = load(tmp_path, SHORT)
    assert config.seed == 0
    assert (config.data.mean, config.data.std) == ((0.0,), (1.0,))
    assert (config.data.calibration, config.data.quick, config.data.metric) == (256, 256, None)
    assert (config.search.learners, config.search.sampler) == (("channel", "quant"), "auto")
    assert (config.search.round_to, config.search.min_channels, config.search.criterion) == (None, None, "obs")
    assert (config.search.candidates, config.search.minutes) == (DEFAULT_CANDIDATES, None)
    assert (config.runtime.name, config.runtime.threads, config.runtime.batch) == ("onnxruntime", 1, 1)


def test_a_stored_study_of_a_version_without_a_second_score_goes_on_without(tmp_path: Path) -> None:
    config = load(tmp_path, SHORT)
    stored = json.loads(config.to_json())
    assert stored["data"].pop("rescore") == 768
    old = StudyConfig.from_json(json.dumps(stored))
    assert old.data.rescore == 0
    assert StudyConfig.from_json(old.to_json()) == old


def test_minutes_replace_candidates(tmp_path: Path) -> None:
    config = load(tmp_path, SHORT + "[search]\nminutes = 10\n")
    assert (config.search.candidates, config.search.minutes) == (None, 10.0)
    assert StudyConfig.from_json(config.to_json()) == config


def test_python_data_and_callables(tmp_path: Path) -> None:
    text = SHORT.replace('kind = "digits"', 'kind = "python"\nfactory = "data.py:splits"\nmetric = "m.py:score"')
    config = load(tmp_path, text.replace("nets.py:small", "package.nets:small").replace("w.pt", "/abs/w.pt"))
    assert config.data.factory == f"{tmp_path}/data.py:splits"
    assert config.data.metric == f"{tmp_path}/m.py:score"
    assert config.model.factory == "package.nets:small"
    assert config.model.weights == "/abs/w.pt"


def test_variables_are_expanded_in_every_string(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELS", "/models")
    monkeypatch.setenv("LAYER", "conv1")
    text = SHORT.replace("w.pt", "${MODELS}/w.pt") + '[search]\nkeep = ["${LAYER}.x"]\n'
    config = load(tmp_path, text)
    assert config.model.weights == "/models/w.pt"
    assert config.search.keep == ("conv1.x",)
    monkeypatch.delenv("MODELS")
    message = refused(tmp_path, text)
    assert "[model] weights" in message
    assert "variable MODELS is not set" in message
    assert "write variables as ${NAME}" in refused(tmp_path, SHORT.replace("w.pt", "${MODELS/w.pt"))


def test_a_byte_order_mark_is_no_trouble(tmp_path: Path) -> None:
    (tmp_path / "study.toml").write_bytes(b"\xef\xbb\xbf" + SHORT.encode())
    assert load_study_file(tmp_path / "study.toml", KNOWN).name == "a"


def test_the_relative_path_of_a_study_file_gives_absolute_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "study.toml").write_text(SHORT.replace("w.pt", "../w.pt"))
    monkeypatch.chdir(tmp_path)
    assert load_study_file(Path("inner/study.toml"), KNOWN).model.weights == str(tmp_path / "w.pt")


def test_read_study_names_its_source(tmp_path: Path) -> None:
    raw: dict[str, Any] = tomllib.loads(SHORT)
    assert read_study(raw, tmp_path, "compress", KNOWN).name == "a"
    raw["model"]["input"] = (1, 9, 9)
    with pytest.raises(FixInputError, match=r"^compress: \[model\] input = \[1, 9, 9\] does not fit the digits"):
        read_study(raw, tmp_path, "compress", KNOWN)


def changed(old: str, new: str, base: str = STUDY) -> str:
    assert old in base, old
    return base.replace(old, new, 1)


BAD = {
    "misspelt key": (
        changed("seed", "sed"),
        'study.toml: sed is not a known key; did you mean "seed"? Known: name,',
    ),
    "misspelt table": (changed("[model]", "[modl]"), 'modl is not a known key; did you mean "model"?'),
    "misspelt key hides the missing one": (
        changed("factory", "facotry"),
        '[model] facotry is not a known key; did you mean "factory"? Known: factory, weights, input',
    ),
    "misspelt target": (
        changed("max_drop", "max_dorp"),
        '[target] max_dorp is not a known key; did you mean "max_drop"?',
    ),
    "sampler": (
        changed('"allocation"', '"alocation"'),
        'study.toml: [search] sampler = "alocation" is not known; did you mean "allocation"? Known: allocation',
    ),
    "learner": (
        changed('"quant"', '"channels"'),
        '[search] learners = "channels" is not known; did you mean "channel"? Known: channel, quant',
    ),
    "criterion": (
        changed('"allocation"', '"allocation"\ncriterion = "l3"'),
        '[search] criterion = "l3" is not known; did you mean "l1"? Known: obs, l1',
    ),
    "runtime": (
        changed('"onnxruntime"', '"onnx"'),
        '[runtime] name = "onnx" is not known; did you mean "onnxruntime"?',
    ),
    "metric": (
        changed("mean", 'metric = "top5"\nmean'),
        '[data] metric = "top5" is not known; did you mean "top1"?',
    ),
    "kind": (
        changed('"images"', '"image"'),
        '[data] kind = "image" is not known; did you mean "images"? Known: images, digits',
    ),
    "metric that names no callable": (changed("mean", 'metric = "m.py:"\nmean'), "[data] metric"),
    "factory that names no callable": (
        changed("nets.py:resnet56", "nets.py"),
        '[model] factory = "nets.py" names no callable',
    ),
    "missing key": (changed('weights = "resnet56.safetensors"', ""), "[model] weights is missing"),
    "missing table": (
        changed('[target]\nsize = "8x"\nmax_drop = 1.0', ""),
        "[target] is missing; it holds size,",
    ),
    "empty target": (
        changed('size = "8x"\nmax_drop = 1.0', ""),
        "study.toml: [target] is empty: set size, latency, macs or max_drop",
    ),
    "target without unit": (
        changed('"8x"', '"8"'),
        "[target] size = '8' is not understood; write for example",
    ),
    "drop out of range": (
        changed("max_drop = 1.0", "max_drop = 101"),
        "[target] max_drop = 101 is not in [0, 100]",
    ),
    "table as a number": (
        changed("seed = 0", "target = 3", STUDY.replace("[target]", "[targets]")),
        "targets is not",
    ),
    "number for a table": (
        'name = "a"\ntarget = 3\n' + SHORT.partition("[target]")[0].replace('name = "a"', ""),
        "study.toml: [target] must be a table",
    ),
    "name": (
        changed('"resnet56-cifar10"', '"resnet 56"'),
        'name = "resnet 56" is not a study name; use 1 to 64',
    ),
    "name that starts with a dot": (changed('"resnet56-cifar10"', '".."'), "is not a study name"),
    "name with a line break": (changed('"resnet56-cifar10"', '"a\\n"'), "is not a study name"),
    "long name": (changed("resnet56-cifar10", "a" * 65), "at most 64 characters"),
    "negative seed": (changed("seed = 0", "seed = -1"), "seed = -1: must be greater than or equal to 0"),
    "seed as text": (changed("seed = 0", 'seed = "1"'), 'seed = "1": must be an integer'),
    "seed as a truth value": (changed("seed = 0", "seed = true"), "seed = true: must be an integer"),
    "input with a zero": (
        changed("[3, 32, 32]", "[3, 0, 32]"),
        "[model] input = [3, 0, 32]: item 2 must be greater",
    ),
    "empty input": (changed("[3, 32, 32]", "[]"), "[model] input = []: must not be empty"),
    "input as a number": (changed("[3, 32, 32]", "3"), "[model] input = 3: must be a list in brackets"),
    "vast input": (
        changed("[3, 32, 32]", "[3, 99999, 99999]"),
        "[model] input has 29999400003 values a sample",
    ),
    "two-channel images": (
        changed("[3, 32, 32]", "[2, 32, 32]"),
        "[model] input = [2, 32, 32] does not fit images",
    ),
    "digits of another shape": (
        changed("[1, 8, 8]", "[1, 9, 9]", SHORT),
        "does not fit the digits; write [1, 8, 8]",
    ),
    "images without a path": (
        changed('path = "cifar10.tar.xz"', ""),
        '[data] path is missing: kind = "images" needs it',
    ),
    "digits with a path": (
        changed('"digits"', '"digits"\npath = "x"', SHORT),
        '[data] path does not go with kind = "digits"',
    ),
    "python without a factory": (changed('"digits"', '"python"', SHORT), "[data] factory is missing"),
    "images with a factory": (changed("mean", 'factory = "d.py:f"\nmean'), "[data] factory does not go with"),
    "python with a mean": (
        changed('"digits"', '"python"\nfactory = "d.py:f"\nmean = [0.5]', SHORT),
        '[data] mean does not go with kind = "python"',
    ),
    "too few means": (
        changed("[0.485, 0.456, 0.406]", "[0.5]"),
        "[data] mean has 1 values; input has 3 channels",
    ),
    "zero std": (changed("0.229", "0"), "[data] std = [0, 0.224, 0.225]: item 1 must be greater than 0"),
    "infinite mean": (changed("0.485", "inf"), "[data] mean = [Infinity"),
    "no calibration": (changed("mean", "calibration = 0\nmean"), "[data] calibration = 0: must be greater"),
    "no learners": (changed('["quant"]', "[]"), "[search] learners = []: must not be empty"),
    "learners as text": (
        changed('["quant"]', '"quant"'),
        '[search] learners = "quant": must be a list in brackets',
    ),
    "a layer kept twice": (changed('["conv1"]', '["a", "a"]'), "[search] keep names something twice"),
    "round to nothing": (
        changed("candidates = 300", "round_to = 0"),
        "[search] round_to = 0: must be greater than or equal to 1",
    ),
    "round to a fraction": (changed("candidates = 300", "round_to = 2.5"), "[search] round_to = 2.5: must be a"),
    "no channels": (
        changed("candidates = 300", "min_channels = 0"),
        "[search] min_channels = 0: must be greater than or equal to 1",
    ),
    "no candidates": (
        changed("candidates = 300", "candidates = 0"),
        "[search] candidates = 0: must be greater",
    ),
    "candidates and minutes": (
        changed("candidates = 300", "candidates = 3\nminutes = 1"),
        "[search] minutes cannot go with",
    ),
    "endless minutes": (
        changed("candidates = 300", "minutes = nan"),
        "[search] minutes = NaN: must be a finite number",
    ),
    "no threads": (changed("threads = 1", "threads = 0"), "[runtime] threads = 0: must be greater"),
    "broken TOML": (
        changed("seed = 0", "seed = "),
        "study.toml: is not valid TOML: Invalid value (at line 3, column 8)",
    ),
    "key twice": (changed("seed = 0", "seed = 0\nseed = 1"), "is not valid TOML"),
    "endless integer": (changed("seed = 0", "seed = " + "9" * 5000), "is not valid TOML"),
    "deep nesting": (changed("seed = 0", "seed = " + "[" * 9000), "is not valid TOML"),
    "NUL in a path": (changed("cifar10.tar.xz", "\\u0000"), "holds a NUL character"),
    "long value": (changed('"allocation"', '"' + "x" * 500 + '"'), "xxx... is not known"),
    "line break in a key": (changed("seed = 0", '"a\\nb" = 0'), "a b is not a known key"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line_that_says_what_is_legal(case: str, tmp_path: Path) -> None:
    text, expected = BAD[case]
    assert expected in refused(tmp_path, text)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(FixInputError, match="there is no such file"):
        load_study_file(tmp_path / "none.toml", KNOWN)
    with pytest.raises(FixInputError, match="cannot be read"):
        load_study_file(tmp_path, KNOWN)
    (tmp_path / "study.toml").write_bytes(b'name = "\xff"')
    with pytest.raises(FixInputError, match="UTF-8"):
        load_study_file(tmp_path / "study.toml", KNOWN)


def test_a_configuration_cannot_be_changed(tmp_path: Path) -> None:
    config = load(tmp_path, SHORT)
    with pytest.raises(ValidationError):
        config.seed = 1  # type: ignore[misc]
    with pytest.raises(ValidationError):
        config.search.sampler = "x"  # type: ignore[misc]
