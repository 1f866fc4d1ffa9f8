"""The documentation names everything that users can name, names nothing else, and its examples work."""

from __future__ import annotations

import ast
import importlib
import inspect
import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import typer
from pydantic import BaseModel

import slimfront
from benchmarks.material import MODELS, RESULTS
from benchmarks.report import BEGIN, END, readme_table
from dashboards.candidate import CandidateView, GroupPlan, LayerPlan
from dashboards.certificate import ROW_FIELDS, CertificateView, RowCertificate
from dashboards.front import DenseRow, FrontView, Prediction, TableError
from dashboards.limits import ErrorShare, Relief, TargetLimit
from dashboards.row import BaselineRow
from dashboards.sensitivity import LevelSensitivity, SensitivityView, SiteSensitivity
from dashboards.status import StatusView
from dashboards.studies import StudyLine
from dashboards.timing import TimingRow, TimingView
from objectives import hypervolume
from objectives.pareto import FRONT_ROWS
from slimfront.checks import Check, Checkup
from slimfront.cli import codes
from slimfront.cli.app import app
from slimfront.demo.study import NAME as DEMO_NAME
from slimfront.demo.study import STUDY as DEMO_STUDY
from slimfront.estimate import PlannedTime
from slimfront.export.folder import NAMES as EXPORTED
from slimfront.planning import PlannedGroup, PlannedSite, PlannedSize, PlannedTarget, PlanView
from slimfront.rows import StudyRow
from slimfront.submit import known_names, read_config
from storage import errors, slim
from storage.records.config import (
    DEFAULT_CANDIDATES,
    DataConfig,
    ModelConfig,
    RuntimeConfig,
    SearchConfig,
    StudyConfig,
    read_study,
)
from storage.records.finetune_config import CertificateConfig, FinetuneConfig
from storage.records.space import Protected
from storage.records.study import StudyState
from storage.records.target import TARGET_KEYS
from tests.documentation import (
    CODE,
    DOCS,
    EXAMPLES,
    HEADING,
    LINK,
    PACKAGES,
    PAGES,
    ROOT,
    anchor,
    blocks,
    command_lines,
    commands,
    constant,
    extension_tables,
    options,
    problem,
    prose,
    reference,
    relative,
    section,
    table,
    text_of,
)

LINE_LENGTH = 120
STUDY_TABLES: Mapping[str, type[BaseModel]] = {
    "model": ModelConfig,
    "data": DataConfig,
    "search": SearchConfig,
    "runtime": RuntimeConfig,
    "finetune": FinetuneConfig,
    "certificate": CertificateConfig,
}
BASE_STUDY: Mapping[str, Any] = {  # what a fragment of a study file is laid over
    "name": "fragment",
    "model": {"factory": "nets.py:net", "weights": "net.safetensors", "input": [3, 32, 32]},
    "data": {"kind": "images", "path": "photos"},
    "target": {"size": "8x"},
}
INTERNAL = {"SLIMFRONT_WORKER_FILES", "SLIMFRONT_CHAOS", "SLIMFRONT_CHAOS_LOG"}  # of a process for its own children
VARIABLE = re.compile(r"\bSLIMFRONT_[A-Z_]+\b")


def names_of(*kinds: Any) -> set[str]:
    return {field.name for kind in kinds for field in fields(kind)}


# --- the study file


@pytest.mark.parametrize("name", STUDY_TABLES)
def test_keys_of_a_table_are_documented_with_their_defaults(name: str) -> None:
    rows = table(section(reference("study-file"), f"[{name}]"))
    known = STUDY_TABLES[name].model_fields
    assert set(rows) == set(known)
    for key, field in known.items():
        default = rows[key][1]
        if field.is_required():
            assert "required" in default, key
        elif field.default not in (None, ()):
            value = list(field.default) if isinstance(field.default, tuple) else field.default
            assert default.strip("`") == json.dumps(value), key


def test_top_level_and_target_keys_are_documented() -> None:
    text = reference("study-file")
    top = section(text, "Top level")
    plain = {key for key in StudyConfig.model_fields if key not in STUDY_TABLES and key != "target"}
    assert set(table(top)) == plain
    assert all(f"`[{name}]`" in top for name in (*STUDY_TABLES, "target"))
    assert set(table(section(text, "[target]"))) == set(TARGET_KEYS)
    assert table(section(text, "[search]"))["candidates"][1] == str(DEFAULT_CANDIDATES)


# --- the command line


def test_every_command_and_option_is_documented() -> None:
    text = reference("commands")
    overview = text[: text.index("## Exit codes")]
    assert {name.strip("[]") for name in table(overview)} == set(commands())
    for name in commands():
        part = section(text, name)
        written = {word for code in CODE.findall(part) for word in code.split() if word.startswith("-")}
        assert written == set(options(name)) - {"--help", "-h"}, name


