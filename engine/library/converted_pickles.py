"""Copies of PyTorch's files as .safetensors, made by a process of its own that can do nothing else."""

import contextlib
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

import msgspec
import psutil
from msgspec import Struct

from engine import offline
from engine.errors import BAD_INPUT, DONE, FAILED, BadInput, EaselError
from engine.formats.magic import WEIGHTS, Form, form_of, refusal
from engine.formats.pickles import Stored, read_pickle
from engine.formats.safetensors import SIZES, header_text, read_header
from engine.formats.steady import Damaged, steady
from engine.library.opened_weights import SOURCE, Source, put_json, stamp
from engine.paths import PART, cache, program, ready, unwritten, whole
from engine.patience import TICK_SECONDS, Report
from engine.stdio import end_with_parent, own_output

_RECIPE = 1
"""Raised when copies are made otherwise, so that old ones are made again."""
_PIECE = 8 * 2**20
_SPARE_DISK = 64 * 2**20
_MAX_SCATTERED = 2**30
"""Bytes of one tensor whose numbers must be gathered; they are held in memory."""
_MEMORY = 4 * 2**30
_CPU_SECONDS = 600
_SECONDS_A_GIB = 60


class _Order(Struct, frozen=True):
    """What the process is asked for, as one JSON argument."""

    source: str
    target: str


class _Verdict(Struct, frozen=True):
    """Why it was not done."""

    cause: str
    advice: str


def as_safetensors(path: Path, report: Report) -> Path:
    """The weights of a file as .safetensors: itself, or a copy in Easel's cache, made once; the file is left alone.

    Raises BadInput naming a file that holds no weights Easel reads, EaselError where the copy cannot be written, and
    whatever `report` raises, once the process that makes it is gone.
    """
    target = _copy_of(path)
    if not target.is_file():  # looked for first: telling a zip's form takes time, and single tensors are asked for
        form = form_of(path)
        if form is Form.SAFETENSORS:
            return path
        if form not in WEIGHTS:
            raise refusal(path, form)
        _clear(ready(target.parent.parent), target.parent)
        with whole(ready(target.parent) / target.name) as part:
            put_json(target.parent.parent / SOURCE, Source(str(path.resolve()), {}))
            _convert(path, part, report)
            read_header(part)
            if _copy_of(path) != target:
                raise BadInput(
                    f"“{path.name}” changed while it was read.", "Wait until it is whole, then try again.", str(path)
                )
    return target


def uncopied(files: Iterable[Path]) -> list[Path]:
    """Those of the files, each once, that must be copied before their numbers can be read. Raises BadInput."""
    new = [each for each in dict.fromkeys(files) if not _copy_of(each).is_file()]
    return [each for each in new if form_of(each) is not Form.SAFETENSORS]


def copies() -> Path:
    """Where the copies lie: a folder for each file, which says in SOURCE whose it is."""
    return cache("safetensors")


def _copy_of(path: Path) -> Path:
    """Where the copy is, or will be: a folder for the file's place, one in it for what it is now, its own name."""
    size, mtime_ns = stamp(path)
    place = hashlib.sha256(str(path.resolve()).encode(errors="surrogateescape")).hexdigest()[:20]
    return copies() / place / f"{_RECIPE}-{size:x}-{mtime_ns:x}" / f"{path.stem}.safetensors"


def _clear(folder: Path, kept: Path) -> None:
    """Remove copies of what the file was before, and what a process that is gone left half made."""
    for old in folder.iterdir():
        if old != kept and old.is_dir():
            shutil.rmtree(old, ignore_errors=True)
    for part in kept.glob(f".*{PART}"):
        owner = part.name.split(".")[-2]
        if not (owner.isdigit() and psutil.pid_exists(int(owner))):
            part.unlink(missing_ok=True)


def _convert(path: Path, part: Path, report: Report) -> None:
    order = _Order(str(path.resolve()), str(part))
    command = [*program(), "--unpickle", msgspec.json.encode(order).decode()]
    size = max(1, path.stat().st_size)
    with (
        tempfile.TemporaryFile() as said,  # files, not pipes: nobody reads along, and a full pipe would stop the child
        tempfile.TemporaryFile() as errors,
        subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=said,
            stderr=errors,
            env=os.environ | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),  # Windows: no console of its own
        ) as child,
    ):
        try:
            for _ in _until_over(child):
                report("Making a safe copy of the model, once", min(1.0, _length(part) / size))
        except BaseException:
            child.kill()
            raise
        said.seek(0)
        errors.seek(0)
        if child.returncode != DONE:
            raise _failure(path, child.returncode, said.read(), errors.read())


