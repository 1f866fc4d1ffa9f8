"""User code: what loads, what is refused, and which line the error names."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from objectives.workload.factory import MODULE_PREFIX, load_callable
from objectives.workload.sources import sources_digest
from storage.errors import FixInputError


def write(path: Path, text: str) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return str(path)


def test_a_callable_of_a_file_or_module() -> None:
    assert load_callable("math:sqrt")(9) == 3
    assert load_callable("collections.abc:Sized").label == "collections.abc:Sized"


def test_files_run_under_private_names(tmp_path: Path) -> None:
    spec = write(tmp_path / "types.py", "def make():\n    return __name__\n") + ":make"
    standard = sys.modules["types"]
    assert load_callable(spec)().startswith(MODULE_PREFIX)
    assert sys.modules["types"] is standard
    assert load_callable(spec).label == "types.py:make"
    assert not (tmp_path / "__pycache__").exists()


def test_neighbours_can_be_imported_also_late_and_the_path_is_restored(tmp_path: Path) -> None:
    write(tmp_path / "early_neighbour.py", "VALUE = 1\n")
    write(tmp_path / "late_neighbour.py", "VALUE = 2\n")
    spec = write(
        tmp_path / "nets.py",
        "import early_neighbour\n\ndef make():\n    import late_neighbour\n"
        "    return early_neighbour.VALUE + late_neighbour.VALUE\n",
    )
    before = list(sys.path)
    assert load_callable(f"{spec}:make")() == 3
    assert sys.path == before


def test_two_folders_with_a_neighbour_of_one_name(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write(tmp_path / name / "common_neighbour.py", f"VALUE = {name!r}\n")
        write(
            tmp_path / name / "nets.py",
            "import common_neighbour\n\ndef make():\n    return common_neighbour.VALUE\n",
        )
    specs = [f"{tmp_path / name / 'nets.py'}:make" for name in ("one", "two")]
    assert [load_callable(spec)() for spec in specs] == ["one", "two"]
    assert [load_callable(spec)() for spec in specs] == ["one", "two"]


def test_an_edited_file_is_read_again_at_once(tmp_path: Path) -> None:
    path = tmp_path / "nets.py"
    spec = write(path, "def make():\n    return 1\n") + ":make"
    first = load_callable(spec)
    assert first.module is load_callable(spec).module  # unchanged: not run twice
    write(path, "def make():\n    return 2\n")
    assert load_callable(spec)() == 2


def test_prints_of_user_code_do_not_reach_stdout(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spec = write(tmp_path / "nets.py", "print('importing')\n\ndef make():\n    print('making')\n") + ":make"
    load_callable(spec)()
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "importing\nmaking\n"


@pytest.mark.parametrize(
    ("source", "name", "expected"),
    [
        ("def other(): pass", "make", "there is no make in"),
        ("def other(): pass", "make", "it has other"),
        ("make = 3", "make", "make is of type int, not a function or class"),
        (
            "x = 1\nraise ValueError('two\\nlines')",
            "make",
            "importing it raised ValueError: two lines (nets.py:2)",
        ),
        ("import sys\nsys.exit(1)", "make", "importing it raised SystemExit: 1 (nets.py:2)"),
        ("def make(:\n", "make", "importing it raised SyntaxError: invalid syntax (nets.py:1)"),
        (
            "import no_such_module_x",
            "make",
            "ModuleNotFoundError: No module named 'no_such_module_x' (nets.py:1)",
        ),
        ("import json\njson.loads('{')", "make", "(nets.py:2)"),
    ],
)
def test_bad_files(tmp_path: Path, source: str, name: str, expected: str) -> None:
    spec = f"{write(tmp_path / 'nets.py', source)}:{name}"
    before = {key for key in sys.modules if key.startswith(MODULE_PREFIX)}
    with pytest.raises(FixInputError) as caught:
        load_callable(spec)
    message = str(caught.value)
    assert message.startswith(spec)
    assert expected in message
    assert "\n" not in message
    if "raised" in message:
        assert {key for key in sys.modules if key.startswith(MODULE_PREFIX)} == before


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("/nowhere/nets.py:make", "cannot read the file: No such file"),
        ("no_such_package_x.nets:make", "there is no module no_such_package_x; install it, or write"),
        ("json.nothing:make", "there is no module json.nothing"),
        ("json:nothing", "there is no nothing in json"),
        ("json", "names no callable"),
        (":make", "names no callable"),
        ("nets.py:", "names no callable"),
    ],
)
def test_bad_specs(spec: str, expected: str) -> None:
    with pytest.raises(FixInputError, match=expected):
        load_callable(spec)


def test_a_package_whose_import_raises_names_its_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "broken_package_x" / "__init__.py", "import no_such_module_y\n")
    write(tmp_path / "broken_package_x" / "nets.py", "")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(FixInputError, match=r"ModuleNotFoundError.*no_such_module_y' \(__init__.py:1\)"):
        load_callable("broken_package_x.nets:make")


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("raise KeyError('depth')", "nets.py:make raised KeyError: 'depth' (nets.py:3)"),
        ("import json; json.loads('{')", "(nets.py:3)"),
        ("helper.fail()", "nets.py:make raised RuntimeError: inside (helper.py:2)"),
        ("raise SystemExit", "nets.py:make raised SystemExit (nets.py:3)"),
    ],
)
def test_a_callable_that_raises_names_the_users_last_line(tmp_path: Path, body: str, expected: str) -> None:
    write(tmp_path / "helper.py", "def fail():\n    raise RuntimeError('inside')\n")
    spec = write(tmp_path / "nets.py", f"import helper\ndef make():\n    {body}\n") + ":make"
    with pytest.raises(FixInputError) as caught:
        load_callable(spec)()
    assert str(caught.value).endswith(expected)


def test_the_digest_follows_the_users_files_and_nothing_else(tmp_path: Path) -> None:
    def digest(folder: str, name: str, helper: str, nets: str = "") -> bytes:
        write(tmp_path / folder / f"ops_{folder}.py", helper)
        write(tmp_path / folder / "unused.py", name)
        source = f"import json\nfrom ops_{{}} import relu\n{nets}\ndef make():\n    return relu\nother = make\n"
        path = write(tmp_path / folder / "nets.py", source.format("x"))
        (tmp_path / folder / f"ops_{folder}.py").rename(tmp_path / folder / "ops_x.py")
        return sources_digest(load_callable(f"{path}:{name}"))

    first = digest("a", "make", "def relu(): return 1\n")
    assert digest("b", "make", "def relu(): return 1\n") == first
    assert digest("c", "make", "def relu(): return 2\n") != first
    assert digest("d", "make", "def relu(): return 1\n", nets="# edited") != first
    assert digest("e", "other", "def relu(): return 1\n") != first


def test_the_digest_of_an_installed_package_covers_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "digest_package_x" / "__init__.py", "")
    write(tmp_path / "digest_package_x" / "ops.py", "def relu(): return 1\n")
    write(
        tmp_path / "digest_package_x" / "nets.py",
        "from digest_package_x.ops import relu\ndef make(): return relu\n",
    )
    monkeypatch.syspath_prepend(tmp_path)
    function = load_callable("digest_package_x.nets:make")
    before = sources_digest(function)
    write(tmp_path / "digest_package_x" / "ops.py", "def relu(): return 2\n")
    assert sources_digest(function) != before
    assert sources_digest(load_callable("math:sqrt")) != before
