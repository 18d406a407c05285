"""A look through the library's folders: what changed since the last one is read, the rest only counted."""

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from msgspec.structs import replace

from engine.library import entries
from engine.library.catalogue import Catalogue, Found, Place, Stamp
from engine.library.roots import Root
from engine.library.walk import MAX_THINGS, Folder, Thing, Walk
from engine.messages import Entry, Hindrance, Scanned

READER = 4
"""One more whenever files are recognised better than before, so that they are read again."""
BATCH = 200
"""Entries at most between two events."""
PAUSE = 0.5
"""Seconds at most between two events."""
SETTLED = 5
"""Seconds after which a file that grew is taken for whole."""
_SIGNED = 2**63 - 1
"""SQLite's greatest number; some systems number their files beyond."""
_UNREAD = -1
"""In the place of the time of a folder that could not be looked into."""


def scan(catalogue: Catalogue, roots: list[Root], stop: Callable[[], bool] = lambda: False) -> Iterator[Scanned]:
    """Look through the folders, remember what changed, and tell it as it is found; the last event is `done`.

    Files are read up to their headers, and only those that changed. `stop` is asked between files; what was found
    by then is remembered. Raises EaselError where the catalogue cannot be written.
    """
    walk, news = Walk(roots), _News(catalogue)
    vanished: dict[str, list[str]] = {}
    """By every folder that was looked into: the entries that were not there any more."""
    again: list[tuple[Folder, Thing]] = []
    for folder in walk:
        known = catalogue.known(_text(folder.path))
        for thing in folder.things:
            if stop():
                yield news.told()
                return
            if not news.look(folder, thing, known.pop(_text(thing.path), None)):
                again.append((folder, thing))
            if news.is_due():
                yield news.told()
        vanished[_text(folder.path)] = list(known)
    for folder, thing in again:
        if not stop():
            news.look(folder, thing, None)
    news.miss(walk, vanished)
    seen = walk.changed | dict.fromkeys(walk.unread, _UNREAD)
    catalogue.put_folders({path: when for path, when in seen.items() if path == _text(path)})
    yield replace(news.told(done=True), hindrances=tuple(_hindrances(walk)))


def changed(catalogue: Catalogue, roots: list[Root]) -> bool:
    """Whether another scan is worth it, by one `stat` a folder: ask every few seconds while the window is open.

    Files that grow in place are only found by the next scan, but for those that were not whole.
    """
    folders = catalogue.folders()
    if any(str(root.folder) not in folders and root.folder.is_dir() for root in roots):
        return True
    if any(_can_be_read(path) if when == _UNREAD else _time_of(path) != when for path, when in folders.items()):
        return True
    return any(_is_settled(path, before) for path, before in catalogue.unfinished().items())


def _hindrances(walk: Walk) -> Iterator[Hindrance]:
    """By the folders that they concern, what the person must know of a look that has ended."""
    for path in sorted(walk.unread):
        yield Hindrance(where=_text(path), cause=_unread(path, walk), advice="Allow reading it.")
    if walk.is_full:
        cause = f"There are more than {MAX_THINGS:,} models; those from here on are left out."
        yield Hindrance(where=_text(walk.last), cause=cause, advice="Add the folders that you need alone.")


