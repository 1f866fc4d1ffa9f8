"""`slimfront.compress`: from a live model and its loaders to a front."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import nn

from learners.captured import unwrapped
from learners.pool.table import open_pool
from objectives.workload.factory import load_callable
from objectives.workload.sources import sources_digest
from objectives.workload.workload import open_workload
from searcher.controller import Controller
from searcher.progress import Progress
from searcher.stages.prepare import Prepared
from slimfront.capture import DEFAULT_TRAIN_IMAGES, Captured, Limits, Samples, capture
from slimfront.cli.session import opened
from slimfront.progress import watching
from slimfront.result import StudyResult, read_result
from slimfront.submit import known_names, submit
from slimfront.target import TargetLike, read_target
from storage.errors import FixInputError, NotFoundError, StudyExistsError
from storage.home import Home
from storage.records.config import DEFAULT_RESCORE, StudyConfig, read_study
from storage.records.study import Study, StudyState
from storage.store import StudyStore

SOURCE = "compress()"  # what errors call the study file that there is not
CLASS_LENGTH = 40  # characters of a derived name that come from the model's class
HASH_DIGITS = 8  # of a derived name: enough for the studies of one store
UNKNOWN = Captured(Path("graph"), Path("arrays"), (1,))  # what stands in the configuration before anything is captured


def compress(
    model: nn.Module,
    train: Samples,
    val: Samples,
    target: TargetLike,
    *,
    name: str | None = None,
    metric: str | None = None,
    candidates: int | None = None,
    minutes: float | None = None,
    patience: int | None = None,
    keep: Sequence[str] = (),
    learners: Sequence[str] | None = None,
    sampler: str | None = None,
    round_to: int | None = None,
    min_channels: int | None = None,
    criterion: str | None = None,
    reconstruct: bool | None = None,
    calibration: int | None = None,
    quick: int | None = None,
    rescore: int | None = None,
    finetune: Mapping[str, Any] | bool = False,
    test: Samples | None = None,
    certificate: Mapping[str, Any] | bool = False,
    train_images: int | None = None,
    val_images: int | None = None,
    seed: int = 0,
    search_seed: int | None = None,
    runtime: str | None = None,
    threads: int | None = None,
    batch: int | None = None,
    workers: int = 1,
    store: str | None = None,
    progress: bool = True,
) -> StudyResult:
    """Searches for smaller, faster models and returns what was found. The same call again goes on, or returns it.

    `model` is a trained module from [n, *input] to [n, classes]; it is left as it is. `train` and `val` are each
    (images, labels), images alone, a dataset of (image, label), or a loader: an iterable of batches; images are
    floating [n, *input], normalised as in training, labels integers [n] from 0. Never give test images as `val`: the
    search chooses by them. Both are run once and kept, at most `train_images` (without it 2,048, or all of them where
    something is trained) and `val_images` of them.

    `finetune` trains the best candidates: True, or keys of the study file's [finetune], such as {"final_epochs": 5}.
    `test` is as `val`, and kept for a certificate alone: `certificate`, True or keys of [certificate], ends the study
    with one look at it; `StudyResult.certify` looks later.

    `target` is such as "size=8x drop<=1" or {"size": "8x", "max_drop": 1.0}. `name` names the study; without one it is
    made of the model's class and a hash of everything that is asked for. `metric` is a name or "file.py:callable", as
    a live function cannot go to workers. `workers` above 1 are processes on Ray. `store` is the URL of another database
    than the one that SLIMFRONT_STORE or SLIMFRONT_HOME name. `progress` False is quiet. `search_seed` is the seed of
    `[search]`; all other keywords are those of the study file, with its defaults.

    Raises FixInputError for whatever is wrong with the input, StudyExistsError if `name` is that of another study, and
    StoreLockedError if another process runs it. KeyboardInterrupt passes through; the study can go on.
    """
    if not isinstance(model, nn.Module):
        raise FixInputError(f"{SOURCE}: model is of type {type(model).__name__}; give a trained torch.nn.Module")
    options = {
        "target": read_target(target).to_dict(),
        "seed": seed,
        "search": {
            "candidates": candidates,
            "minutes": minutes,
            "patience": patience,
            "keep": _names("keep", keep),
            "learners": None if learners is None else _names("learners", learners),
            "sampler": sampler,
            "round_to": round_to,
            "min_channels": min_channels,
            "criterion": criterion,
            "reconstruct": reconstruct,
            "seed": search_seed,
        },
        "data": {"metric": _metric(metric), "calibration": calibration, "quick": quick, "rescore": rescore},
        "runtime": {"name": runtime, "threads": threads, "batch": batch},
        **_table("finetune", finetune),
        **_table("certificate", certificate),
    }
    checked = _config(
        options, _class_name(model) if name is None else name, UNKNOWN
    )  # a slip is found before the loaders are run
    if train_images is None:
        most = None if checked.finetune is not None else max(DEFAULT_TRAIN_IMAGES, checked.data.calibration)
    else:
        most = max(_count("train_images", train_images), checked.data.calibration)
    if checked.certificate is not None and test is None:
        raise FixInputError(f"{SOURCE}: certificate needs test images that nothing was chosen by: give test=...")
    limits = Limits(most, val_images)
    if val_images is not None:
        _count("val_images", val_images)
    _count("workers", workers)
    with opened(store) as (home, studies), watching(progress) as shown:
        home.prepare()
        captured = capture(home, model, train, val, test, limits, seed, shown)
        config = _config(options, checked.name, captured)
        if name is None:
            config = config.model_copy(update={"name": f"{_class_name(model)}-{_digest(config)}"})
        _run(config, home, studies, workers, shown)
        return read_result(studies, home, config.name)


def _config(options: Mapping[str, Any], name: str, captured: Captured) -> StudyConfig:
    """The study as a study file would ask for it. FixInputError for the first thing that is wrong."""
    tables = {
        **options,
        "name": name,
        "model": {"graph": str(captured.graph), "input": list(captured.input)},
        "data": {"kind": "arrays", "path": str(captured.arrays), **options["data"]},
    }
    given = {
        key: {name: item for name, item in value.items() if item is not None} if isinstance(value, dict) else value
        for key, value in tables.items()
    }
    return read_study(given, Path.cwd(), SOURCE, known_names())


def _run(config: StudyConfig, home: Home, store: StudyStore, workers: int, progress: Progress) -> None:
    """Brings the study to its end, from wherever it stands."""
    name = config.name
    try:
        study: Study | None = store.study(name)
    except NotFoundError:
        study = None
    prepared: Prepared | None = None
    if study is None:
        prepared = submit(config, store, home, progress)
        progress.event(f"study {name} is stored: the same call again goes on with it whatever happens")
    else:
        _check_same(study, config, store)
        done = study.state is StudyState.SUCCEEDED
        progress.event(f"study {name} is there already: " + ("this is its result" if done else "going on with it"))
    try:
        with open_pool(workers, inline=workers == 1) as pool:
            Controller(store, home, progress, pool).run(name, prepared)
    except KeyboardInterrupt as stop:
        text = f"study {name} is interrupted: the same call again, or `slimfront resume {name}`, goes on with it"
        stop.add_note(text)
        progress.event(text)
        raise


def _check_same(study: Study, config: StudyConfig, store: StudyStore) -> None:
    """StudyExistsError if the study of that name is another one."""
    stored, asked = _anywhere(StudyConfig.from_json(study.config_json)), _anywhere(config)
    if '"rescore"' not in study.config_json and asked.data.rescore == DEFAULT_RESCORE:  # of an earlier version
        asked = asked.model_copy(update={"data": asked.data.model_copy(update={"rescore": 0})})
    changed = [key for key in StudyConfig.model_fields if getattr(stored, key) != getattr(asked, key)]
    metric = config.data.metric
    analysis = store.analysis(study.name) if metric is not None and ":" in metric else None
    if analysis is not None and not changed and open_workload(config).content_hash != analysis.workload:
        changed = ["metric"]
    if changed:
        raise StudyExistsError(
            f"study {study.name} exists already with another {' and another '.join(changed)}: choose another name, "
            f"or `slimfront delete {study.name}`"
        )


def _class_name(model: nn.Module) -> str:
    """The class of the model, in letters that a study's name may have."""
    text = re.sub(r"[^A-Za-z0-9._-]", "", type(unwrapped(model)).__name__).lstrip("._-")
    return text[:CLASS_LENGTH] or "model"


