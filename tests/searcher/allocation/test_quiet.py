"""Only the solver's own lines are taken off stdout."""

from __future__ import annotations

import ctypes
import os

import pytest

from searcher.allocation.quiet import CHATTER, without_chatter


def test_a_solvers_lines_are_dropped_and_all_others_come_out(capfd: pytest.CaptureFixture[str]) -> None:
    print("before")
    with without_chatter():
        os.write(1, CHATTER + b"transformNewIntegerFeasibleSolution\n")
        os.write(1, b"of another thread\n")
    print("after")
    captured = capfd.readouterr()
    assert captured.out.split("\n") == ["before", "of another thread", "after", ""]
    assert captured.err == ""


@pytest.mark.skipif(os.name != "posix", reason="needs the C library of a POSIX system")
def test_what_the_c_library_holds_back_is_seen_too(capfd: pytest.CaptureFixture[str]) -> None:
    with without_chatter():
        ctypes.CDLL(None).puts(CHATTER + b"tmpSolver.run();")
    assert capfd.readouterr().out == ""


def test_stdout_comes_back_after_an_error(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match="broken"), without_chatter():
        raise ValueError("broken")
    os.write(1, b"still here\n")
    assert capfd.readouterr().out == "still here\n"
