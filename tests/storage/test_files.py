from __future__ import annotations

import errno
import hashlib
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.errors import DiskFullError, FixInputError, GiveUpError, SlimfrontError, StoreLockedError
from storage.files import (
    atomic_folder,
    atomic_write,
    content_hash,
    describe_os_error,
    file_lock,
    is_writable,
    make_folder,
)
from tests.storage.ordinary import open_folder, ordinary_user

ROOT = Path(__file__).parents[2]


def names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def run_child(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


# --- atomic_write


def test_atomic_write_makes_folders_and_replaces(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "file"
    atomic_write(path, b"one")
    atomic_write(path, b"two")
    assert path.read_bytes() == b"two"
    assert names_in(path.parent) == {"file"}


def test_atomic_write_gives_ordinary_permissions(tmp_path: Path) -> None:
    atomic_write(tmp_path / "file", b"x")
    (tmp_path / "plain").write_bytes(b"x")
    assert (tmp_path / "file").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_atomic_write_takes_the_longest_name(tmp_path: Path) -> None:
    atomic_write(tmp_path / ("n" * 255), b"x")
    with pytest.raises(FixInputError, match="choose another path"):
        atomic_write(tmp_path / ("n" * 256), b"x")
    assert len(names_in(tmp_path)) == 1


def test_atomic_write_over_a_folder_or_below_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_bytes(b"old")
    for path in (tmp_path / "folder", tmp_path / "file" / "below"):
        with pytest.raises(FixInputError, match="choose another path"):
            atomic_write(path, b"new")
    assert names_in(tmp_path) == {"folder", "file"}
    assert (tmp_path / "file").read_bytes() == b"old"


def test_a_folder_that_may_not_be_written_is_named() -> None:
    with open_folder() as folder:
        (folder / "file").write_bytes(b"old")
        folder.chmod(0o555)
        with ordinary_user():
            assert not is_writable(folder)
            with pytest.raises(FixInputError, match=r"may not be written: change its permissions"):
                atomic_write(folder / "file", b"new")
            with pytest.raises(FixInputError, match=r"may not be written"), atomic_folder(folder / "new"):
                pytest.fail("the block must not run")
            with pytest.raises(FixInputError, match=r"may not be written"):
                make_folder(folder / "new")
            with pytest.raises(FixInputError, match=r"may not be written"), file_lock(folder / "lock"):
                pytest.fail("the block must not run")
        assert names_in(folder) == {"file"}
        assert (folder / "file").read_bytes() == b"old"


LIMITED = """
import resource, sys
from pathlib import Path
from storage.errors import DiskFullError
from storage.files import atomic_folder, atomic_write
folder = Path(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
for attempt in ("file", "folder"):
    try:
        if attempt == "file":
            atomic_write(folder / "file", bytes(100_000))
        else:
            with atomic_folder(folder / "folder") as inside:
                (inside / "small").write_bytes(bytes(10))
                (inside / "large").write_bytes(bytes(100_000))
    except DiskFullError as error:
        print(error)
"""


def test_a_full_disk_leaves_the_old_file_and_the_old_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"old")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "small").write_bytes(b"old")
    done = run_child(LIMITED, tmp_path)
    assert done.stderr == ""
    assert done.stdout.count("no space is left") == 2
    assert (tmp_path / "file").read_bytes() == b"old"
    assert names_in(tmp_path / "folder") == {"small"}
    assert names_in(tmp_path) == {"file", "folder", ".folder.lock"}


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.ENOSPC, DiskFullError),
        (errno.EDQUOT, DiskFullError),
        (errno.EFBIG, DiskFullError),
        (errno.EROFS, FixInputError),
        (errno.EACCES, FixInputError),
        (errno.ENOTDIR, FixInputError),
        (errno.EIO, GiveUpError),
    ],
)
def test_os_errors_become_lines_with_a_remedy(number: int, kind: type[SlimfrontError]) -> None:
    error = describe_os_error(OSError(number, os.strerror(number)), Path("/some/where"))
    assert type(error) is kind
    assert "/some/where" in str(error)
    assert ": " in str(error)
    assert "\n" not in str(error)


# --- atomic_folder


