"""The folders under a root, each once: links followed but no loops, drives told apart, what cannot be read noted."""

import os
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple

from engine.formats.suffixes import SUFFIXES
from engine.library.roots import Root

MAX_DEPTH = 32
MAX_THINGS = 200_000
"""Model files and folders in one walk; what lies behind is left out."""
_MEMBER = re.compile(
    r"(?:diffusion_pytorch_model|model|pytorch_model)(?:\.[\w.]+)?(?:-\d+-of-\d+)?\.(?:safetensors|bin)(?:\.index\.json)?"
)
"""How the weights of a component are called, in its folder beside its `config.json`."""
_DENOISERS = ("unet", "transformer")
_MARKS = (".aria2", ".crdownload", ".part")
"""What a download leaves beside a file, behind the whole of its name, until it is there."""

Listing = dict[str, os.DirEntry[str]]
"""What lies in a folder, by name."""
Form = Literal["file", "component", "model", "dangling"]


class Thing(NamedTuple):
    """What will be one entry: a file, a component's folder, a model's folder, or a link that leads nowhere."""

    form: Form
    path: str
    size: int
    """Bytes; of a folder, those of its files."""
    mtime_ns: int
    """Of a folder, that of its newest file."""
    inode: int
    """0 where the system tells none."""
    beside: int
    """A checksum of the names, sizes and times of what else belongs to it."""
    is_unfinished: bool = False
    """Whether a download's mark lies beside it."""


class Folder(NamedTuple):
    """One that was looked into."""

    path: str
    root: Root
    mount: str
    things: list[Thing]


class Walk:
    """A walk through roots, and what it saw."""

    def __init__(self, roots: list[Root]) -> None:
        self.roots = roots
        self.changed: dict[str, int] = {}
        """Every folder that was come by, and when it was changed, in nanoseconds since 1970."""
        self.unread: dict[str, str] = {}
        """Folders that could not be looked into, and why."""
        self.is_full = False
        """Whether it ended at its limit."""
        self.last = ""
        """The folder that was looked into last."""
        self._count = 0
        self._seen: set[tuple[int, int]] = set()
        self._within = tuple(f"{os.path.realpath(root.folder).rstrip(os.sep)}{os.sep}" for root in roots)

    def __iter__(self) -> Iterator[Folder]:
        """Every folder once, that of a deeper root under its own root."""
        for root in sorted(self.roots, key=lambda root: len(root.folder.parts), reverse=True):
            yield from self._down(root)

    def _down(self, root: Root) -> Iterator[Folder]:
        waiting = [(str(root.folder), 0, "", -1)]
        while waiting and not self.is_full:
            path, depth, mount, device = waiting.pop()
            try:
                about = Path(path).stat()
                self.changed[path] = about.st_mtime_ns
                if (about.st_dev, about.st_ino) in self._seen:
                    continue
                self._seen.add((about.st_dev, about.st_ino))
                things, below = self._sorted(path, about.st_ino, listing(path))
            except (FileNotFoundError, NotADirectoryError):
                continue
            except OSError as error:
                self.unread[path] = (error.strerror or "unreadable").lower()
                continue
            self.last = path
            mount = mount if about.st_dev == device else mount_of(path)
            self._count += len(things) + 1
            self.is_full = self._count > MAX_THINGS
            if depth < MAX_DEPTH:
                waiting += [(each, depth + 1, mount, about.st_dev) for each in reversed(below)]
            yield Folder(path, root, mount, things)

    def _sorted(self, path: str, inode: int, inside: Listing) -> tuple[list[Thing], list[str]]:
        """What of a folder's content is an entry each, and the folders to go on with. Raises OSError."""
        below = [each.path for each in inside.values() if _is_folder(each)]
        form = form_of(inside)
        own: Listing = {}
        things: list[Thing] = []
        if form != "file":
            own = members(form, inside)
            for part in {Path(each.path).parent for each in own.values()}:
                self.changed[str(part)] = part.stat().st_mtime_ns
            things.append(_whole(form, path, inode, own))
        files = {name: each for name, each in inside.items() if name not in own and _may_be_model(name, inside)}
        beside = _beside(files, inside)
        for name, each in files.items():
            thing = self._file(each, beside.get(_stem(name), []), inside)
            things += [thing] if thing else []
        return things, [] if form == "model" else below

    def _file(self, entry: os.DirEntry[str], beside: list[os.DirEntry[str]], inside: Listing) -> Thing | None:
        try:
            if entry.is_file():
                if entry.is_symlink() and self._is_met(os.path.realpath(entry.path)):
                    return None
                about = entry.stat()
            elif entry.is_symlink():
                Path(entry.path).stat()
                return None
            else:
                return None
        except OSError:  # what it links to is not there, or itself
            return Thing("dangling", entry.path, 0, -1, 0, 0)
        is_unfinished = any(entry.name + mark in inside for mark in _MARKS)
        checksum = _checksum(beside)
        return Thing("file", entry.path, about.st_size, about.st_mtime_ns, about.st_ino, checksum, is_unfinished)

    def _is_met(self, target: str) -> bool:
        """Whether a link's target is come by under its own name."""
        seen = target.startswith(self._within) and f"{os.sep}." not in target
        return seen and target.lower().endswith(SUFFIXES)


