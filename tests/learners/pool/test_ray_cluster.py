"""Ray as we start it: seen and heard by nobody else, and gone with us."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Iterator, Set
from pathlib import Path

import pytest

from learners.pool import ray_cluster
from learners.pool.ray_folder import LOCK
from learners.pool.ray_pool import RayPool
from tests.learners.pool.tasks import LITTER, Job, Squares
from tests.slimfront.material import ROOT

GONE_SECONDS = 20.0
SCRIPT = """
    import os, resource, signal, sys, time
    from pathlib import Path
    from learners.pool.ray_pool import RayPool
    from tests.learners.pool.tasks import Job, Squares

    if len(sys.argv) > 2:
        resource.setrlimit(resource.RLIMIT_NOFILE, 2 * (int(sys.argv[2]),))
    before = {"SIGTERM": signal.getsignal(signal.SIGTERM), "hook": sys.excepthook}
    with RayPool(1) as pool:
        results = [item.result for item in pool.run(Squares(Path(sys.argv[1])), [Job(3)], print)]
        assert before == {"SIGTERM": signal.getsignal(signal.SIGTERM), "hook": sys.excepthook}
        print(*results, flush=True)
        sys.stdin.readline()
    assert "RAY_AUTH_TOKEN" not in os.environ
    print("closed", flush=True)
"""

OWN_RAY = """
    import sys
    from pathlib import Path
    import ray
    from learners.pool.ray_pool import RayPool
    from storage.errors import GiveUpError
    from tests.learners.pool.tasks import Job, Squares

    ray.init(num_cpus=1, include_dashboard=False, object_store_memory=2**27, log_to_driver=False)
    kept = ray.put("kept")
    with RayPool(1) as pool:
        for _ in range(2):
            try:
                list(pool.run(Squares(Path(sys.argv[1])), [Job(3)], print))
            except GiveUpError as error:
                print(error, flush=True)
    print(ray.is_initialized(), ray.get(kept), flush=True)
    ray.shutdown()
"""


DEATH = """
    import sys
    from pathlib import Path
    from learners.pool.ray_pool import RayPool
    from tests.learners.pool.tasks import Job, Squares, Trouble

    with RayPool(2) as pool:
        jobs = [Job(3, Trouble.DIE_ONCE), Job(4)]
        print(*sorted(item.result for item in pool.run(Squares(Path(sys.argv[1])), jobs, print)), flush=True)
"""

THREADS = """
    import sys, threading
    from pathlib import Path
    from learners.pool.ray_pool import RayPool
    from storage.errors import GiveUpError
    from tests.learners.pool.tasks import Job, Squares

    def elsewhere():
        try:
            list(RayPool(1).run(Squares(Path(sys.argv[1])), [Job(3)], print))
        except GiveUpError as error:
            print(error, flush=True)

    with RayPool(1) as pool:
        run = pool.run(Squares(Path(sys.argv[1])), [Job(3), Job(4)], print)
        next(run)
        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()
        print(next(run).result, flush=True)
"""

INTERRUPTED = """
    import os, sys
    from pathlib import Path
    from learners.pool.ray_cluster import ENVIRONMENT
    os.environ.update(ENVIRONMENT)  # it is imported as the pool does it
    import ray
    from ray._private.node import Node
    for name in ENVIRONMENT:
        del os.environ[name]
    from learners.pool.ray_pool import RayPool
    from tests.learners.pool.tasks import Job, Squares

    def interrupt(*_, **__):
        raise KeyboardInterrupt

    def init_and_interrupt(*arguments, **options):
        init(*arguments, **options)
        interrupt()

    before = dict(os.environ)
    init = ray.init
    with RayPool(1) as pool:
        for owner, name, replacement, step in (
            (Node, "start_ray_processes", interrupt, "a daemon runs"),
            (ray, "init", init_and_interrupt, "all run"),
        ):
            original = getattr(owner, name)
            setattr(owner, name, replacement)
            try:
                list(pool.run(Squares(Path(sys.argv[1])), [Job(3)], print))
            except KeyboardInterrupt:
                print("interrupted when", step, flush=True)
            setattr(owner, name, original)
            changed = [key for key in [*ENVIRONMENT, "RAY_AUTH_TOKEN"] if before.get(key) != os.environ.get(key)]
            assert not changed, changed
            sys.stdin.readline()
        print(*(item.result for item in pool.run(Squares(Path(sys.argv[1])), [Job(3)], print)), flush=True)
