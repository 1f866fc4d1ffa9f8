"""The guard: every way a command can end, and its one line."""

from __future__ import annotations

import errno
import os
import subprocess
import sys

import pytest
import typer

from slimfront.cli import app, doctor
from slimfront.cli.main import run
from slimfront.cli.signals import Signals, StudyInterruptedError
from storage.errors import DiskFullError, FixInputError, GiveUpError, NotFoundError, SlimfrontError, StoreLockedError
from tests.slimfront.cli.test_help import COMMANDS
from tests.slimfront.material import ROOT

ENDS = [
    (FixInputError("write it so"), 2, "error: write it so"),
    (NotFoundError("none"), 4, "error: none"),
    (GiveUpError("broken"), 1, "error: broken"),
    (StoreLockedError("wait"), 1, "error: wait"),
    (DiskFullError("free some"), 1, "error: free some"),
    (SlimfrontError("two\nlines"), 1, "error: two lines"),
    (typer.Exit(3), 3, ""),
    (typer.Exit(), 0, ""),
    (typer.Abort(), 1, "error: aborted"),
    (KeyboardInterrupt(), 130, "interrupted"),
    (StudyInterruptedError("s"), 130, "interrupted: `slimfront resume s` goes on"),
    (OSError(errno.ENOSPC, "No space", "/x/y"), 1, "error: no space is left to write /x/y: free some, then try again"),
    (MemoryError(), 1, "error: out of memory: close other programs, or lower [data] quick and calibration"),
    (
        ValueError("a\nb"),
        1,
        "error: internal error: ValueError: a b; run with SLIMFRONT_DEBUG=1 for the traceback",
    ),
]


def ending(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    """Makes `slimfront doctor` end by `error`."""

    def raises(_store: str | None, start_ray: bool) -> None:
        raise error

    monkeypatch.setattr("slimfront.checks.examine", raises)


@pytest.mark.parametrize(("error", "code", "line"), ENDS, ids=lambda value: repr(value)[:30])
def test_each_end_has_its_code_and_its_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: BaseException, code: int, line: str
) -> None:
    monkeypatch.delenv("SLIMFRONT_DEBUG", raising=False)
    ending(monkeypatch, error)
    assert run(["doctor"], Signals()) == code
    captured = capsys.readouterr()
    assert (captured.out, captured.err.strip()) == ("", line)


def test_debug_lets_the_traceback_through(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLIMFRONT_DEBUG", "1")
    ending(monkeypatch, ValueError("seen"))
    with pytest.raises(ValueError, match="seen"):
        run(["doctor"], Signals())


def test_what_an_interrupted_import_raises_is_an_interrupt(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    signals = Signals()
    ending(monkeypatch, ImportError("numpy failed to load"))
    signals.received = True
    assert run(["doctor"], signals) == 130
    assert capsys.readouterr().err == "interrupted\n"


def test_the_commands_are_those_of_their_modules() -> None:
    commands = [command for command in app.app.registered_commands if not command.hidden]
    names = [command.name or getattr(command.callback, "__name__", "") for command in commands]
    assert len(names) == len(set(names)) == len(COMMANDS)
    assert doctor.doctor in [command.callback for command in app.app.registered_commands]


def test_a_full_disk_behind_stdout_is_told() -> None:
    if not os.path.exists("/dev/full"):
        pytest.skip("there is no /dev/full")
    with open("/dev/full", "w") as full:
        ran = subprocess.run(
            [sys.executable, "-m", "slimfront", "--version"],
            cwd=ROOT,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert ran.returncode == 1
    assert len(ran.stderr.splitlines()) == 1
    assert "pace" in ran.stderr
