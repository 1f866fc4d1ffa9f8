"""What every store decides in the same way about looks at test splits."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from storage.errors import UsedSplitError
from storage.notes import Note, looked_note
from storage.records.look import Look
from storage.records.study import Study


def looked(
    study: Study, before: Sequence[Look], split: str, images: int, again: bool, now: float
) -> tuple[Look, tuple[Note, ...]]:
    """The look of `StudyStore.look` and the events of it; none if it is stored already. `before` are those at the same
    split, oldest first."""
    own = [item for item in before if (item.study, item.created_at) == (study.name, study.created_at)]
    if own and not again:
        return own[-1], ()
    if before and not again:
        raise used_split_error(study.name, before)
    made = Look(split, study.name, study.created_at, now, int(images), bool(before))
    return made, (looked_note(made),)


def used_split_error(name: str, before: Sequence[Look]) -> UsedSplitError:
    """The error for a study that would look where others have; `before`, oldest first, is not empty."""
    first, count = before[0], len(before)
    often = "once" if count == 1 else f"{count} times"
    return UsedSplitError(
        f"the test split that study {name} would look at was used {often} already, first by study {first.study} on "
        f"{datetime.fromtimestamp(first.time, UTC):%Y-%m-%d} (UTC): `slimfront certify {name} --again` looks once "
        "more, which is recorded and shown with the certificate"
    )