def test_options_of_the_program_are_documented() -> None:
    group: Any = typer.main.get_command(app)
    for parameter in group.params:
        assert all(f"`slimfront {option}`" in reference("commands") for option in parameter.opts)


def test_exit_codes_are_documented() -> None:
    rows = [line.split("|") for line in section(reference("commands"), "Exit codes").splitlines() if "`" in line[:20]]
    written = {row[2].strip(" `"): int(row[1]) for row in rows if len(row) > 3}
    assert written == {key: value for key, value in vars(codes).items() if key.isupper()}


@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_commands_in_the_text_exist(page: Path) -> None:
    found = {" ".join(words): problem(words) for words in command_lines(page)}
    assert {line: text for line, text in found.items() if text is not None} == {}


def test_wrong_commands_would_be_found() -> None:
    assert problem(["fly"])
    assert problem(["front", "x", "--yaml"])
    assert problem(["front", "x", "y"])
    assert problem(["export", "x/1", "-o"])
    assert problem(["export", "x/1", "-o", "out"]) is None


def test_make_targets_in_the_text_exist() -> None:
    targets = set(re.findall(r"^(\w+):", text_of(ROOT / "Makefile"), re.MULTILINE))
    used = {name for page in PAGES for name in re.findall(r"(?:`|^)make (\w+)", text_of(page), re.MULTILINE)}
    assert {"demo", "test"} <= used <= targets


# --- JSON


def test_json_fields_are_documented() -> None:
    text = reference("json")
    expected = {
        "status": names_of(StatusView),
        "front": names_of(FrontView, DenseRow, Prediction, TableError, BaselineRow) | set(ROW_FIELDS),
        "list": names_of(StudyLine),
        "show": names_of(CandidateView, LayerPlan, GroupPlan),
        "sensitivity": names_of(SensitivityView, LevelSensitivity, TargetLimit),
        "measure": names_of(TimingView, TimingRow),
        "certify": names_of(CertificateView, RowCertificate),
        "plan": names_of(PlanView),
        "doctor": names_of(Checkup),
        "work": {"time", "level", "study", "text"},
    }
    assert set(expected) == {name for name in commands() if "--json" in options(name)}
    for name, wanted in expected.items():
        assert set(table(section(text, name))) == wanted, name
    nested = {
        "show": names_of(Protected),
        "sensitivity": names_of(SiteSensitivity, ErrorShare, Relief),
        "plan": names_of(PlannedSite, PlannedGroup, PlannedSize, PlannedTarget, PlannedTime, Protected),
        "doctor": names_of(Check),
    }
    for name, wanted in nested.items():
        assert wanted <= set(CODE.findall(section(text, name))), name


def test_fields_of_plan_json_are_documented() -> None:
    tree = ast.parse(text_of(ROOT / "slimfront" / "export" / "plan.py"))
    document = next(node.value for node in ast.walk(tree) if isinstance(node, ast.AnnAssign) and node.value is not None)
    assert isinstance(document, ast.Dict)
    keys = {constant(key): value for key, value in zip(document.keys, document.values, strict=True) if key is not None}
    part = section(reference("json"), "plan.json")
    assert set(table(part)) == set(keys)
    given = keys["input"]
    assert isinstance(given, ast.Dict)
    inner = {constant(key) for key in given.keys} | set(RuntimeConfig.model_fields)
    assert inner <= set(CODE.findall(part))


def test_states_are_documented() -> None:
    assert set(table(section(reference("json"), "States"))) == {state.value for state in StudyState}


# --- tables of names


def test_entries_of_extension_tables_are_documented() -> None:
    text, tables = reference("extending"), extension_tables()
    assert {"LEARNERS", "CRITERIA", "SAMPLERS", "RUNTIMES", "METRICS", "STORES"} <= set(tables)
    for name, (file, keys) in tables.items():
        part = section(text, name.capitalize())
        assert f"`{name}` in `{file}`" in part
        assert set(table(part)) == keys, name


def test_environment_variables_are_documented() -> None:
    sources = [path for folder in (*PACKAGES, "benchmarks") for path in (ROOT / folder).rglob("*.py")]
    used = {name for path in sources for name in VARIABLE.findall(path.read_text(encoding="utf-8"))}
    assert set(table(section(reference("files"), "Environment variables"))) == used - INTERNAL