def test_atomic_folder_appears_whole(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "made"
    with atomic_folder(path) as inside:
        (inside / "sub").mkdir()
        (inside / "sub" / "file").write_bytes(b"x")
        (inside / "link").symlink_to("nowhere")
        assert inside.parent == path.parent
        assert not path.exists()
    assert (path / "sub" / "file").read_bytes() == b"x"
    assert names_in(path.parent) == {"made", ".made.lock"}
    plain = tmp_path / "plain"
    plain.mkdir()
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE(plain.stat().st_mode)
    tmp_path.chmod(0o1777)
    with atomic_folder(tmp_path / "in an open folder") as folder:
        (folder / "a").write_text("1")
    assert not (tmp_path / "in an open folder").stat().st_mode & stat.S_IWOTH


def test_atomic_folder_replaces_the_whole_folder(tmp_path: Path) -> None:
    for name in ("first", "second"):
        with atomic_folder(tmp_path / "made") as inside:
            (inside / name).write_bytes(b"x")
    assert names_in(tmp_path / "made") == {"second"}
    assert names_in(tmp_path) == {"made", ".made.lock"}


def test_a_failing_block_leaves_the_old_folder(tmp_path: Path) -> None:
    with atomic_folder(tmp_path / "made") as inside:
        (inside / "old").write_bytes(b"x")
    for error in (KeyboardInterrupt(), ValueError("x"), FileNotFoundError(errno.ENOENT, "their own")):
        with pytest.raises(type(error)) as caught:
            fail_inside(tmp_path / "made", error)
        assert caught.value is error
    assert names_in(tmp_path / "made") == {"old"}
    assert names_in(tmp_path) == {"made", ".made.lock"}


def fail_inside(path: Path, error: BaseException) -> None:
    with atomic_folder(path) as inside:
        (inside / "new").write_bytes(b"x")
        raise error


KILLED = """
import os, signal, sys
from pathlib import Path
from storage.files import atomic_folder
with atomic_folder(Path(sys.argv[1])) as inside:
    (inside / "half").write_bytes(b"x")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_writer_leaves_nothing_that_counts_and_the_next_one_cleans_up(tmp_path: Path) -> None:
    path = tmp_path / "a"
    assert run_child(KILLED, path).returncode == -signal.SIGKILL
    assert not path.exists()
    assert len(names_in(tmp_path)) == 2
    # the leftover of a sibling whose name begins alike belongs to somebody else, who may be alive
    other = tmp_path / ".a.b.12345678.part"
    other.mkdir()
    with atomic_folder(path) as inside:
        (inside / "file").write_bytes(b"x")
    assert names_in(tmp_path) == {"a", ".a.lock", other.name}
    assert names_in(path) == {"file"}


# --- file_lock

HOLD = """
import sys, time
from pathlib import Path
from storage.files import file_lock
with file_lock(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_lock_is_exclusive_and_dies_with_its_holder(tmp_path: Path) -> None:
    path = tmp_path / "locks" / "study"
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        message = r"^study x is in use by another process: wait"
        with pytest.raises(StoreLockedError, match=message), file_lock(path, wait=False, holds="study x"):
            pytest.fail("the block must not run")
        started = time.monotonic()
        with pytest.raises(StoreLockedError, match=str(path)), file_lock(path, seconds=0.2):
            pytest.fail("the block must not run")
        assert time.monotonic() - started >= 0.2
        holder.kill()
    with file_lock(path, wait=False):
        pass


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="there is no folder in which nobody may make a file")
def test_a_lock_that_cannot_be_made_is_not_waited_for() -> None:
    with pytest.raises(FixInputError, match="choose another path"), file_lock(Path("/proc/slimfront.lock")):
        pass


def test_a_lock_is_free_again_after_its_block(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), file_lock(tmp_path / "lock"):
        raise ZeroDivisionError
    lock = tmp_path / "lock"
    with file_lock(lock, wait=False), pytest.raises(StoreLockedError), file_lock(lock, wait=False):
        pytest.fail("the block must not run")


# --- content_hash


def test_content_hash_is_stable() -> None:
    # another value would make every stored library look new
    parts = b"s" + hashlib.sha256(b"a").digest() + b"b" + hashlib.sha256(b"b").digest()
    assert content_hash("a", b"b") == hashlib.sha256(parts).hexdigest()


def test_content_hash_reads_files_by_content(tmp_path: Path) -> None:
    large = bytes(range(256)) * 10_000  # more than one piece
    (tmp_path / "one").write_bytes(large)
    (tmp_path / "two").write_bytes(large)
    (tmp_path / "three").write_bytes(large[:-1])
    assert content_hash(tmp_path / "one") == content_hash(tmp_path / "two")
    assert content_hash(tmp_path / "one") != content_hash(tmp_path / "three")
    assert content_hash(tmp_path / "one") != content_hash(large)
    for missing in (tmp_path / "none", tmp_path):
        with pytest.raises(FixInputError, match="cannot be read"):
            content_hash(missing)


PARTS = st.lists(st.text(max_size=3) | st.binary(max_size=3), max_size=4)


@given(one=PARTS, two=PARTS)
def test_content_hash_tells_all_sequences_of_parts_apart(one: list[str | bytes], two: list[str | bytes]) -> None:
    assert (content_hash(*one) == content_hash(*two)) == (one == two)


def test_content_hash_takes_names_that_are_not_utf8() -> None:
    assert content_hash("\udc80") != content_hash("\udc81")
