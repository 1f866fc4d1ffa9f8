"""Where Slimfront keeps its state: one folder, named by SLIMFRONT_HOME."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import socket
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, quote, unquote

from storage.errors import FixInputError
from storage.files import atomic_write, check_space, file_lock, is_writable, make_folder

HOME_VARIABLE = "SLIMFRONT_HOME"
STORE_VARIABLE = "SLIMFRONT_STORE"
FILES_VARIABLE = "SLIMFRONT_FILES"
DEFAULT_HOME = "~/.slimfront"
DATABASE_NAME = "slimfront.db"
SQLITE_SCHEME = "sqlite:///"
DEFAULT_PORT = "5432"  # of PostgreSQL
# As SQLAlchemy takes a URL apart, but that a password may have an @ in it.
SERVER = re.compile(
    r"(?P<scheme>[\w+]+)://(?:[^:/]*(?::.*)?@)?(?P<host>\[[^]]*\]|[^/:?]*)(?::(?P<port>[^/?]*))?"
    r"/(?P<database>[^?]+)(?:\?(?P<query>.*))?"
)
PASSWORD = re.compile(r"^([\w+]+://[^:/@]*):.*@")
SECRET = re.compile(r"(?i)(password=)[^&]*")  # in the query, sslpassword as well
MARK_NAME = "database"  # file in a shared folder with the identity of its database
PLACE_NAME = "place"  # file with a random number
PLACE_BYTES = 8
OTHER_STORES = ".store-"  # how folders of other databases than the home's own begin
SCOPE_DIGITS = 12  # of a hash of its place: enough for the few databases that one home serves


@dataclass(frozen=True)
class Home:
    """The folder of the database, the cache, the artifacts, the captured models and arrays, and the locks.

    The properties only name paths: nothing is made until something is written, so that reading works on a
    disk that cannot be written. Call `prepare` before work whose results would have nowhere to go.
    """

    root: Path  # absolute
    store: str | None = None  # URL of another database than the one in `root`
    files: Path | None = None  # the folder, on a disk that several machines share, of the files of that database alone

    @property
    def database_url(self) -> str:
        """URL for `storage.open.open_store`."""
        return self.store if self.store is not None else f"sqlite:///{quote(str(self.root / DATABASE_NAME))}"

    @property
    def cache(self) -> Path:
        """What can be computed again: level libraries, latency tables."""
        return self.root / "cache"

    @property
    def artifacts(self) -> Path:
        """Exported models, a folder a study."""
        return self.root / "artifacts" / self._scope if self.files is None else self.files / "artifacts"

    @property
    def captured(self) -> Path:
        """Models, weights, code and arrays that studies were given, named by the hash of their content."""
        return self.root / "captured" / self._scope if self.files is None else self.files / "captured"

    @property
    def locks(self) -> Path:
        """Lock files; they stay behind empty and mean nothing unless a process holds them."""
        return self.root / "locks" / self._scope

    @property
    def _scope(self) -> str:
        """A folder for each database: two of them may hold studies of one name. The home's own has none."""
        if self.store is None:
            return ""
        place = _place(self.store)
        if place == str((self.root / DATABASE_NAME).resolve()):
            return ""
        return f"{OTHER_STORES}{hashlib.sha256(place.encode()).hexdigest()[:SCOPE_DIGITS]}"

    @property
    def place(self) -> str:
        """What the processes have in common that exclude each other by this home's locks: the machine, and a random
        number in the home, which `prepare` makes. Before that it is no owner's."""
        try:
            number = (self.root / PLACE_NAME).read_text()
        except OSError:
            number = ""
        return f"{socket.gethostname()}:{number}{_processes()}"

    def check_space(self) -> None:
        """DiskFullError where a study would soon have no room for its files."""
        for folder in (self.root, *(() if self.files is None else (self.files,))):
            check_space(folder)

    def check_files(self, identity: str) -> None:
        """FixInputError if `files` holds those of another database than the one with that identity."""
        if self.files is None:
            return
        mark = self.files / MARK_NAME
        if not mark.exists():
            with file_lock(self.files / f"{MARK_NAME}.lock"):
                if not mark.exists():
                    atomic_write(mark, identity.encode())
        if mark.read_text() != identity:
            raise FixInputError(
                f"{FILES_VARIABLE} = {self.files} holds the files of another database: name that one with --store or "
                f"{STORE_VARIABLE}, or unset {FILES_VARIABLE}"
            )

    def prepare(self) -> None:
        """Make the folders now. FixInputError if one of them cannot be made or written."""
        for folder in (self.root, self.cache, self.artifacts, self.captured, self.locks):
            make_folder(folder)
            if not is_writable(folder):
                raise FixInputError(
                    f"{folder} may not be written: change its permissions, or set {HOME_VARIABLE} to another folder"
                )
        number = self.root / PLACE_NAME
        if not number.exists():
            with file_lock(number.with_suffix(".lock")):  # two who come together must have the same
                if not number.exists():
                    atomic_write(number, secrets.token_hex(PLACE_BYTES).encode())

    @classmethod
    def from_environment(cls, store: str | None = None) -> Home:
        """The home that SLIMFRONT_HOME names, or ~/.slimfront.

        SLIMFRONT_FILES is the folder of the files of one database that several machines share. `store` is the URL of
        another database than the home's, or else SLIMFRONT_STORE: `store` wins over the
        variable; an empty variable counts as unset. FixInputError if the home is a file, or lies under a home
        folder that is unknown.
        """
        text = os.environ.get(HOME_VARIABLE) or DEFAULT_HOME
        try:
            root = Path(text).expanduser().absolute()
            is_file = root.is_file()
        except (RuntimeError, OSError) as error:
            raise FixInputError(f"{text} names no folder ({error}): set {HOME_VARIABLE} to an absolute path") from error
        if is_file:
            raise FixInputError(f"{root} is a file, not a folder: set {HOME_VARIABLE} to a folder")
        files = os.environ.get(FILES_VARIABLE)
        return cls(
            root=root,
            store=store or os.environ.get(STORE_VARIABLE) or None,
            files=Path(files).expanduser().absolute() if files else None,
        )


def _processes() -> str:
    """Which processes this one sees: those of another container may have the same numbers."""
    try:
        return ":" + os.readlink("/proc/self/ns/pid")
    except OSError:  # no Linux
        return ""


def shown(url: str) -> str:
    """A database's URL for people: without passwords, also where special characters in them are not encoded."""
    return SECRET.sub(r"\1***", PASSWORD.sub(r"\1:***@", url))


def _place(url: str) -> str:
    """What tells a database from others, however its URL is spelled: the file of an SQLite one, links resolved; of a
    server's, neither user nor password."""
    if url.startswith(SQLITE_SCHEME):
        return str(Path(unquote(url.removeprefix(SQLITE_SCHEME))).expanduser().resolve())
    found = SERVER.fullmatch(url)
    if found is None:
        return url
    given = parse_qs(found["query"] or "")
    hosts = given.get("host", [found["host"] or ""])
    ports = given.get("port", [found["port"] or DEFAULT_PORT])
    return f"{found['scheme']}://{','.join(hosts)}:{','.join(ports)}/{unquote(found['database'])}"
