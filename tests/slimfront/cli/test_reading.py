"""The commands that read: their JSON has exactly the documented fields, their text fits the terminal."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from objectives.targets import Figures, meets
from storage.files import file_lock
from storage.records.dense import DenseFacts
from storage.records.space import FLOAT_BITS
from storage.records.target import Target
from tests.slimfront.finished import Finished
from tests.slimfront.material import ROOT, environment, invoke

ROW = {
    *("candidate", "rung", "accuracy", "drop", "drop_upper", "images", "size_bytes", "size_ratio", "onnx_bytes"),
    *("latency_ms", "speedup", "speedup_low", "speedup_high", "predicted_speedup"),
    *("macs", "macs_ratio", "meets_target", "parent", "tuned", "certificate"),
}
OPTIONAL = {"predicted_speedup", "parent", "certificate"}  # fields that may be null where all is measured
BASELINES = [
    *("dense", "ort int8"),
    *(f"uniform w{bits}" for bits in (8, 6, 4, 3, 2)),
    *("uniform c75", "uniform c50", "rounded w4"),
]
WIDTHS = (80, 100, 140)
GRAPH_BYTES = 100  # that a layer left in float32 between int8 ones adds to the graph, which predictions do not know of


def read(*arguments: str) -> Any:
    ran = invoke(*arguments, "--json")
    assert ran.code == 0, ran.err
    assert ran.err == ""
    return json.loads(ran.out)


def test_front_has_exactly_the_documented_fields(at_home: Finished) -> None:
    front = read("front", "tiny")
    assert set(front) == {
        *("study", "state", "target", "target_met", "dense", "baselines", "front", "candidates", "hypervolume"),
        *("prediction", "hardware", "seconds", "notes", "looks"),
    }
    assert (front["study"], front["state"], front["target_met"]) == ("tiny", "succeeded", True)
    assert front["target"] == {"size": "3x", "max_drop": 10.0}
    assert front["candidates"] == 12
    assert set(front["dense"]) == {"accuracy", "size_bytes", "latency_ms", "macs"}
    assert [row["name"] for row in front["baselines"]] == BASELINES
    assert all(set(row) == ROW for row in front["front"])
    assert all(set(row) == {"name", *ROW} for row in front["baselines"])
    assert front["hardware"].endswith("1 thread")
    assert 0 < front["hypervolume"] < 2


def test_every_figure_of_the_front_is_there_and_consistent(at_home: Finished) -> None:
    front = read("front", "tiny")
    dense = DenseFacts(**front["dense"])
    target = Target.from_dict(front["target"])
    for row in (*front["front"], *front["baselines"]):
        if row.get("name") != "ort int8":
            assert (row["predicted_speedup"] is None) == (front["prediction"] is None)
        assert None not in {key: value for key, value in row.items() if key not in OPTIONAL}.values()
        assert (row["parent"], row["tuned"], row["certificate"]) == (None, False, None)
        assert row["rung"] == "confirmed"
        assert row["images"] == 225
        assert row["speedup_low"] <= row["speedup"] <= row["speedup_high"]
        assert row["size_ratio"] == dense.size_bytes / row["size_bytes"]
        assert row["drop"] == pytest.approx(dense.accuracy - row["accuracy"], abs=1e-9)
        assert row["drop_upper"] > row["drop"]
        figures = Figures(row["accuracy"], row["drop"], row["size_bytes"], row["latency_ms"], row["macs"])
        assert row["meets_target"] == meets(target, figures, dense)
    assert dense.latency_ms == front["baselines"][0]["latency_ms"]
    accuracies = [row["accuracy"] for row in front["front"]]
    assert accuracies == sorted(accuracies, reverse=True)
    assert front["target_met"] == any(row["meets_target"] for row in front["front"])


def test_status_has_exactly_the_documented_fields(at_home: Finished) -> None:
    status = read("status", "tiny")
    assert status == {
        "study": "tiny",
        "state": "succeeded",
        "rung": "confirmed",
        "candidates": 12,
        "of": 12,
        "seconds": at_home.front["seconds"],
        "eta_seconds": 0.0,
        "failed": 0,
        "lost_workers": 0,
        "attempt": 1,
        "owner": None,
        "priority": None,
    }


def test_list_names_every_study(at_home: Finished) -> None:
    (line,) = read("list")
    assert set(line) == {"study", "state", "rung", "target", "seconds", "created"}
    assert (line["study"], line["state"]) == ("tiny", "succeeded")


def test_show_gives_each_layer_and_what_is_protected(at_home: Finished) -> None:
    number = at_home.best()
    shown = read("show", f"tiny/{number}")
    assert [layer["name"] for layer in shown["layers"]] == ["depthwise", "conv2", "linear"]
    assert [layer["kind"] for layer in shown["layers"]] == ["depthwise convolution", "convolution", "linear"]
    assert shown["protected"] == [{"name": "conv1", "reason": "named in [search] keep"}]
    assert {item["name"] for item in shown["kept_channels"]} == {"depthwise", "linear"}
    (group,) = shown["groups"]
    conv2 = shown["layers"][1]
    assert (group["name"], group["layers"], group["dense_channels"]) == ("conv2", ["conv2"], 24)
    assert group["level"] == f"c{group['channels']}"
    assert [layer["dense_channels"] for layer in shown["layers"]] == [12, 24, 10]
    assert [layer["channels"] for layer in shown["layers"]] == [12, group["channels"], 10]
    assert conv2["weights"] == 9 * 12 * group["channels"]
    assert conv2["macs"] == 16 * conv2["weights"]
    kept_macs = 12 * 9 * 64  # of conv1, which is protected
    assert kept_macs + sum(layer["macs"] for layer in shown["layers"]) == shown["row"]["macs"]
    assert shown["row"] == next(row for row in at_home.front["front"] if row["candidate"] == number)
    predicted = shown["fixed_bytes"] + sum(layer["size_bytes"] for layer in shown["layers"])
    in_float = sum(layer["bits"] == FLOAT_BITS for layer in shown["layers"])
    assert predicted == pytest.approx(shown["row"]["size_bytes"], abs=GRAPH_BYTES * (1 + in_float))
    assert all(layer["method"] and layer["error"] >= 0 for layer in shown["layers"])
    assert 2 <= shown["mean_bits"] <= 32


def test_show_names_the_method_that_a_baseline_has_used(at_home: Finished) -> None:
    numbers = {row["name"]: row["candidate"] for row in at_home.front["baselines"]}
    rounded = read("show", f"tiny/{numbers['rounded w4']}")["layers"]
    assert {(layer["method"], layer["error"]) for layer in rounded} == {("round to nearest", None)}
    dense = read("show", f"tiny/{numbers['dense']}")["layers"]
    assert {(layer["level"], layer["error"]) for layer in dense} == {("fp32", 0.0)}
    assert all(layer["channels"] == layer["dense_channels"] for layer in dense)
    pruned = read("show", f"tiny/{numbers['uniform c50']}")
    assert [(group["channels"], group["dense_channels"]) for group in pruned["groups"]] == [(12, 24)]
    assert {layer["level"] for layer in pruned["layers"]} == {"w8"}
    foreign = read("show", f"tiny/{numbers['ort int8']}")
    assert (foreign["layers"], foreign["groups"]) == ([], [])


def test_show_says_which_channels_are_left_and_which_stay(at_home: Finished) -> None:
    numbers = {row["name"]: row["candidate"] for row in at_home.front["baselines"]}
    out = invoke("show", f"tiny/{numbers['uniform c50']}").out
    assert "12/24" in out
    assert "12 of 24 channels of conv2\n" in out
    assert "channels of linear stay: they are the model's output" in out
    assert "MACs, 1.6x fewer" in out


def test_sensitivity_has_every_level_of_every_site(at_home: Finished) -> None:
    found = read("sensitivity", "tiny")
    assert set(found) == {"study", "sites", "targets"}
    names = [(site["site"], site["learner"]) for site in found["sites"]]
    assert names == [("conv2", "channel"), ("depthwise", "quant"), ("conv2", "quant"), ("linear", "quant")]
    for site in found["sites"]:
        first, *others = site["levels"]
        assert set(first) == {"level", "channels", "bits", "error", "saved_bytes", "saved_macs"}
        assert (first["error"], first["saved_bytes"], first["saved_macs"]) == (0.0, 0, 0)
        assert all(level["error"] > 0 and level["saved_bytes"] > 0 for level in others)
        assert all((level["channels"] is None) != (level["bits"] is None) for level in site["levels"])
        assert all((level["saved_macs"] > 0) == (site["learner"] == "channel") for level in others)
        errors = [level["error"] for level in site["levels"]]
        assert errors == sorted(errors)
    target, drop = found["targets"]
    assert (target["objective"], target["text"]) == ("size", "3x")
    assert (drop["objective"], drop["cost_of"], drop["limit"]) == ("max_drop", "size", None)
    assert target["limit"] == at_home.front["dense"]["size_bytes"] / 3
    assert 0 < target["largest"]["share"] <= 1
    assert target["limiting"]["error"] > 0
    assert target["limiting"]["cost"] > 0


def test_sensitivity_of_a_candidate_agrees_with_its_plan(at_home: Finished) -> None:
    target = read("sensitivity", "tiny")["targets"][0]
    shown = read("show", f"tiny/{target['candidate']}")
    assert target["error"] == pytest.approx(sum(layer["error"] for layer in shown["layers"]))
    assert target["cost"] == shown["fixed_bytes"] + sum(layer["size_bytes"] for layer in shown["layers"])
    limiting = target["limiting"]
    plans = {"channel": shown["groups"], "quant": shown["layers"]}[limiting["learner"]]
    assert next(plan["level"] for plan in plans if plan["name"] == limiting["site"]) == limiting["level"]


def test_the_text_of_sensitivity_names_the_site_that_limits_the_target(at_home: Finished) -> None:
    lines = invoke("sensitivity", "tiny").out.splitlines()
    assert lines[0].split() == ["site", "level", "error", "saves", "MACs"]
    assert sum(line.startswith(("channels of ", "bits of ")) for line in lines) == 4
    target = read("sensitivity", "tiny")["targets"][0]
    assert f"size 3x: candidate {target['candidate']} has an error of {target['error']:.2g}" in lines
    assert any(line.strip().startswith("limited by the ") for line in lines)


def test_the_front_compares_predicted_and_measured_speed(at_home: Finished) -> None:
    prediction = at_home.front["prediction"]
    assert prediction is not None
    assert set(prediction) == {
        "candidate",
        "predicted_speedup",
        "speedup",
        "median_error",
        "rows",
        "check",
        "unchecked",
    }
    row = next(row for row in at_home.front["front"] if row["candidate"] == prediction["candidate"])
    assert row["predicted_speedup"] == prediction["predicted_speedup"]
    assert row["speedup"] == prediction["speedup"]
    line = next(line for line in invoke("front", "tiny").out.splitlines() if line.startswith("latency: "))
    assert f"for candidate {prediction['candidate']}; median error" in line
    check = prediction["check"]
    assert prediction["unchecked"] is None
    assert set(check) == {"plans", "spearman", "median_error", "largest_error"}
    assert check["plans"] >= 20
    assert -1 <= check["spearman"] <= 1
    assert 0 < check["median_error"] <= check["largest_error"]
    line = next(line for line in invoke("front", "tiny").out.splitlines() if line.startswith("latency table: "))
    assert line.endswith(f"Spearman {check['spearman']:.2f} over {check['plans']} random plans")


def test_the_front_says_how_near_to_the_optimum_the_plans_for_the_target_are(at_home: Finished) -> None:
    (note,) = (note for note in at_home.front["notes"] if note.startswith("HiGHS: "))
    assert re.fullmatch(r"HiGHS: plans for size [\d.]+ KB within \d+\.\d\d % of the optimum", note)
    assert note in at_home.ran.out + at_home.ran.err  # as the running study said it
    assert f"note: {note}" in invoke("front", "tiny").out.splitlines()


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("command", ["front", "show", "status", "list", "sensitivity"])
def test_text_fits_the_terminal(at_home: Finished, monkeypatch: pytest.MonkeyPatch, command: str, width: int) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    reference = {"list": [], "show": [f"tiny/{at_home.best()}"]}.get(command, ["tiny"])
    ran = invoke(command, *reference)
    assert (ran.code, ran.err) == (0, "")
    table = [line for line in ran.out.splitlines() if "  " in line.strip()]
    assert all(len(line) <= width for line in table)
    assert "..." not in ran.out
    assert "…" not in ran.out


@pytest.mark.parametrize("width", WIDTHS)
def test_the_front_shows_every_row_on_one_line(at_home: Finished, monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    lines = invoke("front", "tiny").out.splitlines()
    rows = [line for line in lines if line.rstrip().endswith((" met", " no")) and line[0].isdigit()]
    assert len(rows) == len(at_home.front["front"]) + len(BASELINES)
    best = at_home.best()
    row = next(row for row in at_home.front["front"] if row["candidate"] == best)
    shown = next(line for line in rows if line.startswith(f"{best} "))
    assert f"{row['accuracy']:.2f} %" in shown
    assert f"{row['size_ratio']:.1f}x" in shown


@pytest.mark.parametrize(
    ("reference", "code"),
    [
        ("tiny/999", 4),
        ("tiny/0", 4),
        ("tinny/1", 4),
        ("tiny", 2),
        ("tiny/", 2),
        ("tiny/x", 2),
        ("/1", 2),
        ("tiny/-1", 2),
    ],
)
def test_a_reference_that_leads_nowhere(at_home: Finished, reference: str, code: int) -> None:
    ran = invoke("show", reference)
    assert ran.code == code
    assert ran.errors == [ran.err.strip()]


def test_a_reader_that_has_seen_enough_hears_no_complaint(at_home: Finished) -> None:
    command = f"set -o pipefail; {sys.executable} -m slimfront front tiny --json | head -n 1"
    ran = subprocess.run(
        ["bash", "-c", command], cwd=ROOT, env=environment(at_home.home), capture_output=True, text=True, check=False
    )
    assert (ran.stdout, ran.stderr) == ("{\n", "")


def test_a_pipe_that_is_closed_already_is_quiet_too(at_home: Finished) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "slimfront", "front", "tiny"],
        cwd=ROOT,
        env=environment(at_home.home),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    complaint = process.stderr.read()
    process.stderr.close()
    assert process.wait() == 1
    assert complaint == ""


@pytest.fixture
def copied(finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the home that a test may change."""
    home = tmp_path / "home"
    shutil.copytree(finished.home, home)
    monkeypatch.setenv("SLIMFRONT_HOME", str(home))
    return home


def test_delete_asks_or_wants_yes(copied: Path) -> None:
    assert (copied / "artifacts" / "tiny").is_dir()
    refused = invoke("delete", "tiny")
    assert refused.code == 2
    assert "--yes" in refused.err
    assert read("list")
    assert invoke("delete", "tiny", "--yes").code == 0
    assert read("list") == []
    assert not (copied / "artifacts" / "tiny").exists()
    assert invoke("delete", "tiny", "--yes").code == 4


def test_delete_refuses_a_study_that_is_running(copied: Path) -> None:
    with file_lock(copied / "locks" / "tiny.lock"):
        ran = invoke("delete", "tiny", "--yes")
    assert ran.code == 1
    assert ran.errors == ["error: study tiny is in use by another process: wait for it to end, or stop it"]
    assert read("list")
