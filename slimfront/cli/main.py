"""The entry point, and the one guard around everything: whatever happens, one line and an exit code."""

from __future__ import annotations

import errno
import logging
import os
import sys
from collections.abc import Sequence
from contextlib import suppress

from slimfront.cli.codes import DONE, FAILED, INTERRUPTED, NOT_FOUND, USAGE
from slimfront.cli.signals import Signals, StudyInterruptedError

DEBUG_VARIABLE = "SLIMFRONT_DEBUG"
FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
PROGRAM = "slimfront"


def main() -> None:
    """Run the command that `sys.argv` names and exit with its code."""
    signals = Signals()
    signals.install()
    if not os.environ.get(DEBUG_VARIABLE):
        # What libraries log goes nowhere: an interrupt in the middle of one would print a traceback.
        logging.getLogger().addHandler(logging.NullHandler())
    code = run(sys.argv[1:], signals)
    signals.ignore()
    code = _flushed(code)
    if code == INTERRUPTED:
        # Python remembers a KeyboardInterrupt that went through an exec of a string, as imports do, and would end by
        # killing itself with SIGINT. Everything of ours is closed by now.
        os._exit(code)
    sys.exit(code)


def run(arguments: Sequence[str], signals: Signals) -> int:
    """Run a command and return its exit code (see `codes`). Errors become one line on stderr."""
    try:
        return _invoke(arguments, signals)
    except (KeyboardInterrupt, StudyInterruptedError) as stop:
        return _interrupted(stop)
    except BrokenPipeError:  # whoever read the output has seen enough
        _drop_output()
        return DONE
    except Exception as error:  # the outer guard
        if signals.received:  # an interrupted import may raise anything
            return _interrupted(error)
        if os.environ.get(DEBUG_VARIABLE):
            raise
        text, code = _describe(error)
        _say(f"error: {text}")
        return code


def _invoke(arguments: Sequence[str], signals: Signals) -> int:
    from slimfront.cli.app import app

    try:
        code = app(args=list(arguments), prog_name=PROGRAM, standalone_mode=False, obj=signals)
    except SystemExit as stop:
        code = stop.code
    if code == INTERRUPTED:
        raise KeyboardInterrupt
    return code if isinstance(code, int) else DONE


def _describe(error: Exception) -> tuple[str, int]:
    """One line and the exit code."""
    import typer

    from storage.errors import FixInputError, NotFoundError, SlimfrontError

    if isinstance(error, SlimfrontError):
        codes = {FixInputError: USAGE, NotFoundError: NOT_FOUND}
        return _line(error), next((code for kind, code in codes.items() if isinstance(error, kind)), FAILED)
    if isinstance(error, typer.Abort):
        return "aborted", FAILED
    # The command-line library's own errors: it has moved their classes from one package to another.
    format_message = getattr(error, "format_message", None)
    if callable(format_message):
        context = getattr(error, "ctx", None)
        command = context.command_path if context is not None else PROGRAM
        return f"{_line(format_message())} (`{command} --help` shows how to use it)", USAGE
    if isinstance(error, OSError) and error.errno in FULL:
        place = f" to write {error.filename}" if error.filename else ""
        return f"no space is left{place}: free some, then try again", FAILED
    if isinstance(error, MemoryError):
        return "out of memory: close other programs, or lower [data] quick and calibration", FAILED
    kind = type(error).__name__
    return f"internal error: {kind}: {_line(error)}; run with {DEBUG_VARIABLE}=1 for the traceback", FAILED


def _interrupted(error: BaseException) -> int:
    _say(str(error) if isinstance(error, StudyInterruptedError) else "interrupted")
    return INTERRUPTED


def _line(text: object) -> str:
    return " ".join(str(text).splitlines())


def _say(line: str) -> None:
    with suppress(OSError):  # where nobody listens any more, the exit code says it too
        print(line, file=sys.stderr, flush=True)


def _flushed(code: int) -> int:
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        _drop_output()
        return code
    except OSError as error:
        _drop_output()
        _say(f"error: the output could not be written ({error.strerror}): free some space, then try again")
        return FAILED
    return code


def _drop_output() -> None:
    """Python flushes stdout once more when it ends, and would complain."""
    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, 1)


if __name__ == "__main__":
    main()
