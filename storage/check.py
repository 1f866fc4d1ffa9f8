"""Whether a store can be read as it was written: every study, row by row."""

from __future__ import annotations

from collections.abc import Iterator

from storage.errors import NotFoundError, RetryError, SlimfrontError
from storage.records.config import StudyConfig
from storage.records.dense import DenseFacts
from storage.records.latency import LatencyTable
from storage.records.space import SearchSpace
from storage.store import StudyStore

# What damaged rows make records raise.
DAMAGES = (ValueError, KeyError, TypeError, AttributeError, IndexError, OverflowError)


def check_study(store: StudyStore, name: str) -> Iterator[str]:
    """What is wrong with a study, a line each. It may be running: each part is read at another moment.

    Raises RetryError where the store cannot be reached. Of a study that is deleted meanwhile nothing is wrong.
    """
    for title, read in (("its configuration", _configuration), ("its candidates", _candidates), ("its front", _front)):
        try:
            yield from read(store, name)
        except RetryError:
            raise
        except NotFoundError:
            return
        except (SlimfrontError, *DAMAGES) as error:
            text = " ".join(str(error).split())
            yield f"{name}: {title} cannot be read ({type(error).__name__}: {text})"


def _configuration(store: StudyStore, name: str) -> Iterator[str]:
    StudyConfig.from_json(store.study(name).config_json)
    store.events(name)
    return iter(())


def _candidates(store: StudyStore, name: str) -> Iterator[str]:
    trials = store.trials(name)  # before the analysis, which of a running study may be stored in between
    analysis = store.analysis(name)
    if [trial.number for trial in trials] != list(range(1, len(trials) + 1)):
        yield f"{name}: its {len(trials)} candidates are not numbered from 1 without a gap"
    if analysis is None:
        if trials:
            yield f"{name}: it has candidates and no search space"
        return
    space = SearchSpace.from_json(analysis.space_json)
    DenseFacts.from_json(analysis.dense_json)
    if analysis.latency_json is not None:
        LatencyTable.from_json(analysis.latency_json).check(space)
    for trial in trials:
        if trial.candidate.levels and not space.contains(trial.candidate.levels):
            yield f"{name}: candidate {trial.number} is none of its search space"


def _front(store: StudyStore, name: str) -> Iterator[str]:
    front = store.front(name)  # before the results: of a running study there may be more by then
    known = {(item.number, item.rung.value) for item in store.results(name)}
    for row in front:
        if (row.number, row.rung) not in known:
            yield f"{name}: row {row.position} of its front, candidate {row.number}, has no result"
    store.timings(name)
