"""Every model file that is known, in SQLite: there at once at the next start, and rebuilt from the files if lost."""

import logging
import os
import re
import sqlite3
from collections.abc import Collection, Iterable
from pathlib import Path, PurePath
from typing import Any, NamedTuple

import msgspec
from msgspec.structs import replace

from engine import paths
from engine.errors import BadInput
from engine.formats.suffixes import name_of
from engine.library import said
from engine.library.database import Database
from engine.library.said import Said
from engine.messages import Describe, Entry
from engine.offers import is_called

_log = logging.getLogger(__name__)
_PUT = """
INSERT INTO files (path, folder, root, mount, size, mtime_ns, inode, beside, reader, sha256, data_sha256, old_hash,
                   state, entry, title, stem)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (path) DO UPDATE SET
    folder = excluded.folder, root = excluded.root, mount = excluded.mount, size = excluded.size,
    mtime_ns = excluded.mtime_ns, inode = excluded.inode, beside = excluded.beside, reader = excluded.reader,
    sha256 = excluded.sha256, data_sha256 = excluded.data_sha256, old_hash = excluded.old_hash,
    state = excluded.state, entry = excluded.entry, title = excluded.title, stem = excluded.stem, missing = ''
"""
_NAMED = """
WHERE title = ? OR stem IN (?, ?)
    OR path IN (SELECT path FROM said WHERE instr(words, ?))
    OR sha256 <> '' AND sha256 IN (SELECT sha256 FROM said WHERE sha256 <> '' AND instr(words, ?))
"""
"""By the file, and all that the person gave a name to."""
_A_NAME = b'"name":"'
_SAY = "INSERT OR REPLACE INTO said (sha256, path, size, words) VALUES (?, ?, ?, ?)"
_FEW = 64
"""Entries whose words are asked for one by one."""
_read_entry = msgspec.json.Decoder(Entry).decode
_read_words = msgspec.json.Decoder(Describe).decode


class Stamp(NamedTuple):
    """What tells whether a file is still the one that was read."""

    size: int
    mtime_ns: int
    """Of a folder's entry: that of its newest file. -1 for one that must be read again."""
    inode: int
    """0 where the system has none."""
    beside: int
    """A checksum of the names, sizes and times of what lies beside it for it."""
    reader: int
    """`scan.READER`, when it was read."""


class Place(NamedTuple):
    """Where a file was found."""

    folder: str
    root: str
    """The folder of the library that it is in, as the person added it."""
    mount: str
    """Where the drive that it is on begins in the tree of folders."""


class Found(NamedTuple):
    """A file or a model folder that was read."""

    entry: Entry
    """As it is guessed, without what the person says."""
    place: Place
    stamp: Stamp


class Hashes(NamedTuple):
    """What other programs may call a file by; small letters, hexadecimal."""

    sha256: str
    data_sha256: str = ""
    """Of what lies behind the header of a .safetensors file: the hash of a LoRA in kohya's and A1111's words."""
    old_hash: str = ""
    """A1111's first one, of 64 KiB alone: 8 digits."""


def file_of_catalogue() -> Path:
    """Where the library is kept."""
    return paths.home() / "library.sqlite"


