from __future__ import annotations

from pathlib import Path

import pytest

from storage.errors import FixInputError
from storage.home import Home, shown
from storage.open import open_store
from tests.storage.ordinary import open_folder, ordinary_user


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("SLIMFRONT_HOME", raising=False)
    monkeypatch.delenv("SLIMFRONT_STORE", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


def test_the_default_is_in_the_home_folder_and_nothing_is_made_yet(tmp_path: Path) -> None:
    home = Home.from_environment()
    assert home.root == tmp_path / ".slimfront"
    assert home.database_url == f"sqlite:///{tmp_path}/.slimfront/slimfront.db"
    assert (home.cache, home.artifacts, home.locks) == (
        home.root / "cache",
        home.root / "artifacts",
        home.root / "locks",
    )
    assert not home.root.exists()


def test_the_variable_names_another_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SLIMFRONT_HOME", "~/else where")
    assert Home.from_environment().root == tmp_path / "else where"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SLIMFRONT_HOME", "relative")
    assert Home.from_environment().root == tmp_path / "relative"
    monkeypatch.setenv("SLIMFRONT_HOME", "")
    assert Home.from_environment().root == tmp_path / ".slimfront"


def test_the_option_wins_over_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLIMFRONT_STORE", "sqlite:///team.db")
    assert Home.from_environment().database_url == "sqlite:///team.db"
    assert Home.from_environment("memory://").database_url == "memory://"
    monkeypatch.setenv("SLIMFRONT_STORE", "")
    assert Home.from_environment().database_url.endswith("/.slimfront/slimfront.db")


@pytest.mark.parametrize("name", ["50% done?", "a b#c", "ümläut", "%41"])
def test_any_folder_name_survives_the_url(tmp_path: Path, name: str) -> None:
    home = Home(tmp_path / name)
    store = open_store(home.database_url)
    store.create_study("s", "{}")
    store.close()
    assert (tmp_path / name / "slimfront.db").is_file()


def test_prepare_makes_the_folders(tmp_path: Path) -> None:
    home = Home(tmp_path / "deep" / "home")
    home.prepare()
    home.prepare()
    assert all(folder.is_dir() for folder in (home.root, home.cache, home.artifacts, home.locks))


def test_a_home_that_is_a_file_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("SLIMFRONT_HOME", str(tmp_path / "file"))
    with pytest.raises(FixInputError, match="is a file, not a folder: set SLIMFRONT_HOME"):
        Home.from_environment()
    with pytest.raises(FixInputError, match="choose another path"):
        Home(tmp_path / "file" / "below").prepare()


def test_an_unknown_user_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLIMFRONT_HOME", "~nobody-of-this-name/x")
    with pytest.raises(FixInputError, match="names no folder"):
        Home.from_environment()


def test_a_home_that_may_not_be_written_is_named() -> None:
    with open_folder() as folder:
        Home(folder).prepare()
        (folder / "cache").chmod(0o555)
        with ordinary_user(), pytest.raises(FixInputError, match="cache may not be written: change its"):
            Home(folder).prepare()
        folder.chmod(0o555)
        with ordinary_user(), pytest.raises(FixInputError, match="may not be written"):
            Home(folder / "below").prepare()


def test_the_password_of_a_server_changes_no_folder_and_is_not_shown(tmp_path: Path) -> None:
    urls = [
        "postgresql://ann:first@db.example/team",
        "postgresql://ben:second@db.example:5432/team?sslmode=require",
        "postgresql://ben@/team?host=db.example",
    ]
    assert len({Home(tmp_path, url).artifacts for url in urls}) == 1
    for other in ("postgresql://ann:first@db.example/other", "postgresql://ann:first@db2.example/team"):
        assert Home(tmp_path, other).artifacts != Home(tmp_path, urls[0]).artifacts
    ports = [f"postgresql:///team?host=db.example{port}" for port in ("", "&port=5433")]
    assert len({Home(tmp_path, url).artifacts for url in (*ports, "postgresql://db.example:5433/team")}) == 2
    assert shown(urls[0]) == "postgresql://ann:***@db.example/team"
    assert shown(urls[2]) == urls[2]


@pytest.mark.parametrize("password", ["secret", "se#cret", "se/cret", "se?cret", "se@cret", "se[cret", "se:cret", ""])
def test_no_password_is_shown_whatever_is_in_it(password: str, tmp_path: Path) -> None:
    url = f"postgresql://ann:{password}@db.example/team"
    assert shown(url) == "postgresql://ann:***@db.example/team"
    assert Home(tmp_path, url).artifacts == Home(tmp_path, "postgresql://db.example/team").artifacts
    assert shown("postgresql://h/d?password=secret&sslpassword=other&x=1") == (
        "postgresql://h/d?password=***&sslpassword=***&x=1"
    )


def test_one_database_has_one_scope_however_its_url_is_spelled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = tmp_path / "team data"
    other.mkdir()
    (tmp_path / "link").symlink_to(other)
    monkeypatch.chdir(other)
    home = tmp_path / "home"
    urls = [
        f"sqlite:///{tmp_path}/team%20data/s.db",
        f"sqlite:///{tmp_path}/team data/s.db",
        f"sqlite:///{tmp_path}/link/s.db",
        "sqlite:///s.db",
        "sqlite:///./s.db",
    ]
    assert len({Home(home, url).artifacts for url in urls}) == 1
    assert len({Home(home, url).locks for url in urls}) == 1
    monkeypatch.chdir(tmp_path)
    assert Home(home, "sqlite:///s.db").artifacts != Home(home, urls[0]).artifacts
    own = Home(home, f"sqlite:///{home}/slimfront.db")
    assert (own.artifacts, own.locks) == (Home(home).artifacts, Home(home).locks)
