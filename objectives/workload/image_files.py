"""Image files of a folder or tar archive, by split and class. Nothing is extracted, and nothing decoded."""

from __future__ import annotations

import lzma
import os
import tarfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from storage.errors import FixInputError

SPLITS = ("train", "val", "test")
TEST = "test"
SEARCHED = ("train", "val")  # what a search may read
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png")
ARCHIVE_SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.xz")
MAX_ARCHIVE_BYTES = 4 * 2**30  # an archive's images are held in memory; a larger set is better read from a folder
_MAGIC = slice(257, 262)  # of a tar header (POSIX.1-1988)
SHOWN_NAMES = 8  # of what was found instead

LAYOUT = "it must hold train/ and val/ with one folder a class in each"


@dataclass(frozen=True)
class ImageFile:
    """One encoded image, on disk or in memory."""

    name: str  # for messages: the path, or "archive: member"
    content: Path | bytes

    def read(self) -> bytes:
        """The encoded bytes; FixInputError if the file cannot be read."""
        if isinstance(self.content, bytes):
            return self.content
        try:
            return self.content.read_bytes()
        except OSError as error:
            raise FixInputError(f"{self.name}: cannot be read: {error.strerror or error}") from error


# split -> class -> images in the order of their paths; none of splits that were not asked for.
Listing = Mapping[str, Mapping[str, tuple[ImageFile, ...]]]


def list_images(path: Path, wanted: Sequence[str] = SEARCHED) -> Listing:
    """Every split that is present, classes and images sorted by name. Of splits that are not `wanted` the names of the
    classes are all that is read.

    The splits may lie below one common top folder. FixInputError if `path` is no folder and no readable
    archive, or holds no splits.
    """
    if path.is_dir():
        found = _list_folder(path, wanted)
    elif not path.exists():
        raise FixInputError(f"{path}: there is no such folder or archive; set [data] path")
    elif path.name.lower().endswith(ARCHIVE_SUFFIXES):
        found = _list_archive(path, wanted)
    else:
        raise FixInputError(f"{path}: is neither a folder nor an archive ({', '.join(ARCHIVE_SUFFIXES)})")
    return {
        split: {name: tuple(images[key] for key in sorted(images)) for name, images in sorted(classes.items())}
        for split, classes in found.items()
    }


# split -> class -> path within the class -> image
_Found = dict[str, dict[str, dict[str, ImageFile]]]


def _list_folder(path: Path, wanted: Sequence[str]) -> _Found:
    found: _Found = {}
    try:
        top = _top_folder(path)
        for split in SPLITS:
            if not (top / split).is_dir():
                continue
            for folder in _folders(top / split):
                images = found.setdefault(split, {}).setdefault(folder.name, {})
                if split in wanted:
                    images.update(_list_class(folder))
    except OSError as error:
        raise FixInputError(f"{error.filename or path}: cannot be read: {error.strerror or error}") from error
    return found


def _top_folder(path: Path) -> Path:
    """`path`, or its only folder where that holds the splits."""
    folders = _folders(path)
    candidates = [path, *folders] if len(folders) == 1 else [path]
    for top in candidates:
        if any((top / split).is_dir() for split in SPLITS):
            return top
    names = ", ".join(folder.name for folder in folders[:SHOWN_NAMES])
    raise FixInputError(f"{path}: {LAYOUT}; found {names or 'no folders'}")


def _folders(path: Path) -> list[Path]:
    return sorted(entry for entry in path.iterdir() if entry.is_dir() and not entry.name.startswith("."))


def _list_class(folder: Path) -> dict[str, ImageFile]:
    files = {}
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            if _is_image(name):
                file = Path(parent, name)
                files[file.relative_to(folder).as_posix()] = ImageFile(name=str(file), content=file)
    return files


def _is_image(name: str) -> bool:
    return name.lower().endswith(IMAGE_SUFFIXES) and not name.startswith(".")


def _list_archive(path: Path, wanted: Sequence[str]) -> _Found:
    found: _Found = {}
    tops: set[tuple[str, ...]] = set()
    held = 0
    try:
        with tarfile.open(path, mode="r|*") as archive:  # a stream: one pass, whatever the compression
            for member in archive:
                parts = PurePosixPath(member.name).parts
                if any(part == "/" or part.startswith(".") for part in parts):  # absolute, "..", hidden
                    continue
                offset = 0 if parts and parts[0] in SPLITS else 1
                top, parts = parts[:offset], parts[offset:]
                # A split's folder, a class's folder, and below it the image; nothing else is of interest.
                if len(parts) < 2 or parts[0] not in SPLITS or (len(parts) == 2 and not member.isdir()):
                    continue
                tops.add(top)
                images = found.setdefault(parts[0], {}).setdefault(parts[1], {})
                if len(parts) == 2 or parts[0] not in wanted or not _is_image(parts[-1]):
                    continue
                content = _content(path, archive, member)
                held += len(content)
                if held > MAX_ARCHIVE_BYTES:
                    limit = f"{MAX_ARCHIVE_BYTES / 2**30:g} GiB"
                    raise FixInputError(f"{path}: holds more than {limit} of images; unpack it and give the folder")
                name = f"{path}: {'/'.join((*top, *parts))}"
                images["/".join(parts[2:])] = ImageFile(name=name, content=content)
    except (tarfile.TarError, OSError, EOFError, lzma.LZMAError, zlib.error) as error:
        reason = " ".join(str(error).split())
        raise FixInputError(f"{path}: is not a readable tar archive: {reason}; pack or fetch it again") from error
    if _is_cut_off(path):
        raise FixInputError(f"{path}: is not a readable tar archive: its end is missing; pack or fetch it again")
    if not found:
        raise FixInputError(f"{path}: {LAYOUT}; found none of them")
    if len(tops) > 1:
        names = " and ".join(sorted("/".join(top) or "the top" for top in tops)[:2])
        raise FixInputError(f"{path}: holds splits below {names}; keep one set of them")
    return found


def _is_cut_off(path: Path) -> bool:
    """Whether a plain tar lacks the zeros at its end: cut between two members, `tarfile` does not notice."""
    with path.open("rb") as stream:
        is_plain = stream.read(tarfile.BLOCKSIZE)[_MAGIC] == b"ustar"
        stream.seek(-tarfile.BLOCKSIZE, os.SEEK_END)
        return is_plain and any(stream.read())


def _content(path: Path, archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    stream = archive.extractfile(member) if member.isreg() else None
    if stream is None:  # a link, whose target a stream has passed already
        raise FixInputError(f"{path}: {member.name} is a link; pack it with tar --dereference --hard-dereference")
    return stream.read()
