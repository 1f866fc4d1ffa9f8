"""`demo`: its files are those of a user, and it can be run again."""

from __future__ import annotations

from pathlib import Path

import pytest

from searcher.progress import Progress
from slimfront.cli.progress import Lines
from slimfront.cli.signals import Signals
from slimfront.demo.study import write_demo
from slimfront.submit import read_config
from storage.errors import FixInputError
from tests.slimfront.material import execute, invoke


def quiet() -> Progress:
    import io

    return Lines(io.StringIO(), Signals())


def test_a_folder_with_other_files_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(FixInputError, match=r"thesis\.tex"):
        write_demo(tmp_path, fresh=True, progress=quiet())
    assert [entry.name for entry in tmp_path.iterdir()] == ["thesis.tex"]


def test_what_is_there_is_kept_unless_fresh(tmp_path: Path) -> None:
    (tmp_path / "digits.safetensors").write_bytes(b"mine")
    file = write_demo(tmp_path, fresh=False, progress=quiet())
    assert (tmp_path / "digits.safetensors").read_bytes() == b"mine"
    assert read_config(file).name == "digits-demo"
    file.write_text("edited")
    write_demo(tmp_path, fresh=True, progress=quiet())
    assert read_config(file).name == "digits-demo"
    assert len((tmp_path / "digits.safetensors").read_bytes()) > 100_000


@pytest.mark.slow
def test_the_demo_meets_its_target_and_a_second_run_shows_it_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    first = execute(home, "demo", cwd=tmp_path)
    assert first.code == 0, first.err
    assert "target met (size 8x, max_drop 2.0)" in first.out
    assert sorted(entry.name for entry in (tmp_path / "slimfront-demo").iterdir() if entry.suffix) == [
        *("digits.safetensors", "nets.py", "study.toml"),
    ]
    commands = [line.split("  ")[1] for line in first.out.splitlines() if line.startswith("  slimfront ")]
    assert len(commands) == 3
    second = execute(home, "demo", cwd=tmp_path)
    assert (second.code, second.out) == (0, first.out)
    assert "is there already" in second.err
    monkeypatch.setenv("SLIMFRONT_HOME", str(home))
    monkeypatch.chdir(tmp_path)
    for command in commands:
        ran = invoke(*command.split()[1:])
        assert ran.code == 0, ran.err
