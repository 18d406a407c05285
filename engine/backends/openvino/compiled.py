"""The folders of OpenVINO's compiled graphs: one for each graph, size and change of weights, within a limit."""

import hashlib
import logging
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec
import numpy as np

from engine.errors import EaselError
from engine.paths import cache, whole

_log = logging.getLogger(__name__)

LIMIT_BYTES = 8 * 2**30
"""Of all of them together; programs in the field let theirs grow to 17 and 65 GB."""
_COUNTS_BYTES = 20 * 2**20
"""Graphs of fewer bytes say nothing about the pace of large ones."""

Way = Literal["compile", "read"]
"""Whether a graph is compiled anew, or read as it was compiled before."""


def home() -> Path:
    """Where the folders are."""
    return cache("compiled")


def folder_for(graph: Path, hint: str, sizes: Mapping[str, tuple[int, ...]], weights: Mapping[str, np.ndarray]) -> Path:
    """The folder for a graph compiled so, made if need be and marked as used now; others go where there are too many.

    A folder a precision, too: OpenVINO 2026.4.1 leaves the hint out of its own key, and a blob compiled for f32 gives
    NaN when bf16 finds it (seen).
    """
    digest = hashlib.sha256(f"{graph} {hint} {sorted(sizes.items())}".encode())
    for path, weight in sorted(weights.items()):
        digest.update(path.encode())
        digest.update(np.ascontiguousarray(weight).data)
    folder = home() / digest.hexdigest()[:20]
    folder.mkdir(parents=True, exist_ok=True)
    os.utime(folder)
    trim(folder.parent, LIMIT_BYTES)
    return folder


def trim(parent: Path, limit_bytes: int) -> None:
    """Remove the folders that were not used for longest until the rest is within the limit; the newest one stays."""
    found = sorted(_folders(parent), key=lambda each: each.stat().st_mtime_ns)
    sizes = {each: _size(each) for each in found}
    total = sum(sizes.values())
    for each in found[:-1]:
        if total <= limit_bytes:
            return
        shutil.rmtree(each, ignore_errors=True)
        total -= sizes[each]


class Held(NamedTuple):
    """What the folders hold."""

    graphs: int
    bytes: int


def held() -> Held:
    """How many compiled graphs there are, and their size."""
    found = _folders(home())
    return Held(len(found), sum(map(_size, found)))


def clear() -> Held:
    """Remove what is there, and say what it was; the next pictures compile anew. What is in use stays (Windows)."""
    before = held()
    for each in _folders(home()):
        shutil.rmtree(each, ignore_errors=True)
    after = held()
    return Held(before.graphs - after.graphs, before.bytes - after.bytes)


def _folders(parent: Path) -> list[Path]:
    return [each for each in parent.iterdir() if each.is_dir()] if parent.is_dir() else []


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


class Pace(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds for a gigabyte of a graph's weights, as they were last time; before, of a laptop."""

    compile: float = 4.0
    read: float = 2.0


def way(folder: Path) -> Way:
    """How the graph that is compiled into `folder` comes about."""
    return "read" if any(folder.glob("*.blob")) else "compile"


def expected_seconds(graph: Path, way: Way) -> float:
    """How long the graph will take, by the pace of the last one."""
    return 1.0 + getattr(_pace(), way) * _weights(graph) / 1e9


def remember(graph: Path, way: Way, seconds: float) -> None:
    """Keep the pace of a graph for the next one."""
    if _weights(graph) < _COUNTS_BYTES:
        return
    pace = msgspec.structs.replace(_pace(), **{way: seconds / _weights(graph) * 1e9})
    try:
        with whole(_pace_file()) as part:
            part.write_bytes(msgspec.json.encode(pace))
    except EaselError as error:  # two graphs that end at once, or a full disk: an estimate is not worth a picture
        _log.info("%s", error)


def _weights(graph: Path) -> int:
    return graph.with_suffix(".bin").stat().st_size


def _pace() -> Pace:
    try:
        return msgspec.json.decode(_pace_file().read_bytes(), type=Pace)
    except (OSError, msgspec.MsgspecError):  # none yet, or spoiled: the next graph writes it anew
        return Pace()


def _pace_file() -> Path:
    return home() / "pace.json"
