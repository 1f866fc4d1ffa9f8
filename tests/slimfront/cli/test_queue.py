"""The queue as its users have it: submit, work, watch, cancel, resume and gc, in processes of their own."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from pathlib import Path

import pytest

from benchmarks.timeless import timeless
from searcher.stages.latency_table import FOLDER
from slimfront.cli.codes import FAILED, INTERRUPTED, USAGE
from storage.open import open_store
from storage.records.study import EXTENDED, TRUSTED, StudyState
from tests.slimfront.finished import Finished, finished_in
from tests.slimfront.material import Ran, execute, invoke, running

CANCEL_SECONDS = 10.0  # that a study may take to end
WORK = ("work", "--trust-code", "--inline", "--until-empty")


@pytest.fixture
def finished(shared_folder: Path) -> Finished:
    """The same study, run by `slimfront run`."""
    return finished_in(shared_folder / "front-door")


@pytest.fixture
def home(tmp_path: Path, finished: Finished, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with the latency table of the finished study, for commands in this process too."""
    made = tmp_path / "home"
    shutil.copytree(finished.home / "cache" / FOLDER, made / "cache" / FOLDER)
    monkeypatch.setenv("SLIMFRONT_HOME", str(made))
    return made


@pytest.fixture
def folder(tmp_path: Path, finished: Finished) -> Path:
    """A copy of the study's files."""
    made = tmp_path / "mine"
    shutil.copytree(finished.folder, made, ignore=shutil.ignore_patterns("__pycache__"))
    return made


def edit(folder: Path, old: str, new: str) -> None:
    path = folder / "study.toml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def front_of(home: Path, name: str = "tiny") -> object:
    ran = execute(home, "front", name, "--json")
    assert ran.code == 0, ran.err
    return timeless(json.loads(ran.out))


def state_of(name: str = "tiny") -> str:
    return str(json.loads(invoke("status", name, "--json").out)["state"])


def refused(ran: Ran, code: int = USAGE) -> str:
    assert ran.code == code, ran.err
    (line,) = ran.errors
    return line


@pytest.mark.slow
def test_a_submitted_study_needs_its_files_no_more(home: Path, folder: Path, finished: Finished) -> None:
    submitted = execute(home, "submit", str(folder / "study.toml"), "--priority", "2")
    assert submitted.code == 0, submitted.err
    assert submitted.out == "tiny\n"
    assert "`slimfront watch tiny`" in submitted.err
    assert "`slimfront work --trust-code`" in submitted.err
    shutil.rmtree(folder)
    assert state_of() == "queued"
    distrustful = execute(home, "work", "--inline", "--until-empty")
    assert distrustful.code == 0, distrustful.err
    assert "--trust-code" in distrustful.err
    assert state_of() == "queued"
    worked = execute(home, *WORK, "--json")
    assert worked.code == 0, worked.err
    logged = [json.loads(line) for line in worked.err.splitlines()]
    assert {"time", "level", "study", "text"} == set(logged[0])
    assert any(item["study"] == "tiny" and item["text"] == "claimed, attempt 1" for item in logged)
    assert front_of(home) == timeless(finished.front)
    watched = execute(home, "watch", "tiny")  # that is over: its result
    assert watched.code == finished.ran.code
    assert "running: attempt 1" in watched.err
    assert "tiny" in watched.out
    store = open_store(f"sqlite:///{home}/slimfront.db")
    trusted = [event for event in store.events("tiny") if event.kind == TRUSTED]
    store.close()
    assert len(trusted) == 1
    assert [Path(name).name for name in json.loads(trusted[0].data)["files"]] == ["nets.py"]
    resumed = invoke("resume", "tiny")  # it is over: nothing of it is run
    assert resumed.code == finished.ran.code, resumed.err
    assert "tiny (succeeded" in resumed.out
    export = ("export", "tiny/2", "-o", str(home / "out"))
    for command in (export, ("certify", "tiny"), ("resume", "tiny", "--more-candidates", "1")):
        assert "(nets.py:tiny): add --trust-code" in refused(invoke(*command))
    assert invoke(*export, "--trust-code").code == 0
    assert "add --trust-code" in refused(invoke("doctor", "--latency", "tiny"))