def listing(folder: str) -> Listing:
    """What lies in a folder, by name, but for hidden things. Raises OSError."""
    with os.scandir(folder) as opened:
        return {each.name: each for each in sorted(opened, key=lambda each: each.name) if each.name[0] != "."}


def form_of(inside: Listing) -> Form:
    """Whether a folder is a model in the form of diffusers, one component of it, or a folder of files."""
    if "model_index.json" in inside or any(_has_config(inside.get(part)) for part in _DENOISERS):
        return "model"
    return "component" if "config.json" in inside and any(map(_MEMBER.fullmatch, inside)) else "file"


def members(form: Form, inside: Listing) -> Listing:
    """The files that make up a model or a component, by their names below its folder."""
    if form == "component":
        return {name: each for name, each in inside.items() if name == "config.json" or _MEMBER.fullmatch(name)}
    found = {name: each for name, each in inside.items() if name == "model_index.json"}
    for name, part in inside.items():
        if _is_folder(part):
            found |= {f"{name}/{inner}": each for inner, each in listing(part.path).items() if _is_file(each)}
    return found


def mount_of(path: str) -> str:
    """The folder that the drive of a path begins at."""
    real = Path(os.path.realpath(path))
    return str(next((at for at in (real, *real.parents) if os.path.ismount(at)), real))


def _whole(form: Form, path: str, inode: int, own: Listing) -> Thing:
    """A folder that is one entry; raises OSError where a part of it went meanwhile."""
    about = [each.stat() for each in own.values() if _is_file(each)]
    newest = max((each.st_mtime_ns for each in about), default=0)
    size = sum(each.st_size for each in about)
    return Thing(form, path, size, newest, inode, _checksum([each for each in own.values() if _is_file(each)]))


def _may_be_model(name: str, inside: Listing) -> bool:
    """OpenVINO's weights are no model without their graph, and are never one by themselves."""
    return name.lower().endswith(SUFFIXES) and f"{_stem(name)}.xml" not in inside


def _beside(files: Listing, inside: Listing) -> dict[str, list[os.DirEntry[str]]]:
    """By the stem of a model file: the files whose names go on from it, like its card and its preview."""
    stems = {_stem(name) for name in files}
    found: dict[str, list[os.DirEntry[str]]] = {}
    for name, each in inside.items():
        at = -1 if name in files else name.find(".")
        while at > 0:
            if name[:at] in stems:
                found.setdefault(name[:at], []).append(each)
            at = name.find(".", at + 1)
    return found


def _checksum(these: list[os.DirEntry[str]]) -> int:
    if not these:
        return 0
    about = [(each.name, each.stat().st_size, each.stat().st_mtime_ns) for each in these if _is_file(each)]
    return zlib.crc32(ascii(about).encode())


def _stem(name: str) -> str:
    return name.rpartition(".")[0]


def _has_config(part: os.DirEntry[str] | None) -> bool:
    return part is not None and (Path(part.path) / "config.json").is_file()


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _is_file(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_file()
    except OSError:
        return False
