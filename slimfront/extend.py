"""More candidates for a study, whatever has become of it."""

from __future__ import annotations

import json

from searcher.stages.quick import has_ended
from storage.errors import FixInputError
from storage.home import Home
from storage.liveness import release_dead
from storage.records.config import MAX_CANDIDATES, StudyConfig
from storage.records.measurement import Rung
from storage.records.study import Study
from storage.store import StudyStore


def extend(store: StudyStore, home: Home, name: str, more: int) -> Study:
    """The study with so many candidates more than it was to have, or than its search has ended with.

    FixInputError for one that was given minutes; StoreLockedError while somebody runs it.
    """
    study = store.study(name)
    release_dead(store, home, study)
    config = StudyConfig.from_json(study.config_json)
    limit = config.search.candidates
    if limit is None:
        raise FixInputError(
            f"study {name} was given {config.search.minutes:g} minutes in place of a number of candidates: run a new "
            "study with [search] candidates"
        )
    ended = has_ended(store.events(name), bool(store.results(name, Rung.CONFIRMED)))
    if ended:
        limit = sum(1 for trial in store.trials(name) if trial.is_searched)
    if limit + more > MAX_CANDIDATES:
        raise FixInputError(f"study {name} would have {limit + more} candidates; {MAX_CANDIDATES} are the most")
    search = config.search.model_copy(update={"candidates": limit + more})
    text = f"{limit + more} candidates in place of {limit}"
    data = json.dumps({"candidates": limit, "ended": ended})
    return store.extend_study(
        name, study.config_json, config.model_copy(update={"search": search}).to_json(), text, data
    )
