"""`run` and `resume` from end to end."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import typer

from slimfront.cli.options import Inline, Workers
from slimfront.cli.run import Crew
from tests.slimfront.finished import Finished
from tests.slimfront.material import execute, invoke, write_study


def test_run_prints_the_front_on_stdout_and_the_progress_on_stderr(finished: Finished) -> None:
    assert finished.ran.code == 0, finished.ran.err
    assert "Traceback" not in finished.ran.err
    assert "target met (size 3x, max_drop 10.0)" in finished.ran.out
    lines = finished.ran.err.splitlines()
    named = next(index for index, line in enumerate(lines) if line.startswith("study tiny is stored"))
    stages = [found[1] for line in lines[named:] if (found := re.match(r"([a-z ]+) \d", line))]
    order = [stages.index(stage) for stage in ("library", "latency table", "quick", "confirmed", "latency")]
    assert order == sorted(order)
    assert "slimfront resume tiny" in lines[named]
    assert not any(line.startswith("study") for line in finished.ran.out.splitlines())


def test_resume_of_a_finished_study_prints_the_same_result(at_home: Finished) -> None:
    ran = invoke("resume", "tiny")
    assert ran.code == 0
    assert ran.out == at_home.ran.out


def test_run_of_a_name_that_exists_says_so_before_anything_slow(at_home: Finished) -> None:
    ran = invoke("run", str(at_home.folder / "study.toml"))
    assert ran.code == 2
    assert ran.errors == [ran.err.strip()]
    assert "slimfront resume tiny" in ran.err
    assert "slimfront delete tiny" in ran.err


def test_a_target_that_is_not_met_gives_3_and_names_the_nearest(
    tmp_path: Path, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLIMFRONT_HOME", str(tmp_path / "home"))
    folder = tmp_path / "study"
    folder.mkdir()
    # Latency is measured at the end only: a target that nobody can refuse beforehand and nobody meets.
    path = write_study(folder, trained, size="", max_drop='10.0\nlatency = "1us"', candidates="2", name='"slow"')
    ran = invoke("run", str(path))
    assert ran.code == 3, ran.err
    assert "target not met (latency 1us, max_drop 10.0); the nearest:" in ran.out
    assert "wanted 1us" in ran.out
    again = invoke("resume", "slow")
    assert (again.code, again.out) == (3, ran.out)


CREWS: dict[str, tuple[tuple[str, ...], dict[str, str], Crew]] = {
    "nothing": ((), {}, Crew()),
    "variables": ((), {"SLIMFRONT_WORKERS": "4"}, Crew(4)),
    "both agree": ((), {"SLIMFRONT_WORKERS": "1", "SLIMFRONT_INLINE": "1"}, Crew(1, inline=True)),
    "inline wins": (("--inline",), {"SLIMFRONT_WORKERS": "4"}, Crew(inline=True)),
    "workers win": (("--workers", "4"), {"SLIMFRONT_INLINE": "1"}, Crew(4)),
    "one worker wins": (("--workers", "1"), {"SLIMFRONT_INLINE": "1"}, Crew(1)),
    "own variable": (("--workers", "2"), {"SLIMFRONT_WORKERS": "4"}, Crew(2)),
    "all the same": (("--inline",), {"SLIMFRONT_WORKERS": "4", "SLIMFRONT_INLINE": "1"}, Crew(inline=True)),
}


@pytest.mark.parametrize("name", CREWS)
def test_an_option_beats_the_environment(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments, variables, wanted = CREWS[name]
    monkeypatch.delenv("SLIMFRONT_INLINE")
    for variable, value in variables.items():
        monkeypatch.setenv(variable, value)
    found: list[Crew] = []
    app = typer.Typer()

    @app.command()
    def command(context: typer.Context, workers: Workers = None, inline: Inline = False) -> None:
        found.append(Crew.asked(context, workers, inline))

    app(args=list(arguments), standalone_mode=False)
    assert found == [wanted]


def test_options_that_contradict_each_other_are_named_as_they_were_given(
    at_home: Finished, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "leave out --workers 4" in invoke("resume", "tiny", "--workers", "4", "--inline").errors[0]
    monkeypatch.setenv("SLIMFRONT_WORKERS", "4")
    ran = invoke("resume", "tiny", "--inline")
    assert (ran.code, ran.out) == (0, at_home.ran.out)
    (error,) = invoke("resume", "tiny").errors
    assert "SLIMFRONT_INLINE is one process, SLIMFRONT_WORKERS 4: unset one of them" in error


def test_resume_of_an_unknown_study_gives_4(at_home: Finished) -> None:
    ran = invoke("resume", "tinny")
    assert ran.code == 4
    assert ran.errors == ["error: there is no study tinny; did you mean tiny? `slimfront list` shows all"]


def test_store_names_another_database(at_home: Finished, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'other.db'}"
    assert invoke("list", "--store", url, "--json").out == "[]\n"
    ran = execute(at_home.home, "list", "--json", SLIMFRONT_STORE=url)
    assert (ran.code, ran.out) == (0, "[]\n")
    assert "tiny" in invoke("list").out
