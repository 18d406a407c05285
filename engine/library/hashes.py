"""The hashes that programs know a model by, counted once and in the background."""

import hashlib
from collections.abc import Callable
from pathlib import Path

from engine.library.catalogue import Catalogue, Hashes, Stamp
from engine.library.walk import form_of, listing, members
from engine.messages import Entry

BLOCK = 2**20
"""Bytes between two looks at whether to stop."""
_OLD = 0x10000
"""Bytes of A1111's old hash, which begins at the second block (its `modules/sd_models.py`, `model_hash`)."""

Stop = Callable[[], bool]


class _Stopped(Exception):
    """It was told to."""


def short(sha256: str) -> str:
    """AutoV2: what A1111 and Civitai write as the hash of a model."""
    return sha256[:10]


def hash_next(catalogue: Catalogue, stop: Stop = lambda: False) -> Entry | None:
    """Count one file that has not been, and remember it. None where there is none left, or `stop` said so.

    A file that changes meanwhile, or cannot be read, is left to the next scan. A folder's hash is over the hashes of
    its files. Raises EaselError where the catalogue cannot be written.
    """
    while not stop() and (waiting := catalogue.unhashed()):
        path, stamp, is_lora = waiting
        try:
            hashes = _of_folder(Path(path), stop) if Path(path).is_dir() else _of_file(Path(path), is_lora, stop)
            is_still = _is_still(Path(path), stamp)
        except OSError:
            is_still, hashes = False, Hashes("")
        except _Stopped:
            return None
        if not is_still:
            catalogue.look_again(path)
        elif found := catalogue.put_hashes(path, stamp, hashes):
            return found
    return None


def _of_file(path: Path, is_lora: bool, stop: Stop) -> Hashes:
    """One reading for all. `is_lora` asks for the hash behind the header, too (kohya's `addnet_hash_safetensors`)."""
    whole, data, old = hashlib.sha256(), hashlib.sha256(), ""
    with path.open("rb") as file:
        head = int.from_bytes(file.read(8), "little") + 8 if is_lora else 0
        file.seek(0)
        block, at = memoryview(bytearray(BLOCK)), 0
        while read := file.readinto(block):
            if stop():
                raise _Stopped
            whole.update(block[:read])
            if is_lora and at + read > head:
                data.update(block[max(0, head - at) : read])
            if at == BLOCK:
                old = hashlib.sha256(block[: min(read, _OLD)]).hexdigest()[:8]
            at += read
    return Hashes(whole.hexdigest(), data.hexdigest() if is_lora else "", old)


def _of_folder(folder: Path, stop: Stop) -> Hashes:
    """Over the names and the hashes of the files that make it up."""
    inside = listing(str(folder))
    lines = [
        f"{_of_file(Path(each.path), False, stop).sha256}  {name}\n"
        for name, each in sorted(members(form_of(inside), inside).items())
        if each.is_file()
    ]
    return Hashes(hashlib.sha256("".join(lines).encode()).hexdigest())


def _is_still(path: Path, stamp: Stamp) -> bool:
    if not path.is_dir():
        about = path.stat()
        return (about.st_size, about.st_mtime_ns) == (stamp.size, stamp.mtime_ns)
    inside = listing(str(path))
    about = [each.stat() for each in members(form_of(inside), inside).values() if each.is_file()]
    sizes, times = [each.st_size for each in about], [each.st_mtime_ns for each in about]
    return (sum(sizes), max(times, default=0)) == (stamp.size, stamp.mtime_ns)
