"""Every model of a study as a point, at every stage of the study."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dashboards.scatter import ScatterView, scatter_view
from dashboards.study import read_study
from storage.records.candidate import Candidate, Proposal
from storage.records.measurement import Rung
from storage.records.study import FrontRow
from storage.records.target import Target
from storage.store import StudyStore
from tests.dashboards import large, samples


@pytest.fixture
def store() -> StudyStore:
    store = samples.new_store()
    samples.analyse(store, latency=replace(samples.LATENCY, factors=()))
    samples.search(store)
    return store


def view(store: StudyStore) -> ScatterView:
    return scatter_view(read_study(store, samples.NAME))


def test_a_study_without_scores_has_no_points() -> None:
    store = samples.new_store()
    found = view(store)
    assert (found.front, found.baselines, found.others, found.recommended) == ((), (), (), None)
    samples.analyse(store)
    store.add_trials(samples.NAME, 1, samples.BASELINES)
    found = view(store)
    assert (found.front, found.baselines, found.confirmed_images, found.quick_images) == ((), (), None, None)


def test_quick_scores_are_compared_with_the_dense_model_on_the_same_images(store: StudyStore) -> None:
    found = view(store)
    assert [item.row.candidate for item in found.front] == [1, 4, 5, 7]
    assert [item.name for item in found.baselines] == ["dense", "rounded w4"]
    (other,) = found.others
    assert (other.candidate, other.confirmed, other.drop, other.costs.size_bytes) == (6, False, 7.0, 1050)
    assert other.summary is not None
    assert other.summary.mean_bits == 3.0
    assert (found.confirmed_images, found.quick_images, found.others_of) == (None, 100, 1)
    assert all(item.drop_lower is None for item in found.front)


def test_confirmed_models_have_both_bounds_and_measured_latency(store: StudyStore) -> None:
    samples.finish(store)
    found = view(store)
    by_number = {item.row.candidate: item for item in found.front}
    assert (by_number[5].drop_lower, by_number[5].row.drop_upper) == (0.5, 2.5)
    assert (by_number[5].costs.latency_ms, by_number[5].latency_measured) == (0.8, True)
    assert by_number[4].costs.latency_ms is None  # neither timed nor predicted
    assert by_number[2].summary is None  # another tool's file
    assert found.recommended == 5
    assert found.confirmed_images == 400


def test_predicted_latencies_refer_to_the_measured_dense_one(store: StudyStore) -> None:
    store.record(samples.NAME, samples.confirmed(4, 89.0, 1310, speedup=4.0))
    assert view(store).front[1].costs.latency_ms == samples.LATENCY.dense_ms / 4
    front = [FrontRow(0, 4, Rung.CONFIRMED)]
    store.record_batch(samples.NAME, [samples.confirmed(1, 90.0, 8000), samples.timed(1, 10.0, 1.0)], front)
    (item,) = view(store).front
    assert (item.costs.latency_ms, item.latency_measured) == (2.5, False)


def test_a_confirmed_candidate_off_the_front_keeps_its_confirmed_figures(store: StudyStore) -> None:
    store.record(samples.NAME, samples.confirmed(6, 88.0, 1060))
    (other,) = view(store).others
    assert (other.candidate, other.confirmed, other.drop, other.costs.size_bytes) == (6, True, 2.0, 1060)


def test_limits_are_in_the_units_of_the_axes(store: StudyStore) -> None:
    data = read_study(store, samples.NAME)
    assert scatter_view(data).limits.of("size") == 1000
    assert (scatter_view(data).limits.of("macs"), scatter_view(data).limits.max_drop) == (None, 2.0)
    config = data.config.model_copy(update={"target": Target.parse(latency="4x", macs="50%")})
    limits = scatter_view(replace(data, study=replace(data.study, config_json=config.to_json()))).limits
    assert (limits.of("latency"), limits.of("macs"), limits.of("size"), limits.max_drop) == (0.5, 500.0, None, None)


def test_a_failed_candidate_is_no_point(store: StudyStore) -> None:
    bare = samples.new_store()
    samples.analyse(bare)
    samples.search(bare, evaluated=1)
    bare.fail_trial(samples.NAME, 5, "out of memory")
    assert [item.row.candidate for item in view(bare).front] == [1, 4]
    assert view(bare).others == ()


def test_many_candidates_are_thinned_and_confirmed_ones_stay() -> None:
    store = large.searched(400, 3)
    front = {item.row.candidate for item in view(store).front}
    off = next(number for number in range(2, 400) if number not in front)
    store.record(samples.NAME, samples.confirmed(off, 88.0, 1060))
    found = scatter_view(read_study(store, samples.NAME), most_others=50)
    assert (len(found.others), found.others_of) == (50, 400 - len(front))
    assert [item.candidate for item in found.others if item.confirmed] == [off]
    every = view(store).others
    assert len(every) == found.others_of
    assert min(item.costs.size_bytes for item in found.others) == min(item.costs.size_bytes for item in every)


def test_trained_versions_and_what_they_were_trained_from_are_points(store: StudyStore) -> None:
    samples.finish(store)
    assert not view(store).has_trained
    samples.train(store)
    found = view(store)
    assert found.has_trained
    assert {item.row.candidate: item.row.parent for item in (*found.front, *found.baselines) if item.row.tuned} == {
        **{9: 8, 10: 3},
    }
    others = {item.candidate: (item.parent, item.confirmed) for item in found.others}
    assert others == {6: (None, False), 7: (None, True), 8: (7, True)}


def test_parents_off_the_front_are_drawn_however_many_candidates_there_are() -> None:
    store = large.searched(400, 3)
    front = {item.row.candidate for item in view(store).front}
    parent = next(number for number in range(2, 400) if number not in front)
    levels = read_study(store, samples.NAME).trials[parent].candidate.levels
    (trial,) = store.add_trials(
        samples.NAME, 402, [Proposal(Candidate(levels, "finetune:0"), "finetune", parent=parent)]
    )
    store.record(samples.NAME, samples.confirmed(parent, 70.0, 1060))
    store.record(samples.NAME, replace(samples.confirmed(trial.number, 80.0, 1062), rung=Rung.TUNED))
    others = scatter_view(read_study(store, samples.NAME), most_others=10).others
    assert [(item.candidate, item.parent) for item in others if item.confirmed] == [(parent, None), (402, parent)]
