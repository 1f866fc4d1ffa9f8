"""A candidate's plan."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from dashboards import candidate
from dashboards.candidate import GroupPlan, candidate_view
from dashboards.study import read_study
from learners.library.library import ROUNDED
from storage.errors import FixInputError, NotFoundError
from storage.records.candidate import Candidate, Proposal
from storage.records.space import SearchSpace
from storage.store import StudyStore
from tests.dashboards import samples
from tests.storage.records.test_space import FIRST_VERSION


@pytest.fixture
def store() -> StudyStore:
    store = samples.new_store()
    samples.analyse(store)
    samples.search(store)
    return store


def test_a_searched_candidate(store: StudyStore) -> None:
    view = candidate_view(read_study(store, "s"), 5)
    assert (view.candidate, view.name, view.origin) == (5, None, "allocation")
    assert [(layer.name, layer.level, layer.method, layer.error) for layer in view.layers] == [
        ("conv1", "w2", "gptq", 0.2),
        ("conv2", "w4", "gptq", 0.02),
    ]
    assert view.mean_bits == 3.0
    assert view.fixed_bytes + sum(layer.size_bytes for layer in view.layers) == 1050
    assert view.protected == samples.SPACE.protected
    assert (view.groups, view.kept_channels) == ((), ())
    assert {(layer.weights, layer.macs, layer.channels, layer.dense_channels) for layer in view.layers} == {
        (1000, 400, 8, 8)
    }
    assert view.row is not None
    assert view.row.candidate == 5


@pytest.fixture
def pruned() -> StudyStore:
    """A study whose trial 1 has 6 of 8 channels left."""
    store = samples.new_store()
    samples.analyse(store, samples.JOINT_SPACE)
    store.add_trials("s", 1, [Proposal(Candidate(samples.JOINT, samples.LIBRARY), "allocation")])
    return store


def test_a_candidate_without_some_channels(pruned: StudyStore) -> None:
    view = candidate_view(read_study(pruned, "s"), 1)
    first, second = view.layers
    assert (first.name, first.level, first.channels, first.dense_channels) == ("conv1", "w2", 6, 8)
    assert (second.name, second.level, second.channels, second.dense_channels) == ("conv2", "w4", 8, 8)
    assert [(layer.weights, layer.macs) for layer in view.layers] == [(750, 300), (750, 300)]
    assert first.error == 0.2
    assert second.error == pytest.approx(0.06)
    assert view.groups == (GroupPlan("conv1", ("conv1",), "c6", 6, 8, "obs"),)
    assert view.kept_channels == samples.JOINT_SPACE.kept_channels
    assert view.mean_bits == 3.0
    # What is in no layer, such as an index map, is in the fixed part, so that the sum is the predicted size.
    assert view.fixed_bytes + first.size_bytes + second.size_bytes == samples.JOINT_SPACE.size_bytes(samples.JOINT)
    assert view.fixed_bytes >= 100 + 12


def test_layers_that_no_site_quantises_are_left_in_fp32() -> None:
    space = samples.JOINT_SPACE
    factors = tuple(
        replace(factor, sites=(0,), size_bytes=factor.size_bytes[::3], macs=factor.macs[::3], error=factor.error[::3])
        for factor in space.factors[:2]
    )
    store = samples.new_store()
    samples.analyse(store, replace(space, sites=(samples.GROUP,), factors=factors))
    store.add_trials("s", 1, [Proposal(Candidate((2,), samples.LIBRARY), "allocation")])
    view = candidate_view(read_study(store, "s"), 1)
    assert [(layer.level, layer.bits, layer.method, layer.weights) for layer in view.layers] == [
        ("fp32", 32, "unchanged", 500)
    ] * 2
    assert view.mean_bits == 32


def test_a_study_of_version_0_1_knows_no_channels() -> None:
    space = SearchSpace.from_json(json.dumps(FIRST_VERSION))
    store = samples.new_store()
    samples.analyse(store, space)
    store.add_trials("s", 1, [Proposal(Candidate((1, 0), samples.LIBRARY), "allocation")])
    view = candidate_view(read_study(store, "s"), 1)
    assert [(layer.name, layer.level, layer.size_bytes, layer.channels) for layer in view.layers] == [
        ("a", "w8", 100, None),
        ("b", "fp32", 400, None),
    ]
    assert (view.groups, view.fixed_bytes) == ((), 7)


def test_rounded_weights_have_another_method_and_no_known_error(store: StudyStore) -> None:
    view = candidate_view(read_study(store, "s"), 3)
    assert {(layer.method, layer.error) for layer in view.layers} == {("round to nearest", None)}
    assert f"{ROUNDED}:" == candidate.ROUNDED


def test_a_trained_version_has_the_levels_of_its_parent_and_errors_that_nobody_knows(store: StudyStore) -> None:
    samples.finish(store)
    samples.train(store)
    data = read_study(store, "s")
    view, parent = candidate_view(data, 9), candidate_view(data, 8)
    assert (view.parent, parent.parent, view.origin) == (8, 7, "finetune")
    assert [(layer.level, layer.method, layer.error) for layer in view.layers] == [("w2", "fine-tuned", None)] * 2
    assert [layer.level for layer in candidate_view(data, 7).layers] == ["w2", "w2"]
    assert (view.row.rung if view.row else None, parent.row.rung if parent.row else None) == ("final", "tuned")
    assert (view.certificate, view.looks) == (None, None)


def test_the_certificate_comes_with_its_sentence(store: StudyStore) -> None:
    samples.finish(store)
    samples.train(store)
    samples.certify(store, looks=2)
    data = read_study(store, "s")
    document = candidate_view(data, 10).to_dict()
    assert (document["certificate"]["sentence"], document["looks"]) == (samples.SENTENCES[2], 2)
    assert (document["certificate"]["primary"], document["certificate"]["needed"]) == (False, 1500)
    assert document["row"]["certificate"].keys() == {"verdict", "drop", "drop_upper", "n", "disagreement"}
    assert candidate_view(data, 4).looks is None  # it was not judged


def test_a_file_of_another_tool_has_no_plan_and_no_row_before_it_is_confirmed(store: StudyStore) -> None:
    view = candidate_view(read_study(store, "s"), 2)
    assert (view.layers, view.row, view.mean_bits) == ((), None, None)


def test_a_failed_candidate_says_why(store: StudyStore) -> None:
    store.fail_trial("s", 6, "out of memory")
    assert candidate_view(read_study(store, "s"), 6).error == "out of memory"


def test_numbers_and_times_at_which_there_is_nothing(store: StudyStore) -> None:
    with pytest.raises(NotFoundError, match="1 to 7"):
        candidate_view(read_study(store, "s"), 8)
    early = samples.new_store()
    early.add_trials("s", 1, samples.BASELINES)
    with pytest.raises(FixInputError, match="not analysed yet"):
        candidate_view(read_study(early, "s"), 1)
    with pytest.raises(NotFoundError, match="no study"):
        read_study(early, "t")
