"""What a user should know of the channels before a search, and of the search after it."""

from __future__ import annotations

import hashlib
import json

from objectives.workload.factory import load_callable
from objectives.workload.sources import source_files
from searcher.progress import Progress
from storage.located import captured_code
from storage.records.config import StudyConfig
from storage.records.lease import place_of, shown_owner
from storage.records.space import CHANNEL, SearchSpace
from storage.records.study import SEARCH_NOTE, TRUSTED, WORKER_LOST
from storage.store import StudyStore

CHANNEL_SETTINGS = ("round_to", "min_channels", "criterion", "reconstruct")


def keep_note(store: StudyStore, name: str, text: str, progress: Progress) -> None:
    """Tells whoever watches, and whoever reads the front of study `name` later: `text`, one line, is stored once."""
    if all((event.kind, event.text) != (SEARCH_NOTE, text) for event in store.events(name)):
        store.add_event(name, SEARCH_NOTE, text)
    progress.event(text)


def keep_lost_worker(store: StudyStore, name: str, text: str, progress: Progress) -> None:
    """Tells whoever watches, and the store, which counts them, of a worker that has died or was stopped."""
    store.add_event(name, WORKER_LOST, text)
    progress.event(text)


def keep_trusted(store: StudyStore, name: str, config: StudyConfig, owner: str) -> None:
    """Stores which files with code of the user's are run, and by whom; the same again is stored once.

    Nothing of captured code is run for that. FixInputError if it is not what was captured.
    """
    files = {
        str(file): hashlib.sha256(file.read_bytes()).hexdigest()
        for text in config.callables
        for file in captured_code(text) or source_files(load_callable(text))
    }
    data = json.dumps({"callables": config.callables, "files": files, "place": place_of(owner)})
    if config.callables and all((event.kind, event.data) != (TRUSTED, data) for event in store.events(name)):
        store.add_event(name, TRUSTED, f"{', '.join(config.callables)} by {shown_owner(owner)}", data)


def channel_notes(config: StudyConfig, space: SearchSpace) -> tuple[str, ...]:
    """Why no channel will go although the study file speaks of channels."""
    search = config.search
    if CHANNEL not in search.learners:
        fields = type(search).model_fields
        given = [key for key in CHANNEL_SETTINGS if getattr(search, key) != fields[key].default]
        text = f'[search] {" and ".join(given)} mean nothing: learners does not name "{CHANNEL}"'
        return (text,) if given else ()
    groups = [site for site in space.sites if site.learner == CHANNEL]
    if any(len(site.levels) > 1 for site in groups):
        return ()
    if not groups:
        return ("no channels can be removed: `slimfront plan` says what keeps each of them",)
    widest = max(site.levels[0].channels or 0 for site in groups)
    given = [f"{key} = {value}" for key in ("min_channels", "round_to") if (value := getattr(search, key)) is not None]
    why = f"no group has a smaller level under {' and '.join(given)}" if given else "no group has a smaller level"
    return (f"no channels will be removed: {why} (the widest has {widest} channels)",)