def _anywhere(config: StudyConfig) -> StudyConfig:
    """What is asked for, wherever the home lies: captured files are named by their hash."""
    model, data = config.model, config.data
    update = {
        "model": model.model_copy(update={"graph": Path(model.graph or "").name}),
        "data": data.model_copy(update={"path": Path(data.path or "").name}),
    }
    return config.model_copy(update=update)


def _digest(config: StudyConfig) -> str:
    """Hash of what is asked for, without a default that earlier versions did not know: theirs stays the same."""
    data = config.data
    left_out: dict[str, Any] = dict.fromkeys(config.absent, True)
    if data.rescore == DEFAULT_RESCORE:
        left_out["data"] = {"rescore"}
    asked = _anywhere(config).model_copy(update={"name": ""})
    digest = hashlib.sha256(asked.model_dump_json(exclude=left_out).encode())
    if data.metric is not None and ":" in data.metric:
        digest.update(sources_digest(load_callable(data.metric)))
    return digest.hexdigest()[:HASH_DIGITS]


def _metric(given: str | None) -> str | None:
    if given is not None and not isinstance(given, str):
        raise FixInputError(
            f"{SOURCE}: metric is of type {type(given).__name__}, which cannot go to workers: write it into a file and "
            'give "file.py:callable", or a name such as "top1"'
        )
    return given


def _table(key: str, given: Mapping[str, Any] | bool) -> dict[str, dict[str, Any]]:
    """The optional table `key`: none for False."""
    if isinstance(given, bool):
        return {key: {}} if given else {}
    if not isinstance(given, Mapping):
        raise FixInputError(f"{SOURCE}: {key} is of type {type(given).__name__}; give True, or its keys as a dict")
    return {key: dict(given)}


def _names(key: str, given: Sequence[str]) -> list[str]:
    if isinstance(given, str):
        raise FixInputError(f'{SOURCE}: {key} is one string; give a list, such as ["{given}"]')
    return list(given)


def _count(key: str, given: int) -> int:
    if isinstance(given, bool) or not isinstance(given, int) or given < 1:
        raise FixInputError(f"{SOURCE}: {key} = {given!r} is no number of images or processes; give 1 or more")
    return given
