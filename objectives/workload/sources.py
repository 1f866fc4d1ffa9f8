"""Which of the user's files a factory is made of: a library must not survive an edit of any of them."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from types import ModuleType

from objectives.workload.factory import FOLDER_MARK, UserCallable


def sources_digest(factory: UserCallable) -> bytes:
    """SHA-256 over the contents of the user's files that `factory` reaches, and the name it goes by.

    They are the factory's own file and, over the global names of each, those of the same folder (or package)
    that it imports. Paths do not enter: the same files elsewhere give the same digest.
    """
    digest = hashlib.sha256(factory.spec.rpartition(":")[2].encode())
    for content in sorted(_contents(factory)):
        digest.update(content)
    return digest.digest()


def source_files(factory: UserCallable) -> list[Path]:
    """The user's files that have been imported for `factory`: those that the digest counts, and what else lies beside
    them and was imported when they ran. Sorted."""
    mine = str(factory.root)
    found = {str(module.__file__) for module in _modules(factory)}
    for module in list(sys.modules.values()):
        if getattr(module, FOLDER_MARK, None) == mine and factory.owns(getattr(module, "__file__", None)):
            found.add(str(module.__file__))
    return sorted(map(Path, found))


def _contents(factory: UserCallable) -> list[bytes]:
    files = {str(module.__file__) for module in _modules(factory)}
    return [hashlib.sha256(Path(file).read_bytes()).digest() for file in files]


def _modules(factory: UserCallable) -> list[ModuleType]:
    """The user's modules that `factory` reaches; each has a file."""
    found: list[ModuleType] = []
    stack = [factory.module]
    visited: set[int] = set()
    while stack:
        module = stack.pop()
        file = getattr(module, "__file__", None)
        if id(module) in visited or not isinstance(file, str) or not factory.owns(file):
            continue
        visited.add(id(module))
        found.append(module)
        for value in list(vars(module).values()):
            # `from ops import relu` binds only the function: its module is found by name.
            other = value if isinstance(value, ModuleType) else sys.modules.get(_module_name(value))
            if other is not None:
                stack.append(other)
    return found


def _module_name(value: object) -> str:
    name = getattr(value, "__module__", None)
    return name if isinstance(name, str) else ""
