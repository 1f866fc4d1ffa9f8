"""What a study is asked to do: the study file, checked once when it is read and frozen from then on."""

from __future__ import annotations

import math
import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, PlainSerializer, PlainValidator, StringConstraints, ValidationError, model_validator

from storage.errors import FixInputError
from storage.records.config_errors import explain, one_line, problem, unknown_key, unknown_name
from storage.records.config_strings import absolute_callable, absolute_path, expand
from storage.records.config_table import MAX_BATCH, Count, Real, Table, Text
from storage.records.finetune_config import CertificateConfig, FinetuneConfig
from storage.records.target import TARGET_KEYS, Target

DEFAULT_CANDIDATES = 300
DEFAULT_IMAGES = 256  # calibration and quick score; design section 4 gives the reasons
DEFAULT_RESCORE = 768  # with those of the quick score four times as many: half its standard error
MAX_CANDIDATES = 1_000_000  # a study of more would not end; most likely a slip
MAX_INPUT_VALUES = 2**26  # 256 MB as float32 for one sample: more is a slip, not a model for a laptop
MAX_SEED = 2**63 - 1  # SQL integers and torch's seeds are 64 bits wide, signed
MAX_THREADS = 1024
PACKED_RUNTIME = "onnxruntime"  # opens model.slim itself; others get the ONNX file that it stands for

StudyName = Annotated[str, StringConstraints(max_length=64)]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)
_EMPTY_TARGET = "is empty: set size, latency, macs or max_drop"


class ModelConfig(Table):
    """The trained model: a factory and its weights, or a captured graph."""

    factory: Text | None = None  # "file.py:callable" or "package.module:callable"; called without arguments
    weights: Text | None = None  # .safetensors, or .pt/.pth/.bin that holds a plain state dict
    input: tuple[Count, ...] = Field(min_length=1)  # shape of one sample, such as (3, 32, 32)
    graph: Text | None = None  # a file that slimfront.compress has captured; in place of factory and weights

    @model_validator(mode="after")
    def _check(self) -> Self:
        for key in ("factory", "weights"):
            given = getattr(self, key) is not None
            if self.graph is None and not given:
                raise problem((key,), "is missing: it has no default")
            if self.graph is not None and given:
                raise problem((key,), "does not go with graph; remove one of them")
        if self.factory is not None:
            _check_callable(self.factory, ("factory",), "nets.py:resnet20")
        if math.prod(self.input) > MAX_INPUT_VALUES:
            raise problem(("input",), f"has {math.prod(self.input)} values a sample; at most {MAX_INPUT_VALUES}")
        return self

    @property
    def channels(self) -> int:
        """Length of `mean` and `std`: the first dimension, or 1 where a sample has only one."""
        return self.input[0] if len(self.input) > 1 else 1


class DataConfig(Table):
    """The images or arrays, and how they are judged."""

    kind: Literal["images", "digits", "python", "arrays"]
    path: Text | None = None  # images: a folder or a tar archive; arrays: a .safetensors file
    factory: Text | None = None  # python: "file.py:callable" that returns the splits
    mean: tuple[Real, ...] = ()  # per channel, on pixels in [0, 1]; StudyConfig fills in 0
    std: tuple[Annotated[Real, Field(gt=0)], ...] = ()  # per channel; StudyConfig fills in 1
    metric: Text | None = None  # "top1", "agreement", "file.py:callable"; None: top1 with labels, else agreement
    calibration: Count = DEFAULT_IMAGES  # training images for Gram matrices and activation ranges
    quick: Count = DEFAULT_IMAGES  # validation images of the quick score
    rescore: Annotated[int, Field(strict=True, ge=0)] = DEFAULT_RESCORE  # of the second score of the best; 0: none

    @model_validator(mode="after")
    def _check(self) -> Self:
        needs = {"images": "path", "python": "factory", "arrays": "path"}.get(self.kind)
        for key in ("path", "factory"):
            given = getattr(self, key) is not None
            if key == needs and not given:
                raise problem((key,), f'is missing: kind = "{self.kind}" needs it')
            if key != needs and given:
                raise problem((key,), f'does not go with kind = "{self.kind}"; remove it or change the kind')
        if self.factory is not None:
            _check_callable(self.factory, ("factory",), "data.py:splits")
        if self.metric is not None and ":" in self.metric:
            _check_callable(self.metric, ("metric",), "metric.py:score")
        if self.kind in ("python", "arrays"):  # arrays are taken as they are
            for key in ("mean", "std"):
                if set(getattr(self, key)) - {0.0 if key == "mean" else 1.0}:
                    where = "in the factory" if self.kind == "python" else "the arrays"
                    raise problem((key,), f'does not go with kind = "{self.kind}": normalise {where}')
        return self


