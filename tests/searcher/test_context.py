"""What is predicted of baselines."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from searcher.baselines import DENSE, ORT_INT8
from searcher.stages.context import StudyContext
from storage.records.candidate import Candidate, Trial
from storage.records.latency import LatencyFactor, LatencyTable
from storage.records.space import Factor, SearchSpace, Site
from tests.searcher.spaces import channel_site, precision_site

DENSE_MS = 1.0  # of the user's file, which slices and pads; the candidate of all originals takes 0.9 ms without
TABLE = LatencyTable("onnxruntime", "here", 0.1, DENSE_MS, (LatencyFactor("a", (0,), (0.8, 0.4)),))


def space(site: Site) -> SearchSpace:
    factor = Factor(site.name, (0,), (400.0, 100.0), (10.0, 10.0), (0.0, 0.1))
    return SearchSpace((site,), (), 0, (factor,))


BITS, CHANNELS = space(precision_site("a", (32, 8))), space(channel_site("a", (16, 8)))


def predicted(of: SearchSpace, trial: Trial, latency: LatencyTable | None = TABLE) -> dict[str, float]:
    nothing = cast("Any", None)
    library = cast("Any", SimpleNamespace(space=of))
    context = StudyContext("s", nothing, nothing, nothing, nothing, library, nothing, nothing, nothing, latency)
    return {item.objective: item.value for item in context.predicted(trial)}


def trial(levels: tuple[int, ...], baseline: str | None = None) -> Trial:
    return Trial(number=1, candidate=Candidate(levels, "library"), origin="test", baseline=baseline)


def test_the_dense_file_is_what_speeds_refer_to() -> None:
    assert predicted(BITS, trial((0,), DENSE)) == {"predicted_latency": DENSE_MS, "predicted_speedup": 1.0}
    assert predicted(BITS, trial((0,)))["predicted_speedup"] == pytest.approx(1 / 0.9)


def test_the_int8_file_of_another_tool_is_predicted_as_our_own_of_8_bits_where_there_are_such() -> None:
    assert predicted(BITS, trial((), ORT_INT8)) == predicted(BITS, trial((1,)))
    assert predicted(CHANNELS, trial((), ORT_INT8)) == {}
    assert predicted(CHANNELS, trial((1,))) == {
        "predicted_latency": pytest.approx(0.5),
        "predicted_speedup": pytest.approx(2.0),
    }


def test_nothing_is_predicted_without_a_table() -> None:
    assert predicted(BITS, trial((1,)), None) == {}
