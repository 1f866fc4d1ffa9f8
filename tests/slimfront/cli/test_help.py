"""What the command line says of itself, and how little it needs to say it."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib

import pytest

import slimfront
from tests.slimfront.material import ROOT, invoke

HEAVY = {"torch", "ray", "optuna", "sqlalchemy", "numpy", "scipy", "onnx", "onnxruntime", "sklearn", "PIL", "plotly"}
COMMANDS = (
    *("plan", "run", "resume", "list", "status", "front", "show", "sensitivity", "report", "measure"),
    *("submit", "work", "watch", "cancel", "certify", "export", "delete", "gc", "demo", "doctor"),
)
GROUPS = {"store": ("check", "upgrade", "copy")}
READING = ("plan", "work", "list", "status", "front", "show", "sensitivity", "measure", "certify", "doctor")
STORING = tuple(name for name in COMMANDS if name != "plan")

LOADED = """
import sys
from slimfront.cli.main import run
from slimfront.cli.signals import Signals
code = run(sys.argv[1:], Signals())
print("loaded", *sorted({name.partition(".")[0] for name in sys.modules}), file=sys.stderr)
sys.exit(code)
"""


@pytest.mark.parametrize("arguments", [["--help"], [], ["--version"], ["nonsense"], ["run", "--help"], ["run"]])
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    # The command-line library itself reads the arguments of commands through pydantic in some of its versions.
    heavy = {"pydantic", *HEAVY} if arguments in (["--help"], ["--version"]) else HEAVY
    ran = subprocess.run(
        [sys.executable, "-c", LOADED, *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )
    loaded = ran.stderr.splitlines()[-1].split()
    assert loaded[0] == "loaded"
    assert "typer" in loaded
    assert not heavy & set(loaded)


def test_help_lists_every_command() -> None:
    ran = invoke("--help")
    assert ran.code == 0
    shown = re.findall(r"│ ([a-z]+) ", ran.out)
    assert sorted(shown) == sorted((*COMMANDS, *GROUPS))
    assert invoke().out.strip() == ran.out.strip()


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str) -> None:
    ran = invoke(command, "--help")
    assert ran.code == 0
    assert ("--json" in ran.out) == (command in READING)
    assert ("--store" in ran.out) == (command in STORING)


@pytest.mark.parametrize("group", GROUPS)
def test_every_group_explains_its_commands(group: str) -> None:
    for arguments in ((group,), (group, "--help")):
        shown = re.findall(r"│ ([a-z]+) ", invoke(*arguments).out)
        assert sorted(shown) == sorted(GROUPS[group])
    for command in GROUPS[group]:
        assert invoke(group, command, "--help").code == 0


def test_version_is_that_of_the_distribution() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert slimfront.__version__ == project["version"]
    assert invoke("--version").out == f"slimfront {slimfront.__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["nonsense"], "nonsense"),
        (["front"], "STUDY"),
        (["front", "a", "b"], "b"),
        (["front", "a", "--colour"], "--colour"),
        (["export", "a/1"], "--output"),
    ],
)
def test_wrong_usage_is_one_line_and_code_2(arguments: list[str], complaint: str) -> None:
    ran = invoke(*arguments)
    assert ran.code == 2
    assert ran.errors == [ran.err.strip()]
    assert complaint in ran.err
    assert "--help` shows how to use it" in ran.err
