"""`slimfront measure` and `slimfront doctor --latency`: figures of this machine, kept with the study."""

from __future__ import annotations

import io
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from rich.console import Console

import searcher.measure
from objectives import latency
from objectives.latency import Latency, Model
from objectives.prediction import PredictionError
from searcher.latency_check import ALL
from searcher.stages.latency_table import FOLDER
from slimfront.cli.codes import USAGE
from slimfront.cli.doctor import print_latency
from slimfront.latency import LatencyReport
from storage.home import Home
from storage.open import open_store
from storage.records.latency import LatencyTable
from tests.slimfront.finished import Finished
from tests.slimfront.material import invoke

Floats = npt.NDArray[np.float32]
ROW = {
    *(
        "candidate",
        "name",
        "accuracy",
        "size_ratio",
        "latency_ms",
        "speedup",
        "speedup_low",
        "speedup_high",
        "speedup_error",
    ),
    "predicted_speedup",
}


@pytest.fixture
def own(finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the finished study's home: these commands write."""
    home = tmp_path / "home"
    shutil.copytree(finished.home, home)
    monkeypatch.setenv("SLIMFRONT_HOME", str(home))
    monkeypatch.delenv("SLIMFRONT_STORE", raising=False)
    monkeypatch.setenv("COLUMNS", "100")
    return home


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Takes what there is for quiet after a second: these figures are not looked at."""
    monkeypatch.setattr(latency, "LEAST_SECONDS", 1.0)


def test_files_that_were_disturbed_are_named(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert own.is_dir()

    def busy(reference: latency.Reference, candidates: dict[str, Model], sample: Floats) -> dict[str, Latency]:
        assert reference.is_trusted  # by the latency table of the study, which is of this machine
        found = latency.measure(reference, candidates, sample, seconds=0.1)
        return {name: replace(figure, error=0.1 if name == "1" else 0.01) for name, figure in found.items()}

    read = LatencyTable.from_json

    def read_quiet(text: str) -> LatencyTable:
        """The machine may not have had a quiet moment when the study ran."""
        return replace(read(text), quiet_ms=1.0)

    monkeypatch.setattr(LatencyTable, "from_json", read_quiet)
    monkeypatch.setattr(searcher.measure, "measure", busy)
    ran = invoke("measure", "tiny")
    assert ran.code == 0, ran.err
    assert "the speed-ups of 1 of " in ran.err
    assert "files (1) have standard errors of up to 10 %" in " ".join(ran.err.split())


@pytest.mark.parametrize("options", [("--batch", "2"), ("--threads", "2"), ("--runtime", "openvino")])
def test_what_the_table_knows_of_quiet_is_of_its_own_setting(
    own: Path, options: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert own.is_dir()

    def trusting(reference: latency.Reference, candidates: dict[str, Model], _: Floats) -> dict[str, Latency]:
        assert not reference.is_trusted
        return dict.fromkeys(candidates, Latency(1.0, 1.0, 1.0, 1.0, 3, True, 0.01))

    monkeypatch.setattr(searcher.measure, "measure", trusting)
    ran = invoke("measure", "tiny", *options)
    assert ran.code == 0, ran.err


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_a_front_is_timed_again_and_what_was_found_is_kept(own: Path, finished: Finished, runtime: str) -> None:
    ran = invoke("measure", "tiny", "--runtime", runtime, "--json")
    assert ran.code == 0, ran.err
    view = json.loads(ran.out)
    assert set(view) == {"study", "runtime", "hardware", "threads", "batch", "table", "unpredicted", "rows"}
    assert (view["study"], view["runtime"], view["threads"], view["batch"]) == ("tiny", runtime, 1, 1)
    assert runtime in view["hardware"]
    assert all(set(row) == ROW for row in view["rows"])
    front = [row["candidate"] for row in finished.front["front"]]
    assert [row["candidate"] for row in view["rows"]][: len(front)] == front
    assert {row["candidate"] for row in view["rows"]} >= {row["candidate"] for row in finished.front["baselines"]}
    for row in view["rows"]:
        assert row["latency_ms"] > 0
        assert row["speedup_low"] <= row["speedup"] <= row["speedup_high"]
        assert 0 < row["speedup_error"] < 1
    store = open_store(Home(own).database_url)
    (timing,) = store.timings("tiny")
    store.close()
    assert {row.number for row in timing.rows} == {row["candidate"] for row in view["rows"]}


@pytest.mark.parametrize("options", [[], ["--runtime", "openvino"], ["--batch", "2"], ["--threads", "2"]])
def test_predictions_are_shown_only_beside_what_their_table_is_of(
    own: Path, finished: Finished, options: list[str]
) -> None:
    view = json.loads(invoke("measure", "tiny", *options, "--json").out)
    predicted = {row["candidate"]: row["predicted_speedup"] for row in view["rows"]}
    text = invoke("measure", "tiny", *options).out
    if options:
        assert view["table"] is None
        assert view["unpredicted"] == f"the study's latency table is of {finished.front['hardware']}, batch 1"
        assert set(predicted.values()) == {None}
        assert text.splitlines()[-1] == f"no predictions: {view['unpredicted']}"
        assert "predicted" not in text.splitlines()[1]
    else:
        assert (view["table"], view["unpredicted"]) == (finished.front["hardware"], None)
        for row in finished.front["front"]:
            assert predicted[row["candidate"]] == row["predicted_speedup"]
        assert text.splitlines()[1].split()[-1] == "predicted"


def test_a_table_for_people_names_the_machine(own: Path) -> None:
    ran = invoke("measure", "tiny", "--batch", "2")
    assert ran.code == 0, ran.err
    assert "onnxruntime" in ran.out.splitlines()[0]
    assert "batch 2" in ran.out.splitlines()[0]
    assert "1 dense" in ran.out


def test_an_unknown_runtime_is_one_line_with_the_known_ones(own: Path) -> None:
    ran = invoke("measure", "tiny", "--runtime", "tensorrt")
    assert ran.code != 0
    assert ran.err.strip().count("\n") == 0
    assert "the runtimes are onnxruntime, openvino" in ran.err


def test_files_that_are_gone_are_named(own: Path) -> None:
    shutil.rmtree(own / "artifacts")
    ran = invoke("measure", "tiny")
    assert ran.code != 0
    assert "holds no model of tiny/1: copy the artifact folder" in ran.err


@pytest.mark.parametrize(
    ("batch", "said"),
    [
        ("65537", "error: --batch 65537 is more than 65536 images of a call: choose a smaller one"),
        ("65536", "error: --batch 65536 takes at least 0 GB, this machine has 0 GB: choose a smaller one"),
    ],
)
def test_a_batch_that_cannot_be_run_is_one_line(
    own: Path, monkeypatch: pytest.MonkeyPatch, batch: str, said: str
) -> None:
    # 65,536 images of 8x8 are 17 MB, and so are what the first layer makes of them at least.
    monkeypatch.setattr("searcher.measure.physical_memory", lambda: 30_000_000)
    ran = invoke("measure", "tiny", "--batch", batch)
    assert ran.code == USAGE
    assert ran.err.splitlines() == [said]


def test_more_threads_than_any_machine_has_are_one_line(own: Path) -> None:
    del own
    ran = invoke("measure", "tiny", "--threads", "1025")
    assert ran.code == USAGE
    assert ran.err.splitlines() == ["error: --threads 1025 is more than 1024: choose at most the cores of the machine"]


@pytest.mark.parametrize(
    ("median_error", "table", "said"),
    [
        (0.061, "here", "remove {folder} and run a new study"),
        (0.06, "here", None),
        (0.5, "elsewhere", "the table is of another machine: elsewhere"),
    ],
)
def test_a_bad_table_comes_with_a_remedy(tmp_path: Path, median_error: float, table: str, said: str | None) -> None:
    error = PredictionError(24, 0.4, median_error, 0.9)
    text, home = io.StringIO(), Home(tmp_path)
    print_latency(Console(file=text, width=80), LatencyReport("tiny", table, "here", {ALL: error}, ()), home)
    lines = text.getvalue().splitlines()
    assert f"median error {100 * median_error:.1f} %, largest 90.0 %" in lines[1]
    assert lines[2] == "here"
    assert len(lines) == (3 if said is None else 4)
    assert said is None or lines[3].endswith(said.format(folder=home.cache / FOLDER))


def test_random_plans_say_how_well_the_table_predicts(own: Path) -> None:
    ran = invoke("doctor", "--latency", "tiny", "--json")
    assert ran.code == 0, ran.err
    report = json.loads(ran.out)
    assert set(report) == {"study", "table", "hardware", "errors", "plans"}
    assert set(report["errors"]) == {"runtime's grid", "finer grid", "all"}
    assert report["errors"]["all"]["plans"] == len(report["plans"]) >= 20
    for plan in report["plans"]:
        assert plan["predicted_speedup"] > 0
        assert plan["speedup"] > 0