def test_a_key_stores_a_study_once(home: Path, folder: Path) -> None:
    file = str(folder / "study.toml")
    assert invoke("submit", file, "--idempotency-key", "k").out == "tiny\n"
    assert invoke("submit", file, "--idempotency-key", "k").out == "tiny\n"
    assert len(json.loads(invoke("list", "--json").out)) == 1
    assert "exists already" in refused(invoke("submit", file))
    edit(folder, "candidates = 12", "candidates = 13")
    line = refused(invoke("submit", file, "--idempotency-key", "k"))
    assert "key k was given to study tiny, which has another content" in line
    assert "study tiny is cancelled" in invoke("cancel", "tiny").err
    assert state_of() == "cancelled"
    assert "nothing to cancel" in refused(invoke("cancel", "tiny"))
    assert "study tiny is queued" in invoke("resume", "tiny", "--queue").err
    assert state_of() == "queued"


def test_code_that_reads_files_beside_it_is_refused_before_it_is_stored(home: Path, folder: Path) -> None:
    nets = folder / "nets.py"
    nets.write_text(
        nets.read_text() + "\nfrom pathlib import Path\nPath(__file__).with_name('classes.txt').read_text()\n"
    )
    (folder / "classes.txt").write_text("ten")
    line = refused(invoke("submit", str(folder / "study.toml")))
    assert "may need no files but those that it imports" in line
    assert "classes.txt" in line
    assert invoke("list", "--json").out.strip() == "[]"


@pytest.mark.slow
def test_ctrl_c_ends_the_watching_alone_and_cancel_the_study(home: Path, folder: Path, finished: Finished) -> None:
    edit(folder, "candidates = 12", "candidates = 4000")
    assert execute(home, "submit", str(folder / "study.toml")).code == 0
    with (
        running(home, "work", "--trust-code", "--inline") as worker,
        running(home, "watch", "tiny") as watcher,
    ):
        assert watcher.stderr is not None
        assert any(line.startswith("quick") for line in watcher.stderr)
        watcher.send_signal(signal.SIGINT)
        _, said = watcher.communicate(timeout=30)
        assert watcher.returncode == INTERRUPTED
        assert said.strip().splitlines()[-1].startswith("detached: study tiny is not touched")
        assert state_of() == "running"
        assert "run by process" in refused(invoke("delete", "tiny", "--yes"), FAILED)
        assert "run by process" in refused(invoke("resume", "tiny", "--queue"), FAILED)
        started = time.monotonic()
        cancelled = execute(home, "cancel", "tiny")
        assert cancelled.code == 0, cancelled.err
        assert time.monotonic() - started < CANCEL_SECONDS + 3.0  # and the start of a process
        assert state_of() == "cancelled"
        kept = len(open_store(f"sqlite:///{home}/slimfront.db").results("tiny"))
        assert kept > 0
        worker.send_signal(signal.SIGTERM)
        worker.communicate(timeout=30)
        assert worker.returncode == 0
    watched = execute(home, "watch", "tiny")
    assert watched.code == FAILED
    assert "`slimfront resume tiny`" in watched.err


