"""The user's own code: "file.py:name" and "package.module:name", with errors that point at its lines."""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import importlib.machinery
import importlib.util
import sys
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from storage.errors import FixInputError

MODULE_PREFIX = "_slimfront_user_"  # user files are loaded under private names, so `types.py` shadows nothing
FOLDER_MARK = "__slimfront_folder__"  # set on modules that were imported from beside a user's file
_DIGEST_MARK = "__slimfront_digest__"  # content of the file that a private module was made from
_INSTALLED = frozenset({"site-packages", "dist-packages"})  # an environment below the user's folder is not theirs


@dataclass(frozen=True)
class UserCallable:
    """A callable of the user's. Calling it runs it with its folder importable and its prints on stderr.

    FixInputError, one line with the user's file and line, if it raises (SystemExit included).
    """

    spec: str  # as `load_callable` was given it
    function: Callable[..., Any]
    module: ModuleType
    root: Path | None  # the folder (or single file) that holds the user's code; None for a built-in module

    @property
    def label(self) -> str:
        """Short name for messages: "nets.py:resnet20"."""
        left, _, name = self.spec.rpartition(":")
        return f"{Path(left).name if self.is_file else left}:{name}"

    def __call__(self, *arguments: Any) -> Any:
        with self.running():
            return self.function(*arguments)

    @property
    def is_file(self) -> bool:
        """Whether it came as "file.py:name", not from an installed package."""
        return self.spec.rpartition(":")[0].endswith(".py")

    @contextlib.contextmanager
    def running(self, doing: str = "raised") -> Iterator[None]:
        """Run a block of the user's code; what it raises becomes a FixInputError "<label> <doing> ..."."""
        try:
            with _importable(self.root if self.is_file else None):
                yield
        except FixInputError:
            raise
        except (Exception, SystemExit) as error:
            raise FixInputError(f"{self.label} {doing} {describe(error, self.root)}") from error

    def owns(self, file: str | None) -> bool:
        """Whether `file` belongs to the user's code, as opposed to installed libraries."""
        return _below(file, self.root)


def load_callable(spec: str) -> UserCallable:
    """Import "file.py:name" (a path as `open` takes it) or "package.module:name".

    Files beside the user's file can be imported by it; `sys.path` is left as it was. FixInputError, one line,
    if the file, module or name does not exist, importing raises (user's file and line), or it is no callable.
    """
    left, colon, name = spec.rpartition(":")
    if not colon or not left or not name:
        raise FixInputError(f'{spec}: names no callable; write "file.py:name" or "package.module:name"')
    module, root = _load_file(Path(left), spec) if left.endswith(".py") else _load_module(left, spec)
    if not hasattr(module, name):
        names = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
        raise FixInputError(f"{spec}: there is no {name} in {left}; it has {', '.join(sorted(names)[:8]) or 'none'}")
    function = getattr(module, name)
    if not callable(function):
        raise FixInputError(f"{spec}: {name} is of type {type(function).__name__}, not a function or class")
    return UserCallable(spec=spec, function=function, module=module, root=root)


def describe(error: BaseException, root: Path | None) -> str:
    """`error` in one line, with the last line of the user's code behind it: "ValueError: odd (a.py:9)"."""
    text = str(error.msg if isinstance(error, SyntaxError) else error)
    short = " ".join(text.split())
    place = _place(error, root)
    return f"{type(error).__name__}{': ' + short if short else ''}{f' ({place})' if place else ''}"


def _place(error: BaseException, root: Path | None) -> str | None:
    if isinstance(error, SyntaxError) and error.filename:
        return f"{Path(error.filename).name}:{error.lineno}"
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if _below(frame.filename, root)]
    if not frames:
        return None
    return f"{Path(frames[-1].filename).name}:{frames[-1].lineno}"


def _below(file: str | None, root: Path | None) -> bool:
    if file is None or root is None:
        return False
    path = Path(file).absolute()
    return path.is_relative_to(root) and not _INSTALLED.intersection(path.relative_to(root).parts)


class _FreshLoader(importlib.machinery.SourceFileLoader):
    """Always compiles the source: byte code is trusted by its time in whole seconds, too coarse for edits."""

    def path_stats(self, path: str) -> Any:
        raise OSError(f"no cached byte code for {path}")


def _load_file(path: Path, spec: str) -> tuple[ModuleType, Path]:
    path = path.absolute()
    try:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise FixInputError(f"{spec}: cannot read the file: {error.strerror or error}") from error
    name = MODULE_PREFIX + hashlib.sha256(str(path).encode()).hexdigest()[:16]
    loaded = sys.modules.get(name)
    if loaded is not None and getattr(loaded, _DIGEST_MARK, None) == digest:
        return loaded, path.parent
    loader = _FreshLoader(name, str(path))
    module_spec = importlib.util.spec_from_file_location(name, path, loader=loader)
    if module_spec is None:
        raise FixInputError(f"{spec}: is not a Python file")
    module = importlib.util.module_from_spec(module_spec)
    sys.modules[name] = module  # dataclasses and typing look their module up there
    try:
        with _importable(path.parent):
            loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise FixInputError(f"{spec}: importing it raised {describe(error, path.parent)}") from error
    setattr(module, _DIGEST_MARK, digest)
    return module, path.parent


def _load_module(name: str, spec: str) -> tuple[ModuleType, Path | None]:
    try:
        with _importable(None):
            module = importlib.import_module(name)
    except (Exception, SystemExit) as error:
        if isinstance(error, ModuleNotFoundError) and error.name and (name + ".").startswith(error.name + "."):
            raise FixInputError(
                f'{spec}: there is no module {error.name}; install it, or write "file.py:name"'
            ) from error
        root = next((Path(path) for path in _search_path(name.partition(".")[0])), None)
        raise FixInputError(f"{spec}: importing it raised {describe(error, root)}") from error
    top = sys.modules.get(name.partition(".")[0], module)
    file = getattr(top, "__file__", None) or getattr(module, "__file__", None)
    if file is None:
        return module, None
    return module, Path(file).absolute().parent if hasattr(top, "__path__") else Path(file).absolute()


def _search_path(package: str) -> list[str]:
    found = importlib.util.find_spec(package)
    if found is None:
        return []
    return list(found.submodule_search_locations or ([found.origin] if found.origin else []))


@contextlib.contextmanager
def _importable(folder: Path | None) -> Iterator[None]:
    """User code's surroundings: `folder` first on `sys.path`, prints on stderr, as stdout carries data."""
    with contextlib.redirect_stdout(sys.stderr):
        if folder is None:
            yield
            return
        _forget_namesakes(folder)
        importlib.invalidate_caches()
        before = set(sys.modules)
        entry = str(folder)
        sys.path.insert(0, entry)
        try:
            yield
        finally:
            with contextlib.suppress(ValueError):  # the user's code may have removed it
                sys.path.remove(entry)
            for name in set(sys.modules) - before:
                if _below(getattr(sys.modules[name], "__file__", None), folder):
                    setattr(sys.modules[name], FOLDER_MARK, entry)


def _forget_namesakes(folder: Path) -> None:
    """Drop modules that came from beside another study's file where `folder` has one of that name itself."""
    for name, module in list(sys.modules.items()):
        if getattr(module, FOLDER_MARK, str(folder)) != str(folder) and not name.startswith(MODULE_PREFIX):
            top = name.partition(".")[0]
            if (folder / f"{top}.py").exists() or (folder / top).is_dir():
                del sys.modules[name]
