"""Plans in two numbers agree with the plans layer by layer."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from dashboards.candidate import candidate_view
from dashboards.study import read_study
from dashboards.summary import PlanSummary, plan_summaries
from storage.records.candidate import Candidate, Proposal
from tests.dashboards import samples


def test_every_plan_of_a_space_agrees_with_its_layers() -> None:
    store = samples.new_store()
    samples.analyse(store, samples.JOINT_SPACE)
    plans = list(itertools.product(range(3), repeat=3))
    proposals = [Proposal(Candidate(levels, samples.LIBRARY), "allocation") for levels in plans]
    store.add_trials(samples.NAME, 1, proposals)
    data = read_study(store, samples.NAME)
    for number, summary in enumerate(plan_summaries(samples.JOINT_SPACE, plans), 1):
        view = candidate_view(data, number)
        assert summary.mean_bits == pytest.approx(view.mean_bits)
        assert summary.weights_left == pytest.approx(sum(layer.weights for layer in view.layers) / 2000)


def test_originals_are_whole_and_in_32_bits() -> None:
    assert plan_summaries(samples.JOINT_SPACE, [(0, 0, 0)]) == (PlanSummary(32.0, 1.0),)
    assert plan_summaries(samples.JOINT_SPACE, [(2, 2, 2)]) == (PlanSummary(2.0, 0.5),)


def test_nothing_is_said_of_no_plans_and_no_layers() -> None:
    assert plan_summaries(samples.SPACE, []) == ()
    assert plan_summaries(replace(samples.SPACE, layers=()), [(0, 0)]) == ()


def test_layers_without_macs_keep_their_weights() -> None:
    first, second = samples.SPACE.layers
    space = replace(samples.SPACE, layers=(replace(first, macs=0), second))
    assert plan_summaries(space, [(1, 2)]) == (PlanSummary(3.0, 1.0),)
