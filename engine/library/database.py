"""The library's SQLite file: opened, checked, put aside where it cannot go on, and its errors in words."""

import logging
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from engine import paths
from engine.errors import EaselError

SCHEMA = 2
PATIENCE_SECONDS = 20
"""How long another process may write before it is said to be in the way."""
_TABLES = """
CREATE TABLE files (
    path TEXT PRIMARY KEY, folder TEXT NOT NULL, root TEXT NOT NULL, mount TEXT NOT NULL,
    size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, inode INTEGER NOT NULL,
    beside INTEGER NOT NULL, reader INTEGER NOT NULL,
    missing TEXT NOT NULL DEFAULT '', sha256 TEXT NOT NULL DEFAULT '', data_sha256 TEXT NOT NULL DEFAULT '',
    old_hash TEXT NOT NULL DEFAULT '', state TEXT NOT NULL, entry BLOB NOT NULL,
    title TEXT NOT NULL DEFAULT '', stem TEXT NOT NULL DEFAULT ''
);
CREATE INDEX files_of_a_title ON files (title);
CREATE INDEX files_of_a_stem ON files (stem);
CREATE INDEX files_of_a_folder ON files (folder);
CREATE INDEX files_of_a_content ON files (sha256) WHERE sha256 <> '';
CREATE INDEX files_of_an_inode ON files (inode, size, mtime_ns) WHERE sha256 <> '';
CREATE TABLE folders (path TEXT PRIMARY KEY, mtime_ns INTEGER NOT NULL);
CREATE TABLE roots (path TEXT PRIMARY KEY);
CREATE TABLE said (sha256 TEXT NOT NULL, path TEXT NOT NULL, size INTEGER NOT NULL, words BLOB NOT NULL);
CREATE UNIQUE INDEX said_of_a_content ON said (sha256) WHERE sha256 <> '';
CREATE UNIQUE INDEX said_of_a_path ON said (path) WHERE sha256 = '';
CREATE INDEX said_at_a_path ON said (path);
"""
"""`files` can be read from the disk again; `roots` and `said` are the person's, and kept in a second file, too."""
_UPDATES = {
    1: """
    ALTER TABLE files ADD COLUMN title TEXT NOT NULL DEFAULT '';
    ALTER TABLE files ADD COLUMN stem TEXT NOT NULL DEFAULT '';
    CREATE INDEX files_of_a_title ON files (title);
    CREATE INDEX files_of_a_stem ON files (stem);
    """
}
"""From one version to the next. What is added is filled as the next scan reads the files again."""
_log = logging.getLogger(__name__)


class Database:
    """One connection, for one thread. Every method raises EaselError with what to do where the disk refuses."""

    def __init__(self, file: Path, fill: Callable[[sqlite3.Connection], None], keepsake: Path) -> None:
        self.file = file
        self.note = ""
        """Empty, or what happened to the database that was here before, for the person to read."""
        self._fill = fill
        """Puts into a new database what was kept elsewhere."""
        self._keepsake = keepsake
        paths.ready(file.parent)
        self._connection = self._opened()

    def close(self) -> None:
        """Let the file go."""
        self._connection.close()

    def renew(self, why: str, word: str) -> None:
        """Put the database aside, under that word, for what only its reader can see; begin a new one."""
        self.close()
        with self._told():
            self._connection = self._anew(why, word)

    def rows(self, question: str, *values: Any) -> list[Any]:
        """The rows that answer it."""
        with self._told():
            return self._connection.execute(question, values).fetchall()

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """All that is written in the block, or nothing of it; on the disk when it ends."""
        with self._told(), self._connection:  # commits, or rolls back
            self._connection.execute("BEGIN IMMEDIATE")
            yield self._connection

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            raise EaselError(
                f"Easel's list of models cannot be used now ({error}).",
                f"Look whether the disk of “{self.file.parent}” is full or read-only, then try again.",
                where=str(self.file),
            ) from error
        except sqlite3.DatabaseError as error:
            raise EaselError(
                f"Easel's list of models is damaged ({error}).",
                "Start Easel again: it is read from the files anew, and nothing that you said is lost.",
                where=str(self.file),
            ) from error

    def _opened(self) -> sqlite3.Connection:
        with self._told():
            try:
                return self._connected()
            except _Unfit as error:
                why, word = str(error), error.word
            except sqlite3.OperationalError:
                raise
            except sqlite3.DatabaseError as error:
                why, word = f"was damaged ({error})", "spoiled"
            return self._anew(why, word)

    def _anew(self, why: str, word: str) -> sqlite3.Connection:
        self._put_aside(word)
        self.note = f"The list of models {why} and is read from the files anew; what you said of them is kept."
        _log.info("%s", self.note)
        return self._connected()

    def _connected(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.file, timeout=PATIENCE_SECONDS, isolation_level=None)
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            if _version(connection) == 0:
                self._made(connection)
            if 0 < _version(connection) < SCHEMA:
                _bring_up(connection)
            if _version(connection) > SCHEMA:
                raise _Unfit("is of a newer Easel", f"newer-{_version(connection)}")
            (answer,) = connection.execute("PRAGMA quick_check(1)").fetchone()
            if answer != "ok":
                raise _Unfit("was damaged", "spoiled")
        except BaseException:
            connection.close()
            raise
        return connection

    def _made(self, connection: sqlite3.Connection) -> None:
        with connection:
            connection.execute("BEGIN IMMEDIATE")
            if _version(connection):
                return  # another process was first
            for statement in filter(str.strip, _TABLES.split(";")):
                connection.execute(statement)
            self._fill(connection)
            connection.execute(f"PRAGMA user_version = {SCHEMA}")

    def _put_aside(self, word: str) -> None:
        """Rename the database and its journal; and copy what is kept elsewhere, as a newer Easel may know more."""
        try:
            for suffix in ("", "-wal", "-shm"):
                part = self.file.with_name(self.file.name + suffix)
                if part.exists():
                    part.replace(self.file.with_name(f"{self.file.stem}.{word}{self.file.suffix}{suffix}"))
            if self._keepsake.exists():
                copy = self._keepsake.with_name(f"{self._keepsake.stem}.{word}{self._keepsake.suffix}")
                copy.write_bytes(self._keepsake.read_bytes())
        except OSError as error:
            raise paths.unwritten(self.file, error) from error


class _Unfit(Exception):
    """A database that cannot go on, why, and the word it is put aside by."""

    def __init__(self, why: str, word: str) -> None:
        super().__init__(why)
        self.word = word


def _bring_up(connection: sqlite3.Connection) -> None:
    with connection:
        connection.execute("BEGIN IMMEDIATE")
        for version in range(_version(connection), SCHEMA):
            for statement in filter(str.strip, _UPDATES[version].split(";")):
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {SCHEMA}")


def _version(connection: sqlite3.Connection) -> int:
    return connection.execute("PRAGMA user_version").fetchone()[0]
