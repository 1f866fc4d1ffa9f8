"""Sensitivity: figures that can be checked by hand, and what limits a target."""

from __future__ import annotations

import json
from dataclasses import astuple, replace

import pytest

from dashboards.changes import Changes
from dashboards.front import recommended
from dashboards.limits import ErrorShare, Relief
from dashboards.sensitivity import SensitivityView, SiteSensitivity, sensitivity_view
from dashboards.study import read_study
from storage.errors import FixInputError
from storage.records.candidate import Candidate, Proposal
from storage.records.latency import LatencyTable
from storage.records.measurement import Rung
from storage.records.space import CHANNEL, QUANT
from storage.records.study import FrontRow
from storage.records.target import Target
from storage.store import StudyStore
from tests.dashboards import samples


def joint_store(latency: LatencyTable | None = samples.LATENCY) -> StudyStore:
    store = samples.new_store()
    samples.analyse(store, samples.JOINT_SPACE, latency)
    return store


def view(store: StudyStore, **target: str | float) -> SensitivityView:
    data = read_study(store, samples.NAME)
    if target:
        config = data.config.model_copy(update={"target": Target.from_dict(target)})
        data = replace(data, study=replace(data.study, config_json=config.to_json()))
    return sensitivity_view(data)


def with_candidate(store: StudyStore) -> StudyStore:
    """A front of the dense model, a rounded baseline and the candidate JOINT, which alone has a plan with an error."""
    proposals = [
        Proposal(Candidate((0, 0, 0), samples.LIBRARY), "baseline", "dense"),
        Proposal(Candidate((0, 1, 1), f"rounded:{samples.LIBRARY}"), "baseline", "rounded w4"),
        Proposal(Candidate((), "ort int8"), "baseline", "ort int8"),
        Proposal(Candidate(samples.JOINT, samples.LIBRARY), "allocation"),
    ]
    store.add_trials(samples.NAME, 1, proposals)
    results = [
        samples.confirmed(number, accuracy, size)
        for number, accuracy, size in ((1, 90, 8000), (2, 89, 900), (4, 80, 824))
    ]
    front = [FrontRow(place, number, Rung.CONFIRMED) for place, number in enumerate((1, 2, 4))]
    store.record_batch(samples.NAME, results, front)
    return store


def plain(found: ErrorShare | Relief | None) -> tuple[object, ...]:
    """The fields, floats without what arithmetic adds in the last digits."""
    assert found is not None
    return tuple(round(value, 9) if isinstance(value, float) else value for value in astuple(found))


def site(found: SensitivityView, name: str, learner: str) -> SiteSensitivity:
    return next(item for item in found.sites if (item.site, item.learner) == (name, learner))


def test_every_level_has_the_errors_of_all_layers_that_it_touches() -> None:
    found = view(joint_store())
    assert [(item.site, item.learner) for item in found.sites] == [
        ("conv1", CHANNEL),
        ("conv1", QUANT),
        ("conv2", QUANT),
    ]
    group = site(found, "conv1", CHANNEL)
    assert group.layers == ("conv1",)
    assert [(level.level, level.channels, level.bits) for level in group.levels] == [
        ("c8", 8, None),
        ("c6", 6, None),
        ("c4", 4, None),
    ]
    assert [level.error for level in group.levels] == pytest.approx([0, 0.04, 0.3])  # of conv2, which reads them
    assert [level.saved_bytes for level in group.levels] == [0, 2004, 4008]  # both layers and the index map
    assert [level.saved_macs for level in group.levels] == [0, 200, 400]
    bits = site(found, "conv2", QUANT)
    assert [(level.level, level.channels, level.bits) for level in bits.levels] == [
        ("fp32", None, 32),
        ("w4", None, 4),
        ("w2", None, 2),
    ]
    assert [level.error for level in bits.levels] == pytest.approx([0, 0.02, 0.2])
    assert [level.saved_bytes for level in bits.levels] == [0, 3400, 3650]
    assert {level.saved_macs for level in bits.levels} == {0}


def test_changes_agree_with_the_whole_tables() -> None:
    space, table = samples.JOINT_SPACE, samples.LATENCY
    changes = Changes(space, table)
    for site_index, level in ((0, 2), (0, 0), (1, 0), (2, 2), (1, 2)):
        after = (*samples.JOINT[:site_index], level, *samples.JOINT[site_index + 1 :])
        change = changes.of(samples.JOINT, site_index, level)
        assert change.error == pytest.approx(space.error(after) - space.error(samples.JOINT))
        assert change.size_bytes == pytest.approx(space.size_bytes(after) - space.size_bytes(samples.JOINT), abs=1)
        assert change.macs == space.macs(after) - space.macs(samples.JOINT)
        wanted = table.milliseconds(space, after) - table.milliseconds(space, samples.JOINT)
        assert change.milliseconds == pytest.approx(wanted)
    assert Changes(space, None).of(samples.JOINT, 0, 0).milliseconds is None


