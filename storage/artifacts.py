"""Folders of exported files, one for each artifact of a study."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from storage.errors import FixInputError
from storage.files import atomic_folder, describe_os_error


@dataclass(frozen=True)
class ArtifactStore:
    """`root`/STUDY/NAME/ holds the files of one artifact, all of them or none.

    The controller calls `write` when it exports, readers `exists` and then `folder`, and whoever deletes a
    study, or makes one, `delete_study`: a new one never finds the files of an old one of its name.
    """

    root: Path

    def folder(self, study: str, name: str) -> Path:
        """Where the artifact lies, whether it exists or not. FixInputError if a name would leave `root`."""
        return self._inside(study, name)

    def study(self, study: str) -> list[Path]:
        """The folders of all artifacts of a study, in no order. FixInputError if its name would leave `root`."""
        folder = self._inside(study)
        return [path for path in folder.iterdir() if not path.name.startswith(".")] if folder.is_dir() else []

    def exists(self, study: str, name: str) -> bool:
        """Whether the artifact has been written, and so is complete."""
        return self._inside(study, name).is_dir()

    @contextmanager
    def write(self, study: str, name: str) -> Iterator[Path]:
        """Yield a folder to fill that becomes the artifact when the block ends well (see `atomic_folder`)."""
        with atomic_folder(self._inside(study, name)) as folder:
            yield folder

    def delete_study(self, study: str) -> None:
        """Remove every artifact of `study`, if there is one. FixInputError if that is not permitted."""
        folder = self._inside(study)
        try:
            shutil.rmtree(folder)
        except FileNotFoundError:
            return
        except OSError as error:
            raise describe_os_error(error, folder) from error

    def _inside(self, *names: str) -> Path:
        for name in names:
            # A leading dot is reserved for locks and unfinished folders; it covers "." and ".." too.
            if not name or name.startswith(".") or not name.isprintable() or set(name) & set("/\\"):
                raise FixInputError(f"{name!r} cannot name a study's files: use letters, digits, '-', '_' and '.'")
        path = self.root.joinpath(*names)
        if not path.resolve().is_relative_to(self.root.resolve()):
            raise FixInputError(f"{path} leads out of {self.root}: remove the link that does so")
        return path
