"""Configurations as stored text, and any table at all as a study file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.errors import FixInputError
from storage.records.config import StudyConfig, read_study
from tests.storage.records.test_config import KNOWN


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"name": 3}', "not json"])
def test_stored_text_of_another_version_is_refused(text: str) -> None:
    with pytest.raises(FixInputError, match=r"^the stored study: ") as caught:
        StudyConfig.from_json(text)
    assert "\n" not in str(caught.value)


@given(
    name=st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", fullmatch=True),
    seed=st.integers(0, 2**63 - 1),
    channels=st.sampled_from([1, 3]),
    numbers=st.lists(st.floats(1.0, 1e6), min_size=3, max_size=3),
    keep=st.lists(st.text(st.characters(exclude_characters="$\0", codec="utf-8"), min_size=1), unique=True, max_size=4),
    minutes=st.none() | st.floats(0.1, 1e6),
    counts=st.none() | st.tuples(st.integers(1, 2**31), st.integers(1, 2**31)),
    criterion=st.sampled_from(KNOWN.criteria),
)
def test_json_round_trip(
    name: str,
    seed: int,
    channels: int,
    numbers: list[float],
    keep: list[str],
    minutes: float | None,
    counts: tuple[int, int] | None,
    criterion: str,
) -> None:
    search: dict[str, Any] = {"keep": keep, "criterion": criterion}
    search |= {} if minutes is None else {"minutes": minutes}
    search |= {} if counts is None else {"round_to": counts[0], "min_channels": counts[1]}
    raw: dict[str, Any] = {
        "name": name,
        "seed": seed,
        "model": {"factory": "n.py:f", "weights": "w", "input": [channels, 4, 4]},
        "data": {"kind": "images", "path": "p", "mean": numbers[:channels], "std": numbers[:channels]},
        "target": {"size": f"{numbers[0]:.3f}x", "max_drop": numbers[1] % 100},
        "search": search,
    }
    config = read_study(raw, Path("/folder"), "test", KNOWN)
    assert config.data.mean == tuple(numbers[:channels])
    assert config.search.keep == tuple(keep)
    assert (config.search.round_to, config.search.min_channels) == (counts or (None, None))
    assert StudyConfig.from_json(config.to_json()) == config


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    ["name", "model", "data", "target", "search", "runtime", "size", "kind", "input", "keep"]
                ),
                inner,
                max_size=4,
            )
        ),
    ).filter(lambda value: isinstance(value, dict))
)
def test_no_table_at_all_gives_anything_but_one_line(raw: dict[str, Any]) -> None:
    with pytest.raises(FixInputError) as caught:
        read_study(raw, Path("/folder"), "test", KNOWN)
    assert len(str(caught.value).splitlines()) == 1
