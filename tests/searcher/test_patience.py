"""A search that no longer gains anything ends."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest

from objectives.hypervolume import normalised
from searcher.controller import Controller
from searcher.samplers.base import LEARNING_BATCH, batch_size
from searcher.stages.prepare import Prepared
from searcher.stages.quick import LEAST_GROWTH
from storage.records.measurement import Rung
from storage.records.study import StudyState
from storage.records.target import CostTarget
from tests.searcher.controlled import NAME, Recorder, started


@pytest.mark.parametrize("objective", ["size", "macs"])
def test_a_search_ends_when_the_hypervolume_no_longer_grows(
    objective: Literal["size", "macs"], prepared: Prepared, tmp_path: Path
) -> None:
    """Of accuracy against what the target limits: a search for MACs goes on where sizes have stopped to improve."""
    patience = 8
    search = prepared.config.search.model_copy(update={"patience": patience, "candidates": 1_000})
    target = replace(prepared.config.target, costs=(CostTarget(objective, "ratio", 1.5, "1.5x"),))
    config = prepared.config.model_copy(update={"search": search, "target": target})
    impatient = replace(prepared, config=config)
    store, home = started(impatient, tmp_path)
    recorder = Recorder()
    assert Controller(store, home, recorder).run(NAME, impatient).state is StudyState.SUCCEEDED
    baselines = sum(trial.baseline is not None for trial in store.trials(NAME))
    searched = len(store.trials(NAME)) - baselines
    assert patience < searched < 1_000
    assert any(text.startswith(f"the last 8 of {searched} candidates") for text in recorder.seen)
    results = {item.number: item for item in store.results(NAME, Rung.QUICK)}

    def volume(done: int) -> float:
        found = [item for number, item in results.items() if number <= baselines + done]
        ratios = [results[1].value(objective) / item.value(objective) for item in found]
        return normalised([item.value("accuracy") for item in found], results[1].value("accuracy"), ratios)

    assert volume(searched) - volume(searched - patience) < LEAST_GROWTH
    done = patience
    while (done := done + batch_size(done, LEARNING_BATCH)) < searched:  # after each batch before it had grown
        assert volume(done) - volume(done - patience) >= LEAST_GROWTH