"""

TWICE = """
    import os, sys
    from pathlib import Path
    from learners.pool.ray_cluster import ENVIRONMENT
    os.environ.update(ENVIRONMENT)
    from ray._private.node import Node
    from learners.pool.ray_pool import RayPool
    from tests.learners.pool.tasks import Job, Squares

    start = Node.start_ray_processes

    def fail_once(self):
        start(self)
        Node.start_ray_processes = start
        raise Exception("the current node timed out during startup")

    Node.start_ray_processes = fail_once
    with RayPool(1) as pool:
        print(*(item.result for item in pool.run(Squares(Path(sys.argv[1])), [Job(3)], print)), flush=True)
"""

IMPORTED_BEFORE = f"""
    import ray
{SCRIPT}
"""


def begin(folder: Path, *arguments: str, script: str = SCRIPT) -> subprocess.Popen[str]:
    """A process that runs `script`: it has used a pool of one worker and waits, if nothing else is said.

    Its user has other wishes for Ray, which is theirs to have for a Ray of their own.
    """
    wishes = {"RAY_LOG_TO_STDERR": "1", "RAY_USAGE_STATS_ENABLED": "1", "RAY_DEDUP_LOGS": "0"}
    environment = {**os.environ, "HOME": str(folder), "TMPDIR": str(folder), "PYTHONPATH": str(ROOT), **wishes}
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script), str(folder), *arguments],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,  # a group of its own, which can be killed as a whole
    )


def ours(folder: Path) -> dict[int, str]:
    """Processes whose environment names `folder`, by number."""
    found = {}
    for path in Path("/proc").glob("[0-9]*"):
        try:
            environment, command = (path / "environ").read_bytes(), (path / "cmdline").read_bytes()
        except OSError:
            continue
        if f"TMPDIR={folder}\0".encode() in environment and command:
            found[int(path.name)] = command.replace(b"\0", b" ").decode(errors="replace")
    return found


def wait_until_gone(folder: Path, stay: Set[int] = frozenset()) -> dict[int, str]:
    """The processes that are still there after a while, without those that are to stay."""
    deadline = time.monotonic() + GONE_SECONDS
    while (left := {number: text for number, text in ours(folder).items() if number not in stay}) and (
        time.monotonic() < deadline
    ):
        time.sleep(0.2)
    return left


def listening(numbers: set[int]) -> set[str]:
    """Addresses, as in /proc/net, on which processes listen for connections."""
    sockets = set()
    for number in numbers:
        for link in Path(f"/proc/{number}/fd").glob("*"):
            try:
                sockets.add(os.readlink(link))
            except OSError:
                continue
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            parts = line.split()
            if parts[3] == "0A" and f"socket:[{parts[9]}]" in sockets:
                found.add(parts[1].split(":")[0])
    return found


LOOPBACK = {"0100007F", "00000000000000000000000001000000", "0000000000000000FFFF00000100007F"}


@pytest.fixture
def folder() -> Iterator[Path]:
    """A short path: sockets of Ray lie below it."""
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


def test_it_listens_on_loopback_alone_says_nothing_and_leaves_nothing(folder: Path) -> None:
    with begin(folder) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "9\n"
        running = ours(folder)
        assert len(running) > 2  # the daemons, too
        addresses = listening(set(running))
        assert addresses
        assert addresses <= LOOPBACK
        daemons = [number for number, command in running.items() if "gcs_server" in command or "raylet" in command]
        assert len(daemons) >= 2
        for number in daemons:
            environment = Path(f"/proc/{number}/environ").read_bytes()
            for setting in (b"RAY_AUTH_MODE=token", b"RAY_USAGE_STATS_ENABLED=0", b"RAY_LOG_TO_STDERR=0"):
                assert setting in environment
        # Ray keeps a process of that name for its own bookkeeping; without a dashboard it serves nobody.
        dashboards = [number for number, command in running.items() if "dashboard/dashboard.py" in command]
        assert listening({number for number in dashboards if "raylet" not in running[number].split()[0]}) == set()
        out, _ = process.communicate("\n", timeout=60)
    assert process.returncode == 0
    assert out == "closed\n"
    assert wait_until_gone(folder) == {}
    assert [path for path in folder.iterdir() if path.name.startswith((".ray", "slimfront-"))] == []


@pytest.mark.parametrize("whole_group", [False, True])
def test_it_is_gone_when_we_are_killed(whole_group: bool, folder: Path) -> None:
    with begin(folder) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "9\n"
        if whole_group:
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
    assert process.returncode == -signal.SIGKILL
    assert wait_until_gone(folder) == {}
    assert list(folder.glob("slimfront-*")) == []


def test_files_of_a_process_that_is_gone_are_removed_by_the_next(folder: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as gone:
        pass
    left, mine = folder / "slimfront-ray-12345678", folder / f"slimfront-{gone.pid}-front"
    for made in (left, mine):
        made.mkdir()
    (left / LOCK).touch()
    with begin(folder) as process:
        out, _ = process.communicate("\n", timeout=60)
    assert out == "9\nclosed\n"
    assert [path.name for path in folder.glob("slimfront-*")] == [mine.name]


@pytest.mark.slow
def test_ctrl_c_while_it_starts_leaves_nothing_and_it_can_start_again(folder: Path) -> None:
    with begin(folder, script=INTERRUPTED) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for step in ("a daemon runs", "all run"):
            assert process.stdout.readline() == f"interrupted when {step}\n"
            assert wait_until_gone(folder, {process.pid}) == {}
            assert list(folder.glob("slimfront-*")) == []
            process.stdin.write("\n")
            process.stdin.flush()
        out, _ = process.communicate(timeout=60)
    assert out == "9\n"
    assert process.returncode == 0
    assert wait_until_gone(folder) == {}


@pytest.mark.parametrize("step", ["remove_left", "SessionFolder", "_start_reaper"])
def test_ctrl_c_before_ray_is_there_leaves_nothing(
    step: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    monkeypatch.setattr(ray_cluster, step, interrupt)
    before = dict(os.environ)
    with RayPool(1) as pool:
        for _ in range(2):
            with pytest.raises(KeyboardInterrupt):
                list(pool.run(Squares(tmp_path), [Job(3)], print))
    assert dict(os.environ) == before
    assert list(folder.iterdir()) == []


def test_ray_that_cannot_start_says_why_and_offers_inline(folder: Path) -> None:
    files_open = "24"  # at most
    with begin(folder, files_open) as process:
        out, _ = process.communicate("\n", timeout=120)
    assert process.returncode != 0
    last = out.strip().splitlines()[-1]
    assert "NoWorkersError: Ray cannot start (" in last
    assert "--inline" in last
    assert wait_until_gone(folder) == {}
    assert list(folder.glob("slimfront-*")) == []


def test_ray_is_started_again_if_it_does_not_start_at_once(folder: Path) -> None:
    with begin(folder, script=TWICE) as process:
        out, _ = process.communicate(timeout=120)
    assert (process.returncode, out) == (0, "9\n")
    assert wait_until_gone(folder) == {}
    assert list(folder.glob("slimfront-*")) == []


def test_a_worker_that_dies_leaves_our_line_alone_on_the_terminal(folder: Path) -> None:
    with begin(folder, script=DEATH) as process:
        out, _ = process.communicate(timeout=120)
    assert process.returncode == 0, out
    assert out == "a worker has died: 1 evaluation is run again on another one\n9 16\n"
    assert list(folder.rglob(f"{LITTER}*")) == []


def test_a_pool_in_another_thread_is_told_that_it_cannot_start_there(folder: Path) -> None:
    with begin(folder, script=THREADS) as process:
        out, _ = process.communicate(timeout=120)
    assert process.returncode == 0, out
    assert out.startswith("Ray can be started by the main thread alone: run with --inline (workers=1 in Python)")
    assert out.splitlines()[-1] == "16"


def test_ray_that_was_imported_with_other_settings_is_refused(folder: Path) -> None:
    """It would listen on the network's address and know no token."""
    with begin(folder, script=IMPORTED_BEFORE) as process:
        out, _ = process.communicate("\n", timeout=120)
    assert process.returncode != 0
    last = out.strip().splitlines()[-1]
    assert "GiveUpError: this process has imported ray" in last
    assert "import it afterwards, or run with --inline (workers=1 in Python)" in last
    assert wait_until_gone(folder) == {}


def test_ray_that_the_process_uses_itself_is_left_alone(folder: Path) -> None:
    with begin(folder, script=OWN_RAY) as process:
        out, _ = process.communicate(timeout=120)
    assert process.returncode == 0, out
    refused = "this process uses Ray already: run with --inline (workers=1 in Python)"
    *lines, last = [line for line in out.splitlines() if line.startswith((refused, "True", "False"))]
    assert len(lines) == 2
    assert all(line.startswith(refused) for line in lines)
    assert last == "True kept"
    assert wait_until_gone(folder) == {}
    assert list(folder.glob("slimfront-*")) == []
