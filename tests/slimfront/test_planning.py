"""`plan`: layers, reachable sizes, time; and nothing stored."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from searcher.stages.prepare import prepare
from slimfront.cli.progress import Lines
from slimfront.cli.signals import Signals
from slimfront.estimate import built_shares
from slimfront.submit import read_config
from storage.records.config import SearchConfig
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
    assert [(site["name"], site["channels"]) for site in plan["sites"]] == [
        ("depthwise", 12),
        ("conv2", 24),
        ("linear", 10),
    ]
    assert plan["sites"][0]["levels"] == ["fp32", "w8", "w6", "w4", "w3", "w2"]
    assert plan["protected"] == [{"name": "conv1", "reason": "named in [search] keep"}]
    assert plan["groups"] == [{"name": "conv2", "layers": ["conv2"], "levels": [24, 20, 18, 16, 12, 8, 6]}]
    assert {item["name"]: item["reason"] for item in plan["kept_channels"]} == {
        "depthwise": "a depthwise convolution passes on the channels of `conv1`, which stay: named in [search] keep",
        "linear": "they are the model's output",
    }
    assert plan["images"] == {"calibration": 256, "quick": 60, "rescoring": 75, "confirmation": 225}
    sizes = {item["name"]: item["size_bytes"] for item in plan["sizes"]}
    assert sizes["dense"] == finished.front["dense"]["size_bytes"]
    for row in finished.front["baselines"]:
        if row["name"] in sizes and row["name"] != "dense":
            spared = row["size_bytes"] / sizes[row["name"]]  # by entropy coding, which is known when weights are
            assert 0.75 < spared < 1.02
            planned = next(item for item in plan["sizes"] if item["name"] == row["name"])
            assert (planned["macs"], planned["macs_ratio"]) == (row["macs"], row["macs_ratio"])
    assert sizes["smallest"] == min(sizes.values())
    macs = {item["name"]: item["macs"] for item in plan["sizes"]}
    assert macs["smallest"] < macs["uniform c50"] < macs["uniform c75"] < macs["uniform w2"] == macs["dense"]
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
        "2 groups of channels to compress",
        "12 10 9 8 6 4 3",
        "depthwise\n",
        "channels of linear stay: they are the model's output",
        "uniform c75",
    ):
        assert part in "\n".join(line.rstrip() for line in out.splitlines())
    assert all(len(line) <= 80 for line in out.splitlines() if "convolution" in line)


@pytest.mark.parametrize(
    ("search", "note"),
    [
        ("min_channels = 200", "no group has a smaller level under min_channels = 200 (the widest has 24 channels)"),
        ("round_to = 24", "no group has a smaller level under round_to = 24 (the widest has 24 channels)"),
        (
            'learners = ["quant"]\ncriterion = "l1"\nreconstruct = false',
            'criterion and reconstruct mean nothing: learners does not name "channel"',
        ),
        ('learners = ["quant"]\nround_to = 4', 'round_to mean nothing: learners does not name "channel"'),
        ('keep = ["conv1", "conv2"]', "no channels can be removed"),
        ('learners = ["quant"]', None),
        ("round_to = 4", None),
    ],
)
def test_a_note_says_where_no_channel_will_go(
    finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, search: str, note: str | None
) -> None:
    monkeypatch.setenv("SLIMFRONT_HOME", str(tmp_path / "home"))
    path = write_study(tmp_path, finished.folder, size="", keep="[]\n" + search if "keep" not in search else search[7:])
    ran = invoke("plan", str(path), "--json")
    assert ran.code == 0, ran.err
    plan = json.loads(ran.out)
    notes = [text for text in plan["notes"] if "channel" in text]
    assert [note in text for text in notes] == ([] if note is None else [True])
    if note is None and "quant" not in search:
        assert [group["levels"] for group in plan["groups"]] == [[12, 8, 4], [24, 20, 16, 12, 8]]


def test_bits_alone_and_channels_alone_can_be_planned(
    finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLIMFRONT_HOME", str(tmp_path / "home"))
    plans = {}
    for learner in ("channel", "quant"):
        folder = tmp_path / learner
        folder.mkdir()
        path = write_study(folder, finished.folder, size="", keep=f'[]\nlearners = ["{learner}"]')
        plans[learner] = json.loads(invoke("plan", str(path), "--json").out)
    assert plans["quant"]["groups"] == plans["quant"]["kept_channels"] == []
    assert {tuple(site["levels"]) for site in plans["channel"]["sites"]} == {("fp32",)}
    names = {learner: [item["name"] for item in plan["sizes"]] for learner, plan in plans.items()}
    assert names["channel"] == ["dense", "uniform c75", "uniform c50", "smallest"]
    assert names["quant"] == ["dense", *(f"uniform w{bits}" for bits in (8, 6, 4, 3, 2)), "smallest"]


def test_the_library_is_fitted_once_for_each_level_of_what_a_layer_reads(finished: Finished) -> None:
    config = read_config(finished.folder / "study.toml").model_copy(update={"search": SearchConfig()})
    space = prepare(config, Lines(io.StringIO(), Signals())).space
    assert built_shares(space, "conv1") == (1.0,)
    assert built_shares(space, "depthwise") == (1.0,)
    assert built_shares(space, "conv2") == pytest.approx([left / 12 for left in (12, 10, 9, 8, 6, 4, 3)])
    assert built_shares(space, "linear") == pytest.approx([left / 24 for left in (24, 20, 18, 16, 12, 8, 6)])