def _until_over(child: subprocess.Popen[bytes]) -> Iterator[None]:
    while True:
        yield
        try:
            child.wait(TICK_SECONDS)
        except subprocess.TimeoutExpired:
            continue
        return


def _length(part: Path) -> int:
    try:
        return part.stat().st_size
    except FileNotFoundError:
        return 0


def _failure(path: Path, code: int, said: bytes, errors: bytes) -> EaselError:
    try:
        verdict = msgspec.json.decode(said, type=_Verdict)
    except msgspec.MsgspecError:
        why = "".join(errors.decode(errors="replace").strip().splitlines()[-1:]) or f"code {code}"
        return EaselError(
            f"“{path.name}” could not be copied ({why}).", "Close other programs, then try again.", str(path)
        )
    kind = BadInput if code == BAD_INPUT else EaselError
    return kind(verdict.cause, verdict.advice, str(path))


# ---------------------------------------------------------------- the process


def main(argument: str) -> int:
    """Write the copy that `argument`, an order in JSON, asks for; why it cannot be goes to standard output."""
    end_with_parent()
    output = own_output()
    order = msgspec.json.decode(argument, type=_Order)
    source, target = Path(order.source), Path(order.target)
    _limit(source.stat().st_size)
    offline.confine(target)
    try:
        _write(source, target)
    except EaselError as error:
        output.write(msgspec.json.encode(_Verdict(error.cause, error.advice)))
        return BAD_INPUT if isinstance(error, BadInput) else FAILED
    return DONE


def _limit(size: int) -> None:
    """As much memory, time and disk as an honest file of `size` bytes can need, where the system counts them."""
    if sys.platform == "win32":
        return
    import resource

    limits = {
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_CPU: _CPU_SECONDS + _SECONDS_A_GIB * size // 2**30,
        resource.RLIMIT_AS: _MEMORY,
        resource.RLIMIT_FSIZE: 3 * size + _SPARE_DISK,
    }
    for kind, most in limits.items():
        with contextlib.suppress(ValueError, OSError):  # macOS knows the names, and not all of the limits
            resource.setrlimit(kind, (most, resource.getrlimit(kind)[1]))


def _write(source: Path, target: Path) -> None:
    found = read_pickle(source)
    tensors = dict(sorted(found.tensors.items(), key=lambda item: (-SIZES[item[1].dtype], item[0])))  # all aligned
    header = header_text(
        {name: (each.dtype, each.shape) for name, each in tensors.items()}, {"format": "pt", **found.metadata}
    )
    needed = len(header) + sum(each.numbers * SIZES[each.dtype] for each in tensors.values())
    free = shutil.disk_usage(target.parent).free
    if free < needed + _SPARE_DISK:
        raise EaselError(
            f"A safe copy of “{source.name}” takes {needed / 1e9:.1f} GB, and {free / 1e9:.1f} GB are free.",
            "Free some space, then try again.",
        )
    with steady(source) as (file, _), target.open("wb") as copy:
        _put(copy, header, target)
        for tensor in tensors.values():
            for piece in _numbers(file, tensor):
                _put(copy, piece, target)


def _put(copy: BinaryIO, piece: bytes, target: Path) -> None:
    try:
        copy.write(piece)
        copy.flush()
    except OSError as error:  # here, where it is known that writing failed and not reading
        raise unwritten(target, error) from error


def _numbers(file: BinaryIO, tensor: Stored) -> Iterator[bytes]:
    """The tensor's numbers in the order of its shape, piece by piece."""
    if not tensor.in_order:
        yield from _gathered(file, tensor)
        return
    file.seek(tensor.begin)
    left = tensor.span
    while left:
        piece = file.read(min(left, _PIECE))
        if not piece:
            raise Damaged("it is cut off")
        left -= len(piece)
        yield piece


def _gathered(file: BinaryIO, tensor: Stored) -> Iterator[bytes]:
    import numpy as np

    if tensor.span > _MAX_SCATTERED:
        raise Damaged("a tensor in it is too large for the way its numbers lie", "Look for a .safetensors file of it.")
    file.seek(tensor.begin)
    content = file.read(tensor.span)
    if len(content) < tensor.span:
        raise Damaged("it is cut off")
    width = SIZES[tensor.dtype]
    flat = np.frombuffer(content, f"u{width}")
    strides = [stride * width for stride in tensor.strides]
    view = np.lib.stride_tricks.as_strided(flat, tensor.shape, strides, writeable=False)
    rows = max(1, _PIECE * len(view) // view.nbytes)
    for first in range(0, len(view), rows):
        yield view[first : first + rows].tobytes()