class SearchConfig(Table):
    """How candidates are made and how many."""

    learners: tuple[Text, ...] = Field(default=("channel", "quant"), min_length=1)
    sampler: Text = "auto"
    candidates: Annotated[int, Field(strict=True, ge=1, le=MAX_CANDIDATES)] | None = None  # default: 300
    minutes: Annotated[Real, Field(gt=0)] | None = None  # in place of candidates
    patience: Count | None = None  # candidates without growth of the hypervolume after which the search ends
    # Of the sampler; None: the study's. With another one the search is another throw, on the same images and weights.
    seed: Annotated[int, Field(strict=True, ge=0, le=MAX_SEED)] | None = None
    keep: tuple[Text, ...] = ()  # layers that are never touched
    round_to: Count | None = None  # channels that remain are multiples of it; None: by the width of the layer
    min_channels: Count | None = None  # of each group, at least
    criterion: Text = "obs"  # in what order channels go
    reconstruct: Annotated[bool, Field(strict=True)] = True  # whether what reads them is fitted to those that are left

    @model_validator(mode="after")
    def _check(self) -> Self:
        for key in ("learners", "keep"):
            names = getattr(self, key)
            if len(set(names)) != len(names):
                raise problem((key,), "names something twice; remove one")
        if self.candidates is not None and self.minutes is not None:
            raise problem(("minutes",), "cannot go with candidates; give one of them")
        if self.candidates is None and self.minutes is None:
            object.__setattr__(self, "candidates", DEFAULT_CANDIDATES)
        return self


class RuntimeConfig(Table):
    """What the exported models run on, and how they are timed."""

    name: Text = PACKED_RUNTIME
    threads: Annotated[Count, Field(le=MAX_THREADS)] = 1
    batch: Annotated[Count, Field(le=MAX_BATCH)] = 1


def _read_target(raw: object) -> Target:
    if isinstance(raw, Target):
        target = raw
    elif not isinstance(raw, Mapping):
        raise problem((), "must be a table")
    else:
        for key in raw:
            if key not in TARGET_KEYS:
                raise unknown_key(str(key))
        try:
            target = Target.from_dict(raw)
        except ValueError as error:
            raise problem((), str(error)) from error
    if target.is_empty:
        raise problem((), _EMPTY_TARGET)
    return target


class StudyConfig(Table):
    """One study as it was asked for. `load_study_file` and `read_study` make its paths absolute."""

    name: StudyName
    seed: Annotated[int, Field(strict=True, ge=0, le=MAX_SEED)] = 0
    model: ModelConfig
    data: DataConfig
    target: Annotated[Target, PlainValidator(_read_target), PlainSerializer(Target.to_dict, return_type=dict)]
    search: SearchConfig = SearchConfig()
    runtime: RuntimeConfig = RuntimeConfig()
    finetune: FinetuneConfig | None = None  # None: nothing is trained
    certificate: CertificateConfig | None = None  # None: the test split is not looked at

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not _NAME.fullmatch(self.name):
            raise problem(
                ("name",),
                f'= "{self.name}" is not a study name; use 1 to 64 letters, digits, ".", "_" or "-", '
                "the first a letter or a digit",
            )
        shape, channels = self.model.input, self.model.channels
        if self.data.kind == "images" and (len(shape) != 3 or channels not in (1, 3)):
            raise problem(
                ("model", "input"),
                f"= {list(shape)} does not fit images; write [3, height, width] or [1, ...]",
            )
        if self.data.kind == "digits" and shape != (1, 8, 8):
            raise problem(("model", "input"), f"= {list(shape)} does not fit the digits; write [1, 8, 8]")
        if self.finetune is not None:
            self.finetune.check_input(shape)
        if self.certificate is not None and self.target.max_drop is None:
            raise problem(("certificate",), "has nothing to certify: set [target] max_drop")
        filled = {}
        for key, default in (("mean", 0.0), ("std", 1.0)):
            given = getattr(self.data, key) or (default,) * channels
            if len(given) != channels:
                raise problem(("data", key), f"has {len(given)} values; input has {channels} channels: give as many")
            filled[key] = given
        object.__setattr__(self, "data", self.data.model_copy(update=filled))
        return self

    @property
    def callables(self) -> tuple[str, ...]:
        """What names code that is run for the study, such as "nets.py:resnet20"; nothing for what is captured."""
        given = (self.model.factory, self.data.factory, self.data.metric)
        return tuple(dict.fromkeys(text for text in given if text is not None and ":" in text))

    def to_json(self) -> str:
        """One line of JSON that `from_json` reads back to an equal value, as versions without them wrote it where there
        is neither fine-tuning nor a certificate."""
        return self.model_dump_json(exclude=self.absent)

    @property
    def absent(self) -> set[str]:
        """The optional tables that are not there, which hashes leave out: earlier versions did not know them."""
        return {key for key in ("finetune", "certificate") if getattr(self, key) is None}

    @classmethod
    def from_json(cls, text: str) -> StudyConfig:
        """Inverse of `to_json`. FixInputError if another version of Slimfront wrote something else.

        A study of a version that had no second score goes on without one.
        """
        try:
            found = cls.model_validate_json(text)
            if "rescore" in found.data.model_fields_set:
                return found
            return found.model_copy(update={"data": found.data.model_copy(update={"rescore": 0})})
        except ValidationError as error:
            raise explain("the stored study", error, None, _KNOWN_KEYS) from error


