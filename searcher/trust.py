"""Code that was submitted runs where somebody says so, and nowhere else."""

from __future__ import annotations

from storage.errors import FixInputError
from storage.records.config import StudyConfig
from storage.records.study import Study


def check_trusted(study: Study, trusts_code: bool) -> None:
    """FixInputError for a study that was submitted with code of its user's, unless that is trusted. What the row says
    of it is not relied on: the configuration is."""
    callables = StudyConfig.from_json(study.config_json).callables
    names = ", ".join(text.rpartition("/")[2] for text in callables)
    if study.queued_at is not None and callables and not trusts_code:
        raise FixInputError(
            f"study {study.name} was submitted with code of its user's ({names}): add --trust-code "
            "(trust_code=True in Python) to run it here"
        )