def test_errors_are_documented_with_their_exit_codes() -> None:
    rows = table(reference("errors"))
    kinds = {name: kind for name, kind in vars(errors).items() if isinstance(kind, type)}
    assert set(kinds) == {name for name in rows if name in kinds or name.endswith("Error")}
    for name, kind in kinds.items():
        by_class = {errors.FixInputError: codes.USAGE, errors.NotFoundError: codes.NOT_FOUND}
        expected = next((code for base, code in by_class.items() if issubclass(kind, base)), codes.FAILED)
        assert rows[name][-1] == str(expected), name


def test_files_of_an_export_are_documented() -> None:
    assert set(table(section(reference("files"), "An exported folder"))) == EXPORTED


def test_hypervolume_and_format_state_the_constants_of_the_code() -> None:
    text = " ".join(reference("hypervolume").split())
    assert f"{hypervolume.ACCURACY_SPAN_POINTS:g} percentage points below" in text
    assert f"{2**hypervolume.SIZE_SPAN_DOUBLINGS:g} times smaller" in text
    assert f"{2**hypervolume.SPEED_SPAN_DOUBLINGS:g} times faster" in text
    assert f"at most {FRONT_ROWS} rows" in text
    layout = reference("model-slim")
    assert f"Version {slim.VERSION}." in layout
    assert f"| {len(slim.MAGIC)} | magic `{slim.MAGIC.decode()}` |" in layout
    assert f"| {slim.DIGEST_BYTES} | BLAKE2b digest" in layout
    assert all(f"`{use}`" in layout for use in slim.USES)


def test_the_python_api_is_documented() -> None:
    text = reference("python")
    assert {f"slimfront.{name}" for name in slimfront.__all__} <= {
        title.strip("`") for _, title in HEADING.findall(text)
    }
    keywords = set(inspect.signature(slimfront.compress).parameters)
    assert keywords <= set(CODE.findall(section(text, "slimfront.compress")))
    result = section(text, "slimfront.StudyResult")
    members = {name.partition("(")[0] for name in table(result)}
    public = {name for kind in (slimfront.StudyResult, StudyRow) for name in vars(kind) if not name.startswith("_")}
    own = public - names_of(StudyRow) | {"name"}
    assert own - {"label", "home", "study"} <= members
    assert members <= public
    assert {"`label`", "`study`"} <= set(re.findall(r"`\w+`", result))


# --- blocks


@pytest.fixture
def variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sets every variable that a study file of the documentation uses."""
    for text in (*map(text_of, PAGES), *map(text_of, EXAMPLES)):
        for name in re.findall(r"\$\{(\w+)\}", text):
            monkeypatch.setenv(name, "/data")


@pytest.mark.usefixtures("variables")
@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_toml_blocks_are_study_files_or_parts_of_one(page: Path) -> None:
    examples = {config.name: config for config in map(read_config, EXAMPLES)}
    for block in blocks(page, "toml"):
        raw = tomllib.loads(block)
        config = read_study({**BASE_STUDY, **raw}, ROOT / "examples" / "cifar10", relative(page), known_names())
        if config.name in examples:
            assert config == examples[config.name], f"{config.name} differs from its file"
        if config.name == DEMO_NAME:
            assert raw == tomllib.loads(DEMO_STUDY)


@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_python_blocks_compile_and_their_names_exist(page: Path) -> None:
    for block in blocks(page, "python"):
        tree = ast.parse(block)
        compile(tree, relative(page), "exec")
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "slimfront":
                assert hasattr(slimfront, node.attr), node.attr
            if isinstance(node, ast.ImportFrom) and str(node.module).partition(".")[0] in PACKAGES:
                module = importlib.import_module(str(node.module))
                assert all(hasattr(module, alias.name) for alias in node.names), ast.unparse(node)


# --- pages


@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_links_lead_somewhere(page: Path) -> None:
    for link in LINK.findall(prose(page)):
        if link.startswith("https://"):
            continue
        path, _, fragment = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.is_relative_to(ROOT), f"{link} leads out of the repository"
        assert target.exists(), f"{link} leads nowhere"
        if fragment:
            assert fragment in {anchor(title) for _, title in HEADING.findall(prose(target))}, link


def test_the_index_links_every_page() -> None:
    linked = {(DOCS / link.partition("#")[0]).resolve() for link in LINK.findall(text_of(DOCS / "README.md"))}
    assert {page for page in DOCS.rglob("*.md") if page.name != "README.md"} <= linked


@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_lines_are_short_enough_to_read(page: Path) -> None:
    long = [number for number, line in enumerate(text_of(page).splitlines(), 1) if len(line) > LINE_LENGTH]
    assert long == []


def test_the_readme_quotes_the_benchmark_results() -> None:
    text = (ROOT / "README.md").read_text()
    _, _, rest = text.partition(BEGIN)
    quoted, _, _ = rest.partition(END)
    assert quoted.strip() == readme_table(RESULTS, MODELS)