class _News:
    """What a scan found and has not told yet."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._found: list[Found] = []
        self._lost: dict[str, list[str]] = {}
        """By why they are missing: paths; by "", those that are back."""
        self._gone: list[str] = []
        self._files = 0
        self._told = time.monotonic()

    def look(self, folder: Folder, thing: Thing, before: tuple[Stamp, str] | None) -> bool:
        """Read a thing if it is not as it was before. Returns whether it kept still meanwhile."""
        self._files += 1
        path = _text(thing.path)
        stamp = Stamp(thing.size, thing.mtime_ns, thing.inode & _SIGNED, thing.beside, READER)
        if before and thing.form == "dangling":
            if before[0].mtime_ns >= 0:  # else nothing more is known of it
                self._lost.setdefault(_dangling(path), []).append(path)
        elif before is None or before[0] != stamp:
            found = _read(folder, thing, stamp)
            self._found.append(found)
            return found.stamp.mtime_ns >= 0 or thing.mtime_ns < 0 or thing.is_unfinished
        elif before[1]:
            self._lost.setdefault("", []).append(path)
        return True

    def miss(self, walk: Walk, vanished: dict[str, list[str]]) -> None:
        """Sort what was not come by into missing and gone."""
        for folder, place in self._catalogue.places().items():
            if walk.is_full and folder not in vanished:
                continue
            paths = vanished[folder] if folder in vanished else list(self._catalogue.known(folder))
            why = _why_missing(place, walk)
            if why:
                self._lost.setdefault(why, []).extend(paths)
            else:
                self._gone += paths

    def is_due(self) -> bool:
        """Whether there is enough to tell, or it is time for a sign of life."""
        return len(self._found) >= BATCH or time.monotonic() - self._told > PAUSE

    def told(self, done: bool = False) -> Scanned:
        """The event, once what it says is on the disk."""
        entries = self._catalogue.put(self._found) if self._found else []
        for why, paths in self._lost.items():
            entries += self._catalogue.lose(paths, why)
        if self._gone:
            self._catalogue.drop(self._gone)
        event = Scanned(changed=tuple(entries), gone=tuple(self._gone), files=self._files, done=done)
        self._found, self._lost, self._gone = [], {}, []
        self._told = time.monotonic()
        return event


def _read(folder: Folder, thing: Thing, stamp: Stamp) -> Found:
    path = Path(thing.path)
    place = Place(_text(folder.path), _text(folder.root.of), _text(folder.mount))
    is_folder = thing.form in ("component", "model")
    blank = Entry(path=_text(path), name=_text(path.name if is_folder else path.stem), state="broken")
    if _text(thing.path) != thing.path:
        entry = replace(blank, trouble="Its name is in letters that are none. Rename it, and the folders it is in.")
    elif thing.form == "dangling":
        entry = replace(blank, state="missing", trouble=_dangling(thing.path))
    elif thing.is_unfinished:
        entry = replace(blank, trouble=f"“{path.name}” is still being downloaded. Wait until it is whole.")
        stamp = stamp._replace(mtime_ns=-1)
    elif thing.form == "file":
        entry = entries.of_file(path, folder.root.hint, bool(thing.beside))
        if not _is_same(thing):
            entry = replace(blank, trouble=f"“{path.name}” is still being written. Wait until it is whole.")
            stamp = stamp._replace(mtime_ns=-1)
    else:
        entry = entries.of_model(path) if thing.form == "model" else entries.of_component(path)
    entry = replace(entry, size_bytes=thing.size, changed=max(thing.mtime_ns, 0) / 1e9, root=place.root)
    return Found(entry, place, stamp)


def _is_same(thing: Thing) -> bool:
    try:
        now = Path(thing.path).stat()
    except OSError:
        return False
    return (now.st_size, now.st_mtime_ns) == (thing.size, thing.mtime_ns)


def _why_missing(place: Place, walk: Walk) -> str:
    """Why entries that were not come by are to be missing, and not gone; empty where they are gone."""
    if place.root not in {root.of for root in walk.roots}:
        return ""
    for path in (place.folder, *map(str, Path(place.folder).parents)):
        if path in walk.unread:
            return f"{_unread(path, walk)} Allow reading it."
    if _time_of(place.root) is None:
        return f"The folder “{place.root}” is not there. Plug in the drive that it is on."
    if not os.path.ismount(place.mount):
        return f"The drive “{place.mount}” is not there. Plug it in."
    return ""


def _unread(path: str, walk: Walk) -> str:
    return f"The folder “{_text(path)}” cannot be read: {walk.unread[path]}."


def _can_be_read(folder: str) -> bool:
    try:
        with os.scandir(folder):
            return True
    except OSError:
        return False


def _dangling(path: str) -> str:
    return f"The link “{Path(path).name}” leads to a file that is not there. Plug in the drive that it is on."


def _is_settled(path: str, before: tuple[int, int]) -> bool:
    """Whether a file that was not whole is another one now, and at rest."""
    try:
        now = Path(path).stat()
    except OSError:  # its folder tells that it is gone, or it is a link that leads nowhere still
        return False
    return (now.st_size, now.st_mtime_ns) != before and abs(time.time() - now.st_mtime) > SETTLED


def _time_of(folder: str) -> int | None:
    try:
        return Path(folder).stat().st_mtime_ns
    except OSError:
        return None


def _text(path: str | Path) -> str:
    """A path as text that every program can write; one that is none is changed so that it is."""
    return os.fsencode(path).decode("utf-8", "replace") if os.name != "nt" else str(path)
