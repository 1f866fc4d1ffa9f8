"""A candidate's plan."""

from __future__ import annotations

import pytest

from dashboards import candidate
from dashboards.candidate import candidate_view
from dashboards.study import read_study
from learners.library.library import ROUNDED
from storage.errors import FixInputError, NotFoundError
from storage.store import StudyStore
from tests.dashboards import samples


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
    assert view.row is not None
    assert view.row.candidate == 5


def test_rounded_weights_have_another_method_and_no_known_error(store: StudyStore) -> None:
    view = candidate_view(read_study(store, "s"), 3)
    assert {(layer.method, layer.error) for layer in view.layers} == {("round to nearest", None)}
    assert f"{ROUNDED}:" == candidate.ROUNDED


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
