"""What the tests of trainings share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from learners.device import single_thread


@pytest.fixture(autouse=True)
def _on_one_thread() -> Iterator[None]:
    """As trainings are; on several, networks as small as these take longer."""
    with single_thread():
        yield
