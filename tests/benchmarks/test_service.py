"""The service's benchmarks in small: what they claim must hold at any size."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.service.claims import race
from benchmarks.service.report import write_service_report
from tests.storage.postgres import Server


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_processes_claim_each_study_once(database: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/claims.db"
    if database == "postgresql":
        server: Server = request.getfixturevalue("postgres")
        url = server.prepared()
    found = race(url, processes=4, studies=80)
    assert (found.database, found.claimed, found.twice, found.lost) == (database, 80, 0, 0)
    # Several did it together; not all have to, as SQLite lets whoever has just written go on before those who wait.
    assert found.most < 80


def test_a_report_is_of_the_parts_that_there_are(tmp_path: Path) -> None:
    write_service_report({}, tmp_path / "service.md")
    assert (tmp_path / "service.md").read_text().startswith("# The service")