def test_without_a_front_the_greedy_plan_is_looked_at() -> None:
    limit, *_ = view(joint_store()).targets
    assert (limit.objective, limit.text, limit.candidate, limit.limit, limit.cost) == ("size", "8x", None, 1000.0, 708)
    assert limit.error == pytest.approx(0.34)
    assert plain(limit.largest) == ("conv1", CHANNEL, "c4", round(0.3 / 0.34, 9))
    assert plain(limit.limiting) == ("conv1", CHANNEL, "c4", "c6", 0.26, 304)


def test_each_target_is_limited_by_a_site_that_its_cost_depends_on() -> None:
    store = with_candidate(joint_store())
    size, latency, macs, drop = view(store, size="8x", macs="2x", latency="2x", max_drop=5.0).targets
    assert [item.objective for item in (size, latency, macs, drop)] == ["size", "latency", "macs", "max_drop"]
    assert replace(drop, objective="size", text="8x", limit=1000.0) == size
    assert {item.candidate for item in (size, latency, macs)} == {4}
    assert [item.limit for item in (size, latency, macs)] == [1000.0, 1.0, 500.0]
    assert [item.cost for item in (size, latency, macs)] == pytest.approx([824, 0.5 + 0.3 + 0.2, 800])
    assert plain(size.largest) == plain(latency.largest) == ("conv1", QUANT, "w2", round(0.2 / 0.26, 9))
    assert plain(size.limiting) == ("conv1", QUANT, "w2", "w4", 0.18, 187.5)
    assert plain(macs.limiting) == ("conv1", CHANNEL, "c6", "c8", 0.04, 200)
    assert plain(latency.limiting) == ("conv1", CHANNEL, "c6", "c8", 0.04, 0.2)


def test_without_a_latency_table_no_site_limits_a_latency() -> None:
    store = with_candidate(joint_store(None))
    (limit,) = view(store, latency="2x").targets
    assert (limit.candidate, limit.limit, limit.cost, limit.limiting) == (4, None, None, None)
    assert limit.largest is not None
    (limit,) = view(store, latency="3ms").targets
    assert limit.limit == 3.0
    (limit,) = view(joint_store(None), latency="2x").targets  # not even a plan
    assert (limit.candidate, limit.error, limit.largest, limit.limiting) == (None, 0.0, None, None)


def test_a_drop_alone_is_limited_in_bytes() -> None:
    (limit,) = view(with_candidate(joint_store()), max_drop=5.0).targets
    assert (limit.objective, limit.text, limit.candidate, limit.limit, limit.cost) == ("max_drop", "5.0", 4, None, 824)
    assert limit.limiting is not None
    assert limit.limiting.cost == pytest.approx(187.5)


def test_the_greedy_plan_ends_where_nothing_saves_any_more() -> None:
    (limit,) = view(joint_store(), macs="100x").targets
    assert (limit.limit, limit.cost) == (10.0, 600)
    assert plain(limit.limiting) == ("conv1", CHANNEL, "c4", "c6", 0.26, 200)


def test_the_document_is_json_and_comes_with_the_analysis() -> None:
    document = view(joint_store()).to_dict()
    assert json.loads(json.dumps(document, allow_nan=False))["study"] == "s"
    with pytest.raises(FixInputError, match="in a moment if the study runs, or else `slimfront resume s` first"):
        view(samples.new_store())


def test_the_candidate_that_is_looked_at_is_the_one_that_the_front_names_first() -> None:
    store = samples.new_store()
    samples.analyse(store)
    samples.search(store)
    samples.finish(store)
    store.record_batch(samples.NAME, [], [FrontRow(place, n, Rung.CONFIRMED) for place, n in enumerate((1, 2, 4))])
    # 7, twenty points below the dense accuracy, alone is within a tenth of the size.
    assert [item.candidate for item in view(store, size="10x").targets] == [7]
    assert [item.candidate for item in view(store, size="6x").targets] == [4]


def test_weights_that_were_trained_are_not_looked_at_as_nobody_knows_their_errors() -> None:
    store = samples.new_store()
    samples.analyse(store)
    samples.search(store)
    samples.finish(store)
    samples.train(store)
    assert [item.candidate for item in view(store, size="9x").targets] == [5]
    data = read_study(store, samples.NAME)
    config = data.config.model_copy(update={"target": Target.parse(size="9x")})
    best = recommended(replace(data, study=replace(data.study, config_json=config.to_json())))
    assert best is not None
    assert (best.candidate, best.parent) == (9, 8)
