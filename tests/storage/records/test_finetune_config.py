"""The tables [finetune] and [certificate] of a study file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from storage.records.config import StudyConfig
from storage.records.config_table import MAX_BATCH
from storage.records.finetune_config import DEFAULT_RATE, MOST_EPOCHS, MOST_FINALISTS, CertificateConfig, FinetuneConfig
from tests.storage.records.test_config import SHORT, STUDY, load, refused

ALL = """
[finetune]
finalists = 8
epochs = 2
final_epochs = 30
baseline = true
distill = true
features = "fsp"
lr = 0.01
batch = 64
augment = "flip"
images = 5000
"""


def test_without_the_tables_nothing_is_trained_or_certified(tmp_path: Path) -> None:
    config = load(tmp_path, SHORT)
    assert config.finetune is None
    assert config.certificate is None
    assert StudyConfig.from_json(config.to_json()) == config
    assert {"finetune", "certificate"}.isdisjoint(json.loads(config.to_json()))  # as versions without them wrote it
    both = load(tmp_path, f"{SHORT}[finetune]\n[certificate]\n")
    assert {"finetune", "certificate"} <= json.loads(both.to_json()).keys()


def test_defaults(tmp_path: Path) -> None:
    config = load(tmp_path, SHORT + "[finetune]\n[certificate]\n")
    assert config.finetune == FinetuneConfig()
    found = FinetuneConfig()
    assert (found.finalists, found.epochs, found.final_epochs) == (4, 1, 10)
    assert (found.baseline, found.distill, found.features) == (False, True, "none")
    assert (found.lr, found.batch, found.augment, found.images) == (DEFAULT_RATE, 128, "auto", None)
    assert config.certificate == CertificateConfig(error=0.05)
    assert StudyConfig.from_json(config.to_json()) == config


def test_every_key_is_read_and_stored(tmp_path: Path) -> None:
    config = load(tmp_path, STUDY + ALL + "[certificate]\nerror = 0.01\n")
    assert config.finetune == FinetuneConfig(
        finalists=8,
        epochs=2,
        final_epochs=30,
        baseline=True,
        features="fsp",
        lr=0.01,
        batch=64,
        augment="flip",
        images=5000,
    )
    assert config.certificate is not None
    assert config.certificate.error == 0.01
    assert StudyConfig.from_json(config.to_json()) == config
    assert config.finetune.model_fields_set == set(FinetuneConfig.model_fields)


@pytest.mark.parametrize(
    "text",
    [
        f"finalists = {MOST_FINALISTS}",
        f"epochs = {MOST_EPOCHS}\nfinal_epochs = {MOST_EPOCHS}",
        "epochs = 3\nfinal_epochs = 3",
        f"batch = {MAX_BATCH}",
        "batch = 2\nimages = 1",
        "lr = 1",
        'distill = false\naugment = "none"',
        'augment = "crop+flip"',
    ],
)
def test_what_is_legal(tmp_path: Path, text: str) -> None:
    assert load(tmp_path, f"{SHORT}[finetune]\n{text}\n").finetune is not None


BAD = {
    "finalists = 0": "[finetune] finalists = 0",
    f"finalists = {MOST_FINALISTS + 1}": f"[finetune] finalists = {MOST_FINALISTS + 1}",
    "finalists = 2.5": "[finetune] finalists = 2.5",
    "finalists = true": "[finetune] finalists = true",
    "epochs = 0": "[finetune] epochs = 0",
    "epochs = 12": "[finetune] final_epochs = 10 is less than epochs = 12; give as many",
    "final_epochs = 0": "[finetune] final_epochs = 0",
    f"final_epochs = {MOST_EPOCHS + 1}": f"[finetune] final_epochs = {MOST_EPOCHS + 1}",
    "baseline = 1": "[finetune] baseline = 1",
    'distill = "no"': '[finetune] distill = "no"',
    'features = "fps"': '[finetune] features = "fps"',
    'features = "fsp"\ndistill = false': '[finetune] features = "fsp" needs the dense model; remove distill = false',
    "lr = 0.0": "[finetune] lr = 0.0",
    "lr = -0.1": "[finetune] lr = -0.1",
    "lr = 1.5": "[finetune] lr = 1.5",
    "lr = nan": "[finetune] lr",
    'lr = "0.1"': '[finetune] lr = "0.1"',
    "batch = 1": "[finetune] batch = 1",
    f"batch = {MAX_BATCH + 1}": f"[finetune] batch = {MAX_BATCH + 1}",
    'augment = "rotate"': '[finetune] augment = "rotate"',
    "images = 0": "[finetune] images = 0",
    "finalist = 3": '[finetune] finalist is not a known key; did you mean "finalists"?',
}


@pytest.mark.parametrize("text", BAD)
def test_what_is_not_is_said_in_a_line(tmp_path: Path, text: str) -> None:
    message = refused(tmp_path, f"{SHORT}[finetune]\n{text}\n")
    assert message.startswith(f"study.toml: {BAD[text]}")


@pytest.mark.parametrize("change", ["flip", "crop", "crop+flip"])
def test_only_images_are_moved_and_mirrored(tmp_path: Path, change: str) -> None:
    arrays = SHORT.replace('kind = "digits"', 'kind = "arrays"\npath = "a.safetensors"')
    for shape in ("[64]", "[8, 8]", "[3, 4, 8, 8]"):
        text = arrays.replace("[1, 8, 8]", shape)
        message = refused(tmp_path, f'{text}[finetune]\naugment = "{change}"\n')
        assert f'[finetune] augment = "{change}" does not fit [model] input = {shape}, which is no image' in message
        for other in ("auto", "none"):
            load(tmp_path, f'{text}[finetune]\naugment = "{other}"\n')
    load(tmp_path, f'{arrays}[finetune]\naugment = "{change}"\n')


@pytest.mark.parametrize(("text", "said"), [("0.0", "0.0"), ("0.5", "0.5"), ("-0.1", "-0.1"), ("inf", ""), ("1", "1")])
def test_a_certificate_may_be_wrong_seldom(tmp_path: Path, text: str, said: str) -> None:
    message = refused(tmp_path, f"{SHORT}[certificate]\nerror = {text}\n")
    assert message.startswith(f"study.toml: [certificate] error{f' = {said}' if said else ''}")


def test_a_certificate_is_about_a_drop(tmp_path: Path) -> None:
    text = SHORT.replace("max_drop = 1", 'size = "4x"')
    assert refused(tmp_path, f"{text}[certificate]\n") == (
        "study.toml: [certificate] has nothing to certify: set [target] max_drop"
    )
    assert load(tmp_path, text).certificate is None


def test_a_misspelt_key_of_a_certificate_is_named(tmp_path: Path) -> None:
    assert '[certificate] errors is not a known key; did you mean "error"?' in refused(
        tmp_path, f"{SHORT}[certificate]\nerrors = 0.1\n"
    )