_KNOWN_KEYS: Mapping[tuple[str, ...], tuple[str, ...]] = {
    (): tuple(StudyConfig.model_fields),
    ("model",): tuple(ModelConfig.model_fields),
    ("data",): tuple(DataConfig.model_fields),
    ("target",): TARGET_KEYS,
    ("search",): tuple(SearchConfig.model_fields),
    ("runtime",): tuple(RuntimeConfig.model_fields),
    ("finetune",): tuple(FinetuneConfig.model_fields),
    ("certificate",): tuple(CertificateConfig.model_fields),
}


@dataclass(frozen=True)
class KnownNames:
    """The names in the extension tables. Records know no tables: `slimfront` passes their keys in."""

    learners: tuple[str, ...]
    samplers: tuple[str, ...]
    runtimes: tuple[str, ...]
    metrics: tuple[str, ...]
    criteria: tuple[str, ...]


def load_study_file(path: Path, known: KnownNames) -> StudyConfig:
    """Read and check a study file. Its paths are relative to its folder; `${VAR}` is expanded in its strings.

    FixInputError, one line, for the first thing that is wrong: file, key, what was given and what is legal.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError as error:
        raise FixInputError(one_line(f"{path}: there is no such file; give the path of a study file")) from error
    except UnicodeDecodeError as error:
        raise FixInputError(one_line(f"{path}: is not UTF-8 text (byte {error.start}); save it as UTF-8")) from error
    except OSError as error:
        raise FixInputError(one_line(f"{path}: cannot be read: {error.strerror or error}")) from error
    try:
        raw = tomllib.loads(text)
    except ValueError as error:  # TOMLDecodeError, or an integer of thousands of digits
        raise FixInputError(one_line(f"{path}: is not valid TOML: {error}")) from error
    except RecursionError as error:
        raise FixInputError(one_line(f"{path}: is not valid TOML: it is nested too deeply")) from error
    return read_study(raw, folder=path.absolute().parent, source=str(path), known=known)


def read_study(raw: Mapping[str, Any], folder: Path, source: str, known: KnownNames) -> StudyConfig:
    """The study that `raw` describes, as tables of a study file. `source` names it in errors.

    Relative paths are below `folder`. Errors as in `load_study_file`.
    """
    tables = expand(raw, os.environ, source)
    try:
        config = StudyConfig.model_validate(tables)
    except ValidationError as error:
        raise explain(source, error, tables, _KNOWN_KEYS) from error
    _check_names(config, source, known)
    model, data = config.model, config.data
    paths = {
        "path": data.path and absolute_path(data.path, folder),
        "factory": data.factory and absolute_callable(data.factory, folder),
        "metric": data.metric and absolute_callable(data.metric, folder),
    }
    model_paths = {
        "factory": model.factory and absolute_callable(model.factory, folder),
        "weights": model.weights and absolute_path(model.weights, folder),
        "graph": model.graph and absolute_path(model.graph, folder),
    }
    update = {"model": model.model_copy(update=model_paths), "data": data.model_copy(update=paths)}
    return config.model_copy(update=update)


def _check_names(config: StudyConfig, source: str, known: KnownNames) -> None:
    for learner in config.search.learners:
        if learner not in known.learners:
            raise unknown_name(source, ("search", "learners"), learner, known.learners)
    if config.search.sampler not in known.samplers:
        raise unknown_name(source, ("search", "sampler"), config.search.sampler, known.samplers)
    if config.search.criterion not in known.criteria:
        raise unknown_name(source, ("search", "criterion"), config.search.criterion, known.criteria)
    if config.runtime.name not in known.runtimes:
        raise unknown_name(source, ("runtime", "name"), config.runtime.name, known.runtimes)
    metric = config.data.metric
    if metric is not None and ":" not in metric and metric not in known.metrics:
        raise unknown_name(source, ("data", "metric"), metric, (*known.metrics, "file.py:callable"))


def _check_callable(text: str, path: tuple[str, ...], example: str) -> None:
    left, colon, name = text.rpartition(":")
    if not colon or not left or not name.isidentifier():
        raise problem(path, f'= "{text}" names no callable; write "{example}" or "package.module:callable"')
