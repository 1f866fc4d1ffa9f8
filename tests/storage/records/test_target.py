"""The target grammar."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.records.target import OBJECTIVES, UNITS, CostTarget, Objective, Target, parse_cost

UNIT_CASES = [(objective, unit) for objective in OBJECTIVES for unit in UNITS[objective]]
plain_numbers = st.floats(min_value=0.001, max_value=99_999).map(lambda value: f"{value:.3f}")


@pytest.mark.parametrize(
    ("objective", "text", "kind", "value"),
    [
        ("size", "8x", "ratio", 8),
        ("size", "25%", "ratio", 4),
        ("size", "100%", "ratio", 1),
        ("size", "400KB", "absolute", 400_000),
        ("size", "1.2MB", "absolute", 1_200_000),
        ("size", "1.2 mb", "absolute", 1_200_000),
        ("size", "900B", "absolute", 900),
        ("size", "1GB", "absolute", 1e9),
        ("latency", "2.5x", "ratio", 2.5),
        ("latency", "3ms", "absolute", 3),
        ("latency", "500us", "absolute", 0.5),
        ("latency", "500µs", "absolute", 0.5),
        ("latency", "1s", "absolute", 1000),
        ("macs", "50%", "ratio", 2),
        ("macs", "40M", "absolute", 40_000_000),
        ("macs", "1.2G", "absolute", 1_200_000_000),
        ("macs", "40000000", "absolute", 40_000_000),
        ("macs", "4e7", "absolute", 40_000_000),
        ("macs", 40_000_000, "absolute", 40_000_000),
        ("size", " 1.5x ", "ratio", 1.5),
    ],
)
def test_legal_costs(objective: Objective, text: str | int, kind: str, value: float) -> None:
    cost = parse_cost(objective, text)
    assert (cost.objective, cost.kind) == (objective, kind)
    assert cost.value == pytest.approx(value, rel=1e-12)
    assert cost.text == str(text).strip()


@pytest.mark.parametrize("text", ["", "x", "8", "8y", "-8x", "8xx", "1,5x", "8 x 2", "400 K B", "0x10", "٨x", "nanx"])
def test_illegal_costs_show_legal_ones(text: str) -> None:
    with pytest.raises(ValueError, match='"8x", "25%" or "400KB"') as caught:
        parse_cost("size", text)
    assert repr(text) in str(caught.value)


@pytest.mark.parametrize("text", ["0x", "0.99x", "0%", "100.1%", "0KB", "1e999x", "1e-999MB", "1e-320%"])
def test_ranges_of_costs(text: str) -> None:
    with pytest.raises(ValueError, match="size = "):
        parse_cost("size", text)


def test_units_belong_to_their_objective() -> None:
    for objective, text, example in (
        ("size", "3ms", "400KB"),
        ("latency", "400KB", "3ms"),
        ("macs", "3ms", "40M"),
    ):
        with pytest.raises(ValueError, match=example):
            parse_cost(objective, text)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="size, latency, macs"):
        parse_cost("weight", "8x")  # type: ignore[arg-type]


def test_limits_are_ceilings() -> None:
    assert parse_cost("size", "8x").limit(4000) == 500
    assert parse_cost("size", "25%").limit(4000) == 1000
    assert parse_cost("size", "400KB").limit(4000) == 400_000
    assert parse_cost("latency", "3ms").limit(100) == 3


@given(st.sampled_from(UNIT_CASES), plain_numbers, st.sampled_from(["", " "]))
def test_amounts_scale_with_their_unit(case: tuple[Objective, str], number: str, gap: str) -> None:
    objective, unit = case
    if float(number) == 0:
        return
    cost = parse_cost(objective, f"{number}{gap}{unit.upper() if unit.isascii() else unit}")
    assert cost.value == pytest.approx(float(number) * UNITS[objective][unit])
    assert cost.limit(123.0) == cost.limit(456.0) == cost.value


@given(
    st.sampled_from(OBJECTIVES),
    st.floats(min_value=1.001, max_value=1000),
    st.floats(min_value=1, max_value=1e12),
)
def test_ratio_and_percentage_agree(objective: Objective, ratio: float, dense: float) -> None:
    cost = parse_cost(objective, f"{ratio:.6f}x")
    assert cost.limit(dense) * cost.value == pytest.approx(dense)
    if ratio >= 1.001:
        percent = parse_cost(objective, f"{100 / cost.value:.12f}%")
        assert percent.limit(dense) == pytest.approx(cost.limit(dense), rel=1e-6)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "size": plain_numbers.filter(lambda text: float(text) >= 1).map(lambda text: text + "x"),
            "latency": plain_numbers.filter(lambda text: float(text) >= 1).map(lambda text: text + "ms"),
            "macs": plain_numbers.filter(lambda text: float(text) >= 1).map(lambda text: text + "M"),
            "max_drop": st.floats(min_value=0, max_value=100),
        },
    )
)
def test_dictionary_and_short_form_round_trip(parts: dict[str, str | float]) -> None:
    target = Target.from_dict(parts)
    assert target.to_dict() == parts
    assert Target.from_dict(target.to_dict()) == target
    assert target.is_empty == (not parts)
    if parts:
        text = " ".join(f"{key}<={value}" for key, value in parts.items())
        assert Target.from_text(text) == target


def test_only_what_was_set_is_shown() -> None:
    assert Target.parse(size="8x", max_drop=1).to_dict() == {"size": "8x", "max_drop": 1.0}
    assert Target.parse(macs=40_000_000).to_dict() == {"macs": "40000000"}
    assert isinstance(Target(max_drop=1).max_drop, float)
    assert Target().to_dict() == {}
    assert Target().is_empty
    cost = Target.parse(size="8x").cost("size")
    assert cost is not None
    assert cost.value == 8
    assert Target.parse(size="8x").cost("macs") is None


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("size=8x drop<=1", {"size": "8x", "max_drop": 1.0}),
        ("size = 8x, max_drop = 0.5", {"size": "8x", "max_drop": 0.5}),
        ("DROP<=1", {"max_drop": 1.0}),
        ("latency<=3ms macs=50%", {"latency": "3ms", "macs": "50%"}),
    ],
)
def test_short_form(text: str, parts: dict[str, str | float]) -> None:
    assert Target.from_text(text).to_dict() == parts


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("", "empty"),
        (" , ", "empty"),
        ("8x", "'8x' is not a target"),
        ("speed=2x", "'speed=2x' is not a target"),
        ("size>8x", "not a target"),
        ("size==8x", "not a target"),
        ("size=8x size=4x", "second time"),
        ("drop=1 max_drop=1", "second time"),
        ("drop<=1%", "percentage points"),
        ("drop<=-1", "percentage points"),
        ("drop<=101", r"\[0, 100\]"),
        ("size=8y", "400KB"),
    ],
)
def test_illegal_short_forms(text: str, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        Target.from_text(text)


@pytest.mark.parametrize("drop", [-0.1, 100.5, math.nan, math.inf, True, "1", 10**400])
def test_illegal_drops(drop: float) -> None:
    with pytest.raises(ValueError, match="max_drop"):
        Target.parse(max_drop=drop)


def test_wrong_states_are_refused() -> None:
    cost = parse_cost("size", "8x")
    with pytest.raises(ValueError, match="twice"):
        Target(costs=(cost, parse_cost("size", "4x")))
    with pytest.raises(ValueError, match="greater than 0"):
        CostTarget(objective="size", kind="ratio", value=0, text="0x")
    with pytest.raises(ValueError, match="'sizee' is not a target"):
        Target.from_dict({"sizee": "8x"})
    with pytest.raises(ValueError, match="400KB"):
        Target.from_dict({"size": 8})
    with pytest.raises(ValueError, match="40M"):
        Target.from_dict({"macs": True})
