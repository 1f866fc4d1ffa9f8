"""Ctrl-C and SIGTERM: code 130, no traceback, and a study that goes on."""

from __future__ import annotations

import json
import os
import pty
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.slimfront.finished import Finished
from tests.slimfront.material import ROOT, environment, execute, invoke, start, write_study


def read_until(process: subprocess.Popen[str], beginning: str) -> str:
    """Reads stderr up to a line that begins so; returns what was read."""
    assert process.stderr is not None
    seen = ""
    for line in process.stderr:
        seen += line
        if line.startswith(beginning):
            return seen
    raise AssertionError(f"no line {beginning!r} in {seen}")


@pytest.mark.parametrize(
    ("number", "stage"),
    [(signal.SIGINT, "library 1"), (signal.SIGTERM, "quick 0"), (signal.SIGINT, "confirmed 1")],
)
def test_a_stopped_study_says_how_it_goes_on(
    finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals, stage: str
) -> None:
    home = tmp_path / "home"
    # The same latency table, as layers that are timed again are other numbers, by which others are chosen.
    shutil.copytree(finished.home / "cache" / "latencies", home / "cache" / "latencies")
    path = write_study(tmp_path, finished.folder)
    with start(home, "run", str(path)) as process:
        read_until(process, stage)
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert out == ""
    assert "Traceback" not in err
    assert err.splitlines()[-1] == "interrupted: `slimfront resume tiny` goes on"
    monkeypatch.setenv("SLIMFRONT_HOME", str(home))
    assert json.loads(invoke("status", "tiny", "--json").out)["state"] == "interrupted"
    if stage == "confirmed 1":
        assert invoke("resume", "tiny").code == 0
        again = json.loads(invoke("front", "tiny", "--json").out)
        assert [row["candidate"] for row in again["front"]] == [row["candidate"] for row in finished.front["front"]]


def test_ctrl_c_before_anything_is_stored(finished: Finished, tmp_path: Path) -> None:
    path = write_study(tmp_path, finished.folder)
    with start(tmp_path / "home", "run", str(path)) as process:
        read_until(process, "reading 0")
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "")
    assert err.splitlines()[-1] == "interrupted"
    assert json.loads(execute(tmp_path / "home", "list", "--json").out) == []


def test_ctrl_c_at_any_moment_of_the_imports_leaves_no_traceback(finished: Finished, tmp_path: Path) -> None:
    path = write_study(tmp_path, finished.folder)
    moments = random.Random(0)
    for _ in range(4):
        with start(tmp_path / "home", "run", str(path)) as process:
            time.sleep(moments.uniform(0.4, 2.0))
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=60)
        assert (process.returncode, out) == (130, "")
        assert "Traceback" not in err
        assert err.splitlines()[-1].startswith("interrupted")
        execute(tmp_path / "home", "delete", "tiny", "--yes")


def test_an_import_is_waited_for_but_not_for_ever(tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text("import time\nprint('importing', flush=True)\ntime.sleep(0.5)\nDONE = True\n")
    code = (
        "from slimfront.cli import signals\n"
        "listener = signals.Signals(); listener.install()\n"
        "import sys; signals.LONGEST_IMPORT_SECONDS = float(sys.argv[1])\n"
        "try:\n    import slow\n    import time; time.sleep(5)\n"
        "except KeyboardInterrupt:\n    print('whole' if 'slow' in sys.modules else 'half')\n"
    )
    for longest, wanted in ((20.0, "whole"), (0.0, "half")):
        with subprocess.Popen(
            [sys.executable, "-c", code, str(longest)],
            cwd=tmp_path,
            env=environment(tmp_path),
            stdout=subprocess.PIPE,
            text=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        ) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "importing\n"
            process.send_signal(signal.SIGINT)
            assert process.stdout.read() == f"{wanted}\n"


def test_a_terminal_shows_a_bar_and_stays_usable(finished: Finished, tmp_path: Path) -> None:
    path = write_study(tmp_path, finished.folder)
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "slimfront", "run", str(path)],
        cwd=ROOT,
        env=environment(tmp_path / "home", TERM="xterm"),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=follower,
        text=True,
    )
    os.close(follower)
    seen = b""
    while True:
        try:
            part = os.read(leader, 4096)
        except OSError:  # Linux's way of saying that the other end is closed
            break
        if not part:
            break
        seen += part
    os.close(leader)
    assert process.stdout is not None
    out = process.stdout.read()
    process.stdout.close()
    assert process.wait() == 0
    assert "target met" in out
    assert b"library" in seen
    assert b"/12" in seen
    assert b"study tiny is stored" in seen
    assert seen.rindex(b"\x1b[?25h") > seen.index(b"\x1b[?25l")  # the cursor is shown again