@pytest.mark.slow
def test_more_candidates_go_on_where_the_search_has_ended(home: Path, folder: Path, finished: Finished) -> None:
    assert execute(home, "run", str(folder / "study.toml")).code == finished.ran.code
    before = front_of(home)
    with running(home, "resume", "tiny", "--more-candidates", "30") as killed:
        assert killed.stderr is not None
        assert any(line.startswith("confirmed") for line in killed.stderr)
        killed.kill()
        killed.communicate()
    assert execute(home, "resume", "tiny").code == finished.ran.code
    store = open_store(f"sqlite:///{home}/slimfront.db")
    assert store.study("tiny").state is StudyState.SUCCEEDED
    searched = [trial for trial in store.trials("tiny") if trial.baseline is None]
    assert len(searched) == 42
    assert [json.loads(item.data) for item in store.events("tiny") if item.kind == EXTENDED] == [
        {"candidates": 12, "ended": True}
    ]
    store.close()
    shown = json.loads(execute(home, "front", "tiny", "--json").out)
    assert all(row["latency_ms"] is not None for row in shown["front"])
    assert timeless(shown) != before
    assert shown["candidates"] == 42


def test_bad_terms_are_refused_in_one_line(home: Path, folder: Path) -> None:
    assert "--lease 1 is shorter" in refused(invoke("work", "--lease", "1", "--until-empty"))
    assert "--lease nan is shorter" in refused(invoke("work", "--lease", "nan", "--until-empty"))
    assert invoke("watch", "nothing").code == 4
    assert invoke("cancel", "nothing").code == 4
    store = open_store(f"sqlite:///{home}/slimfront.db")
    store.create_study("own", '{"name":"own"}')
    store.close()
    assert "say with --workers" in refused(invoke("work", "--ray-address", "127.0.0.1:1"))
    assert "--idempotency-key is empty" in refused(
        invoke("submit", str(folder / "study.toml"), "--idempotency-key", "")
    )
    assert "was not submitted" in refused(invoke("resume", "own", "--queue"))


def test_a_shared_folder_belongs_to_one_database(
    home: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLIMFRONT_FILES", str(tmp_path / "team"))
    assert invoke("submit", str(folder / "study.toml")).code == 0
    assert [path.suffix for path in (tmp_path / "team" / "captured").iterdir() if path.is_dir()] == [".code"]
    other = f"sqlite:///{tmp_path}/other.db"
    for command in (("gc",), ("list",), ("submit", str(folder / "study.toml"))):
        assert "holds the files of another database" in refused(invoke(*command, "--store", other))
    assert invoke("gc").code == 0


def test_code_that_was_altered_where_it_is_kept_is_not_run(home: Path, folder: Path) -> None:
    assert invoke("submit", str(folder / "study.toml")).code == 0
    (kept,) = (home / "captured").glob("*.code/nets.py")
    kept.write_text("raise SystemExit('altered code has run')")
    line = refused(invoke("resume", "tiny", "--trust-code"))
    assert "holds other code than what was submitted" in line
    assert state_of() == "failed"


@pytest.mark.slow
def test_gc_removes_what_nothing_needs(home: Path, folder: Path) -> None:
    assert execute(home, "submit", str(folder / "study.toml")).code == 0
    kept = sorted((home / "captured").iterdir())
    assert invoke("gc").err.startswith("0 files")
    stray = [home / "captured" / "0123.safetensors", home / "artifacts" / "gone" / "1" / "model.slim"]
    library = home / "cache" / "libraries" / "old.safetensors"
    for path in (*stray, library):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * 1000)
    other = home / "captured" / ".store-0123456789abcdef"  # of another database of this home
    other.mkdir()
    os.utime(other, (0, 0))
    assert invoke("gc").err.startswith("0 files")  # somebody may just be making them
    long_ago = time.time() - 30 * 24 * 3600
    for path in (*stray, stray[1].parent.parent, library):
        os.utime(path, (long_ago, long_ago))
    dry = invoke("gc", "--dry-run")
    assert "3 files and folders, 3.0 KB, would be removed" in dry.err
    assert all(path.exists() for path in (*stray, library))
    assert "3 files and folders, 3.0 KB, are removed" in invoke("gc").err
    assert not any(path.exists() for path in (*stray, library))
    assert sorted((home / "captured").iterdir()) == sorted([*kept, other])
