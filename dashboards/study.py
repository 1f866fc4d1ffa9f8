"""Everything that the store knows of one study, read once and in an order that a running controller cannot upset."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from storage.errors import FixInputError
from storage.records.candidate import Trial
from storage.records.certificate import CertificateReport, last_report
from storage.records.config import PACKED_RUNTIME, StudyConfig
from storage.records.dense import DenseFacts
from storage.records.latency import LatencyTable
from storage.records.measurement import Result, Rung
from storage.records.space import SearchSpace
from storage.records.study import (
    FILES_RUNTIME,
    TIMED_ON,
    WORKER_LOST,
    Analysis,
    Event,
    FrontRow,
    Study,
)
from storage.records.target import Target
from storage.store import StudyStore

DENSE_NUMBER = 1  # trials begin with the baselines, and these with the dense model


@dataclass(frozen=True)
class StudyData:
    """One study as the views see it."""

    study: Study
    front: tuple[FrontRow, ...]
    results: Mapping[Rung, Mapping[int, Result]]  # by rung and trial number
    trials: Mapping[int, Trial]
    analysis: Analysis | None  # None until the model has been analysed
    events: tuple[Event, ...] = ()  # oldest first
    now: float = 0.0  # by the store's clock, when it was read

    @cached_property
    def config(self) -> StudyConfig:
        """What was asked for."""
        return StudyConfig.from_json(self.study.config_json)

    @property
    def hardware(self) -> str | None:
        """Where the files were timed, or else where the model was analysed; None before that."""
        timed = [event.text for event in self.events if event.kind == TIMED_ON]
        if timed:
            return timed[-1]
        return None if self.analysis is None else self.analysis.hardware

    @property
    def is_predicted_elsewhere(self) -> bool:
        """Whether the latency table is of another machine or runtime than the measured speeds."""
        return self.latency is not None and self.latency.hardware != self.hardware

    @property
    def lost_workers(self) -> int:
        """How many have died or were stopped; what they had was run again."""
        return sum(1 for event in self.events if event.kind == WORKER_LOST)

    @cached_property
    def is_mistimed(self) -> bool:
        """Whether an earlier version ran the files on ONNX Runtime although the study names another runtime."""
        return (
            self.config.runtime.name != PACKED_RUNTIME
            and bool(self.results.get(Rung.CONFIRMED))
            and all(event.kind != FILES_RUNTIME for event in self.events)
        )

    @property
    def target(self) -> Target:
        """What the study aims at."""
        return self.config.target

    @cached_property
    def dense(self) -> DenseFacts | None:
        """The dense model, its latency filled in once it has been timed; None before the analysis."""
        if self.analysis is None:
            return None
        facts = DenseFacts.from_json(self.analysis.dense_json)
        timed = self.result(DENSE_NUMBER, Rung.TIMED)
        return facts if timed is None else replace(facts, latency_ms=timed.value("latency"))

    @cached_property
    def space(self) -> SearchSpace | None:
        """The search space; None before the analysis."""
        return None if self.analysis is None else SearchSpace.from_json(self.analysis.space_json)

    @property
    def known_space(self) -> SearchSpace:
        """The search space. FixInputError before the analysis."""
        if self.space is None:
            name = self.study.name
            raise FixInputError(
                f"the model of study {name} is not analysed yet: try again in a moment if the study runs, "
                f"or else `slimfront resume {name}` first"
            )
        return self.space

    @cached_property
    def latency(self) -> LatencyTable | None:
        """What latencies are predicted from; None before the analysis, or where there is no table."""
        text = None if self.analysis is None else self.analysis.latency_json
        return None if text is None else LatencyTable.from_json(text)

    @property
    def searched(self) -> int:
        """How many candidates have been evaluated, baselines not counted."""
        quick = self.results.get(Rung.QUICK, {})
        return sum(1 for number in quick if number in self.trials and self.trials[number].is_searched)

    @property
    def failed(self) -> int:
        """How many evaluations have failed for good, those of baselines too."""
        return sum(1 for trial in self.trials.values() if trial.error is not None)

    @cached_property
    def files(self) -> Mapping[int, Result]:
        """By number, the results of files on the confirmation images: confirmed and trained ones."""
        return {number: item for rung in Rung if rung.is_of_file for number, item in self.results.get(rung, {}).items()}

    @cached_property
    def certificate(self) -> CertificateReport | None:
        """What the last look at the test split has shown; None where there was none, or it has not ended."""
        return last_report(self.events)

    def result(self, number: int, rung: Rung) -> Result | None:
        """What `rung` gave for a trial; None if it has not been there, or was timed on another runtime than it says."""
        if rung is Rung.TIMED and self.is_mistimed:
            return None
        return self.results.get(rung, {}).get(number)


def read_study(store: StudyStore, name: str) -> StudyData:
    """Reads a study, running or not. NotFoundError if there is none of that name.

    The front comes before the results and these before the trials, because what a front names has its result, and
    what has a result its trial, and none of them ever goes.
    """
    study = store.study(name)
    front = store.front(name)
    results: dict[Rung, dict[int, Result]] = {}
    for item in store.results(name):
        results.setdefault(item.rung, {})[item.number] = item
    trials = {trial.number: trial for trial in store.trials(name)}
    analysis, events = store.analysis(name), store.events(name)
    return StudyData(study, front, results, trials, analysis, events, store.now())
