"""`doctor`: what works is said to work, what is broken to be broken."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from learners.quant.grid import LARGEST_INT8
from objectives import hardware
from slimfront import checks
from slimfront.checks import examine
from storage.sql.engine import SqliteDatabase
from storage.sql.tables import HEAD, VERSION_TABLE
from tests.slimfront.finished import Finished
from tests.slimfront.material import ROOT, invoke
from tests.storage.ordinary import open_folder, ordinary_user


def failed(store: str | None = None) -> dict[str, str]:
    return {check.name: check.detail for check in examine(store).checks if not check.ok}


def test_all_is_well(at_home: Finished) -> None:
    ran = invoke("doctor", "--json")
    document = json.loads(ran.out)
    assert (ran.code, document["ok"]) == (0, True)
    assert set(document) == {"ok", "checks", "versions"}
    details = {check["name"]: check["detail"] for check in document["checks"]}
    runtimes = [check["detail"] for check in document["checks"] if check["name"] == "runtime"]
    assert set(details) == {
        *("packages", "one place", "home", "disk", "database", "clock", "ray"),
        *("runtime", "int8", "bfloat16", "cuda"),
    }
    assert str(ROOT) in details["one place"]
    assert f"revision {HEAD}, with 1 studies" in details["database"]
    assert any("onnxruntime" in detail for detail in runtimes)
    assert None not in document["versions"].values()
    assert "starts in" in details["ray"]
    text = invoke("doctor")
    assert text.code == 0
    assert all(detail in text.out for name, detail in details.items() if name != "ray")


@pytest.mark.parametrize(("apart", "says"), [(60.0, "60 s behind"), (-7.2, "7 s ahead of")])
def test_clocks_that_differ_are_told(
    at_home: Finished, monkeypatch: pytest.MonkeyPatch, apart: float, says: str
) -> None:
    monkeypatch.setattr(SqliteDatabase, "now", lambda *_: time.time() + apart)
    assert says in failed()["clock"]
    assert "time server" in failed()["clock"]


def test_a_ray_that_does_not_start_is_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "START_RAY", "import sys; sys.exit('Ray cannot start (odd)')")
    assert checks._ray() == checks.Check("ray", False, "Ray cannot start (odd)")
    monkeypatch.setattr(checks, "START_RAY", "import time; time.sleep(60)")
    monkeypatch.setattr(checks, "MOST_RAY_SECONDS", 0.2)
    assert "--inline" in checks._ray().detail


def test_a_runtime_that_is_not_installed_is_told_and_is_no_fault(
    at_home: Finished, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    ran = invoke("doctor", "--json")
    details = [check["detail"] for check in json.loads(ran.out)["checks"] if check["name"] == "runtime"]
    assert ran.code == 0
    assert any("pip install 'slimfront[openvino]'" in detail for detail in details)


def test_looking_makes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLIMFRONT_HOME", str(tmp_path / "deep" / "home"))
    assert examine(None).ok
    assert list(tmp_path.iterdir()) == []


def test_a_newer_database_is_broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLIMFRONT_HOME", str(tmp_path))
    assert invoke("list").code == 0
    connection = sqlite3.connect(tmp_path / "slimfront.db")
    with connection:
        connection.execute(f"UPDATE {VERSION_TABLE} SET version_num = '9999'")
    connection.close()
    assert "9999" in failed()["database"]
    ran = invoke("doctor")
    assert ran.code == 1
    assert "BROKEN" in ran.out


def test_a_home_that_cannot_be_written_is_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    with open_folder() as folder:
        (folder / "home").mkdir(mode=0o555)
        monkeypatch.setenv("SLIMFRONT_HOME", str(folder / "home"))
        with ordinary_user():
            assert "SLIMFRONT_HOME" in failed()["home"]


def test_a_home_that_is_a_file_is_broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("SLIMFRONT_HOME", str(tmp_path / "file"))
    assert "is a file" in failed()["home"]


def test_a_package_that_is_missing_is_broken(at_home: Finished, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "OTHERS", ("numpy", "surely-not-installed"))
    assert "surely-not-installed" in failed()["packages"]


def test_a_disk_that_is_nearly_full_is_broken(at_home: Finished, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "LEAST_FREE_BYTES", 2**62)
    assert "free some" in failed()["disk"]


def test_a_package_of_another_distribution_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "dashboards").mkdir()
    (tmp_path / "dashboards" / "__init__.py").touch()
    code = (
        f"import sys; sys.path[:0] = [{str(tmp_path)!r}, {str(ROOT)!r}]\n"
        "from slimfront.checks import _one_place; print(_one_place())"
    )
    ran = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "ok=False" in ran.stdout
    assert f"dashboards in {tmp_path}" in ran.stdout


def test_a_processor_without_vnni_is_told_what_its_kernels_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLIMFRONT_HOME", str(tmp_path))
    (tmp_path / "cpuinfo").write_text("processor : 0\nmodel name : old\nflags : avx avx2 fma\n")
    monkeypatch.setattr(hardware, "CPUINFO", tmp_path / "cpuinfo")
    details = {check.name: check for check in examine(None).checks}
    assert details["int8"].ok
    assert "compute the same, but gain less" in details["int8"].detail
    assert "+-64" in details["int8"].detail
    assert LARGEST_INT8 == 64
