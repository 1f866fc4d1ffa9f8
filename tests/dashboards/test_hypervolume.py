"""The growth of the hypervolume, checked against the hypervolume itself."""

from __future__ import annotations

import pytest

from dashboards.hypervolume import hypervolume_view
from dashboards.study import read_study
from objectives.hypervolume import normalised
from storage.records.candidate import Candidate, Proposal
from storage.store import StudyStore
from tests.dashboards import samples


@pytest.fixture
def store() -> StudyStore:
    store = samples.new_store()
    samples.analyse(store)
    return store


def test_there_is_none_before_a_candidate_is_scored(store: StudyStore) -> None:
    assert hypervolume_view(read_study(samples.new_store(), samples.NAME)) is None
    samples.search(store, evaluated=0)
    assert hypervolume_view(read_study(store, samples.NAME)) is None


def test_it_grows_from_the_baselines_candidate_by_candidate(store: StudyStore) -> None:
    samples.search(store)
    view = hypervolume_view(read_study(store, samples.NAME))
    assert view is not None
    # Baselines 1 and 3 have 92 and 80 of 100 images; 4 to 7 have 91, 88, 85 and 70; 92 is the dense model's.
    accuracy, sizes = [92.0, 80.0, 91.0, 88.0, 85.0, 70.0], [8100, 1300, 1300, 1050, 1050, 800]
    ratios = [8000 / size for size in sizes]
    whole = [normalised(accuracy[:count], 92.0, ratios[:count]) for count in range(2, 7)]
    assert view.baselines == whole[0]
    assert view.images == 100
    assert view.all.scored == (0, 1, 2, 4)  # 6 and 7 add nothing; the last point is there to end the line
    assert view.all.values == pytest.approx((whole[0], whole[1], whole[2], whole[4]))
    (sampler,) = view.samplers
    assert (sampler.origin, sampler.candidates, sampler.scored) == ("allocation", 4, (1, 2, 4))
    assert sampler.values[0] == pytest.approx(normalised([91.0], 92.0, [8000 / 1300]))


def test_each_sampler_counts_what_it_has_proposed(store: StudyStore) -> None:
    samples.search(store)
    store.add_trials(samples.NAME, 8, [Proposal(Candidate((0, 1), samples.LIBRARY), "mutation")])
    store.record(samples.NAME, samples.quick(8, 92, 700))
    view = hypervolume_view(read_study(store, samples.NAME))
    assert view is not None
    assert [(item.origin, item.candidates) for item in view.samplers] == [("allocation", 4), ("mutation", 1)]
    assert view.samplers[1].scored == (5,)
    assert view.samplers[1].values == pytest.approx((normalised([92.0], 92.0, [8000 / 700]),))
    assert view.all.values[-1] >= max(item.values[-1] for item in view.samplers)