class Catalogue:
    """The library on the disk. For one thread; another one opens its own, as may another process.

    Every method raises EaselError with what to do where the disk refuses.
    """

    def __init__(self, file: Path | None = None) -> None:
        file = file or file_of_catalogue()
        self._kept = file.with_name(f"{file.stem}-said.json")
        self._db = Database(file, self._restore, self._kept)
        try:
            self._said("")
        except msgspec.MsgspecError:
            self._db.renew("was damaged (words)", "spoiled")
        self.note = self._db.note
        """Empty, or what happened to the catalogue that was here before, for the person to read."""

    def close(self) -> None:
        """Let the file go."""
        self._db.close()

    # ------------------------------------------------------------ what is known

    def entries(self) -> list[Entry]:
        """Everything that is remembered, by name, with what the person said of it."""
        return sorted(self._entries(""), key=lambda entry: (entry.name.casefold(), entry.path))

    def entry(self, path: str) -> Entry | None:
        """What is remembered of one path."""
        return next(iter(self._entries("WHERE path = ?", path)), None)

    def entries_at(self, these: Collection[str]) -> list[Entry]:
        """What is remembered of some paths, in no order."""
        return self._entries("WHERE path IN (SELECT value FROM json_each(?))", _json(these))

    def named(self, name: str) -> list[Entry]:
        """The entries that people call so, by path: see `engine.offers.is_called`."""
        wanted = name.strip().casefold().encode("utf-8", "replace").decode()  # some names are no text
        own = PurePath(re.split(r"[/\\]", wanted)[-1])
        found = self._entries(_NAMED, wanted, own.name, name_of(own), _A_NAME, _A_NAME)
        return sorted((each for each in found if is_called(each, wanted)), key=lambda entry: entry.path)

    def called(self, digits: str) -> list[Entry]:
        """The entries with that hash: sha256 or its first 8 digits and more, a LoRA's, or A1111's old one."""
        prefix = digits.strip().lower().removeprefix("0x")
        if len(prefix) < 8 or not set(prefix) <= set("0123456789abcdef"):
            return []
        until = f"{prefix}g"  # sorts behind every hash that goes on
        return self._entries(
            "WHERE sha256 >= ? AND sha256 < ? OR data_sha256 >= ? AND data_sha256 < ? OR old_hash = ?",
            *(prefix, until, prefix, until, prefix),
        )

    # ------------------------------------------------------------ what the person says

    def describe(self, words: Describe) -> Entry:
        """Remember what the person says of an entry; it is on the disk twice when this returns. Raises BadInput."""
        said.checked(words)
        with self._db.writing() as connection:
            row = connection.execute("SELECT sha256, size FROM files WHERE path = ?", (words.path,)).fetchone()
            if row is None:
                raise BadInput("This file is not in the library.", "Add it first.", words.path)
            sha256, size = row
            before = self._said_of(words.path, sha256, size) or Said(words=Describe(path=words.path))
            self._say(connection, Said(sha256=sha256, size=size, words=said.joined(before.words, words)))
            self._snapshot()
        found = self.entry(words.path)
        assert found is not None
        return found

    def roots(self) -> list[str]:
        """The folders that the person added."""
        return [path for (path,) in self._db.rows("SELECT path FROM roots ORDER BY rowid")]

    def add_root(self, folder: Path) -> None:
        """Use a folder where it lies, from the next scan on."""
        with self._db.writing() as connection:
            connection.execute("INSERT OR IGNORE INTO roots VALUES (?)", (str(folder.absolute()),))
            self._snapshot()

    def remove_root(self, folder: Path) -> None:
        """Look no more into a folder; its files and what was said of them stay, its entries go with the next scan."""
        with self._db.writing() as connection:
            connection.execute("DELETE FROM roots WHERE path = ?", (str(folder.absolute()),))
            self._snapshot()

    # ------------------------------------------------------------ what a scan finds

    def known(self, folder: str) -> dict[str, tuple[Stamp, str]]:
        """By path, the entries that lie directly in a folder: how they were when read, and why they are missing."""
        chosen = "SELECT path, missing, size, mtime_ns, inode, beside, reader FROM files WHERE folder = ?"
        return {path: (Stamp(*stamp), missing) for path, missing, *stamp in self._db.rows(chosen, folder)}

    def unfinished(self) -> dict[str, tuple[int, int]]:
        """Size and time of the entries that were broken, or changed while they were read."""
        chosen = "SELECT path, size, mtime_ns FROM files WHERE missing = '' AND (mtime_ns < 0 OR state = 'broken')"
        return {path: (size, mtime_ns) for path, size, mtime_ns in self._db.rows(chosen)}

    def places(self) -> dict[str, Place]:
        """By folder: where entries lie, missing ones too."""
        return {row[0]: Place(*row) for row in self._db.rows("SELECT DISTINCT folder, root, mount FROM files")}

    def put(self, found: Iterable[Found]) -> list[Entry]:
        """Remember what was read, in one stroke. What is known of a file's content and said of it moves with it."""
        batch = list(found)
        with self._db.writing() as connection:
            waiting = self._unhashed_words()
            moved = False
            for each in batch:
                path, stamp = each.entry.path, each.stamp
                identity = (stamp.inode, stamp.size, stamp.mtime_ns)
                hashes = self._hashes(path, identity)
                names = each.entry.name.casefold(), name_of(PurePath(path)).casefold()
                known = each.entry.state, msgspec.json.encode(each.entry), *names
                values = (path, *each.place, *stamp, *hashes, *known)
                connection.execute(_PUT, values)
                if stamp.inode:
                    moved |= self._follow(connection, waiting.get(identity, ""), path)
                if hashes.sha256:
                    moved |= self._seen_at(connection, hashes.sha256, path)
            if moved:
                self._snapshot()
        return self.entries_at([each.entry.path for each in batch])

    def drop(self, these: Iterable[str]) -> None:
        """Forget entries; what the person said of them stays, should they come back."""
        with self._db.writing() as connection:
            connection.executemany("DELETE FROM files WHERE path = ?", ((path,) for path in these))

    def lose(self, these: Iterable[str], why: str) -> list[Entry]:
        """Entries that cannot be reached now: they stay, as missing; with no reason, they are back.

        Returns those that this changed.
        """
        lost = "UPDATE files SET missing = ? WHERE path = ? AND missing <> ?"
        with self._db.writing() as connection:
            changed = [path for path in these if connection.execute(lost, (why, path, why)).rowcount]
        return self.entries_at(changed)

    def folders(self) -> dict[str, int]:
        """The folders of the last scan, and when each was changed, in nanoseconds since 1970."""
        return dict(self._db.rows("SELECT path, mtime_ns FROM folders"))

    def put_folders(self, seen: dict[str, int]) -> None:
        """Remember the folders of a scan."""
        if seen == self.folders():
            return
        with self._db.writing() as connection:
            connection.execute("DELETE FROM folders")
            connection.executemany("INSERT INTO folders VALUES (?, ?)", seen.items())

    # ------------------------------------------------------------ contents

    def unhashed(self) -> tuple[str, Stamp, bool] | None:
        """The next file to count, its stamp, and whether it is a LoRA in a .safetensors file.

        First those that the person's words may be of, then the small ones.
        """
        chosen = """
        SELECT path, size, mtime_ns, inode, beside, reader, entry FROM files WHERE rowid = (
            SELECT rowid FROM files WHERE sha256 = '' AND missing = '' AND mtime_ns >= 0 AND state <> 'broken'
            ORDER BY size NOT IN (SELECT size FROM said), path NOT IN (SELECT path FROM said), size LIMIT 1
        )
        """
        for row in self._db.rows(chosen):
            is_lora = _read_entry(row[6]).sort == "lora" and row[0].endswith((".safetensors", ".sft"))
            return row[0], Stamp(*row[1:6]), is_lora
        return None

    def put_hashes(self, path: str, stamp: Stamp, hashes: Hashes) -> Entry | None:
        """Remember a file's hashes, unless it was read anew since; what was said of its path and content is joined."""
        chosen = (
            "UPDATE files SET sha256 = ?, data_sha256 = ?, old_hash = ? WHERE path = ? AND size = ? AND mtime_ns = ?"
        )
        with self._db.writing() as connection:
            if not connection.execute(chosen, (*hashes, path, stamp.size, stamp.mtime_ns)).rowcount:
                return None
            moved = self._seen_at(connection, hashes.sha256, path)
            own = self._said("WHERE path = ? AND sha256 = ''", path)
            if own:
                before = self._said("WHERE sha256 = ?", hashes.sha256) or own
                connection.execute("DELETE FROM said WHERE path = ? AND sha256 = ''", (path,))
                words = said.joined(before[0].words, own[0].words)
                self._say(connection, Said(sha256=hashes.sha256, size=stamp.size, words=words))
            if own or moved:
                self._snapshot()
        return self.entry(path)

    def look_again(self, path: str) -> None:
        """Have the next scan read an entry anew."""
        with self._db.writing() as connection:
            connection.execute("UPDATE files SET mtime_ns = -1 WHERE path = ?", (path,))

    # ------------------------------------------------------------ within

    def _entries(self, where: str, *values: Any) -> list[Entry]:
        rows = self._db.rows(f"SELECT path, size, sha256, missing, entry FROM files {where}", *values)
        twins = self._twins([row[2] for row in rows if row[2]])
        by_content, by_path = self._all_said() if len(rows) > _FEW else ({}, {})
        found: list[Entry] = []
        spoiled: list[str] = []
        for path, size, sha256, missing, blob in rows:
            try:
                entry = _read_entry(blob)
            except (msgspec.MsgspecError, UnicodeDecodeError):
                spoiled.append(path)
                continue
            if sha256:
                alike = tuple(each for each in twins[sha256] if each != path) if sha256 in twins else ()
                entry = replace(entry, sha256=sha256, twins=alike)
            if missing:
                entry = replace(entry, state="missing", trouble=missing)
            if len(rows) > _FEW:
                words = _fitting(sha256, size, by_content.get(sha256), by_path.get(path))
            else:
                words = self._said_of(path, sha256, size)
            found.append(said.put_over(entry, words.words) if words else entry)
        if spoiled:
            _log.info("%d entries were damaged and are read again", len(spoiled))
            self.drop(spoiled)
        return found

    def _twins(self, hashes: list[str]) -> dict[str, list[str]]:
        """By content: every path with it, where there are several."""
        chosen = """
        SELECT sha256, path FROM files WHERE missing = '' AND sha256 <> '' AND sha256 IN (
            SELECT sha256 FROM files WHERE sha256 <> '' AND missing = '' AND sha256 IN (SELECT value FROM json_each(?))
            GROUP BY sha256 HAVING count(*) > 1
        ) ORDER BY path
        """
        found: dict[str, list[str]] = {}
        for sha256, path in self._db.rows(chosen, _json(hashes)) if hashes else ():
            found.setdefault(sha256, []).append(path)
        return found

    def _all_said(self) -> tuple[dict[str, Said], dict[str, Said]]:
        """By content, and by path: there, words that follow the path before those of a content."""
        everything = self._said("ORDER BY sha256 DESC")
        return {each.sha256: each for each in everything}, {each.words.path: each for each in everything}

    def _said(self, where: str, *values: Any) -> list[Said]:
        rows = self._db.rows(f"SELECT sha256, path, size, words FROM said {where}", *values)
        return [
            Said(sha256=sha256, size=size, words=replace(_read_words(words), path=path))
            for sha256, path, size, words in rows
        ]

    def _said_of(self, path: str, sha256: str, size: int) -> Said | None:
        of_content = self._said("WHERE sha256 = ? AND sha256 <> ''", sha256) if sha256 else []
        of_path = self._said("WHERE path = ? ORDER BY sha256 LIMIT 1", path)
        return _fitting(sha256, size, next(iter(of_content), None), next(iter(of_path), None))

    @staticmethod
    def _say(connection: sqlite3.Connection, one: Said) -> None:
        connection.execute(_SAY, (one.sha256, one.words.path, one.size, msgspec.json.encode(one.words)))

    def _unhashed_words(self) -> dict[tuple[int, int, int], str]:
        chosen = "SELECT inode, files.size, mtime_ns, path FROM said JOIN files USING (path) WHERE said.sha256 = ''"
        return {(inode, size, mtime_ns): path for inode, size, mtime_ns, path in self._db.rows(chosen)}

    @staticmethod
    def _follow(connection: sqlite3.Connection, old: str, new: str) -> bool:
        """Words of a path whose file is now elsewhere go with it. Returns whether there were any."""
        if not old or old == new or os.path.lexists(old):
            return False
        connection.execute("UPDATE OR REPLACE said SET path = ? WHERE path = ? AND sha256 = ''", (new, old))
        return True

    @staticmethod
    def _seen_at(connection: sqlite3.Connection, sha256: str, path: str) -> bool:
        """Note where a content lies now, if it is gone from where it was. Returns whether it is."""
        row = connection.execute("SELECT path FROM said WHERE sha256 = ?", (sha256,)).fetchone()
        if row is None or row[0] == path or os.path.lexists(row[0]):
            return False
        connection.execute("UPDATE said SET path = ? WHERE sha256 = ?", (path, sha256))
        return True

    def _hashes(self, path: str, identity: tuple[int, int, int]) -> Hashes:
        """Those that were counted of these very bytes, wherever they lay."""
        chosen = "SELECT sha256, data_sha256, old_hash FROM files WHERE sha256 <> '' AND size = ? AND mtime_ns = ?"
        inode, *same = identity
        rows = self._db.rows(f"{chosen} AND path = ? AND inode = ?", *same, path, inode)
        if not rows and inode:
            rows = self._db.rows(f"{chosen} AND inode = ? LIMIT 1", *same, inode)
        return Hashes(*rows[0]) if rows else Hashes("")

    def _snapshot(self) -> None:
        """Within the transaction: two processes then write it one after the other, and it is never behind."""
        said.keep(self._kept, said.Kept(roots=tuple(self.roots()), said=tuple(self._said("ORDER BY path"))))

    def _restore(self, connection: sqlite3.Connection) -> None:
        kept = said.read(self._kept)
        connection.executemany("INSERT OR IGNORE INTO roots VALUES (?)", ((root,) for root in kept.roots))
        for one in kept.said:
            self._say(connection, one)


def _json(texts: Collection[str]) -> str:
    return msgspec.json.encode(list(texts)).decode()


def _fitting(sha256: str, size: int, of_content: Said | None, of_path: Said | None) -> Said | None:
    """What was said of a file: of its content; until that is known, of what had its path and its size."""
    if of_content is not None and sha256:
        return of_content
    if of_path is None or (of_path.sha256 and (sha256 or of_path.size != size)):
        return None
    return of_path
