"""`plan`: layers, reachable sizes, time; and nothing stored."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.slimfront.finished import Finished
from tests.slimfront.material import invoke, write_study


def test_plan_states_what_the_study_then_finds(
    finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    monkeypatch.setenv("SLIMFRONT_HOME", str(home))
    ran = invoke("plan", str(finished.folder / "study.toml"), "--json")
    assert ran.code == 0, ran.err
    assert not home.exists()
    plan = json.loads(ran.out)
    assert [site["name"] for site in plan["sites"]] == ["depthwise", "conv2", "linear"]
    assert plan["sites"][0]["levels"] == ["fp32", "w8", "w6", "w4", "w3", "w2"]
    assert plan["protected"] == [{"name": "conv1", "reason": "named in [search] keep"}]
    assert plan["images"] == {"calibration": 256, "quick": 180, "confirmation": 180}
    sizes = {item["name"]: item["size_bytes"] for item in plan["sizes"]}
    assert sizes["dense"] == finished.front["dense"]["size_bytes"]
    for row in finished.front["baselines"]:
        if row["name"] in sizes and row["name"] != "dense":
            assert sizes[row["name"]] == pytest.approx(row["size_bytes"], rel=0.02)
    assert sizes["smallest"] == min(sizes.values())
    (cost,) = plan["costs"]
    assert (cost["objective"], cost["text"]) == ("size", "3x")
    assert cost["limit"] == pytest.approx(sizes["dense"] / 3)
    time = plan["seconds"]
    assert time["total"] == pytest.approx(sum(value for key, value in time.items() if key != "total"))
    assert 1 < time["total"] < 60


def test_the_text_names_layers_sizes_target_and_time(
    finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLIMFRONT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "80")
    path = write_study(
        tmp_path, finished.folder, size="", max_drop='1.0\nlatency = "2x"', candidates="", keep="[]\nminutes = 2"
    )
    out = invoke("plan", str(path)).out
    for part in (
        "depthwise convolution",
        "fp32 w8 w6 w4 w3 w2",
        "uniform w4",
        "smallest",
        "latency 2x",
        "the search 2 min",
    ):
        assert part in out
    assert all(len(line) <= 80 for line in out.splitlines() if "convolution" in line)
