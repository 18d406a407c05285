"""Where the graphs of a model are kept, and the process of its own that makes them, once."""

import hashlib
import os
import queue
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

import msgspec
import psutil
from filelock import FileLock, Timeout

from engine.components import Component, numbers
from engine.errors import EaselError, OutOfMemory, for_want_of_memory
from engine.library import conversions
from engine.library.converted_pickles import as_safetensors, uncopied
from engine.library.recognise import weight_files
from engine.messages import Preparing
from engine.paths import cache, program, ready
from engine.patience import TICK_SECONDS, Report

INT8 = "EASEL_INT8"
"""A variable of the environment that says what int8 means: “weights” for those alone, as `easel bench` compares it."""
_WEIGHTS_ONLY = "int8-weights"
_KEPT_SECONDS = 7 * 24 * 3600
_SPARE_DISK = 300 * 10**6
"""Bytes that stay free for everything else."""


class Conversion(msgspec.Struct, frozen=True, kw_only=True):
    """What the converting process is asked for, as one JSON argument."""

    components: list[tuple[str, str, str]]
    """Part, class name and folder."""
    target: str
    int8: bool
    weights_only: bool = False
    """Whether the denoiser's activations stay in float."""


def ensure(components: list[Component], precision: str, report: Report) -> Path:
    """The folder with `<part>.xml` for each component. Converts in a child process where it is not there yet.

    Raises EaselError where the child fails, and whatever `report` raises, once the child is gone.
    """
    target = _target(components, precision)
    if not target.is_dir():
        ready(target.parent)
        with _alone(target, report):
            if not target.is_dir():  # another process has not made it meanwhile
                _clear_leftovers(target.parent)
                unread = uncopied(file for each in components for file in weight_files(each.folder))
                _check_disk(components, target.parent, sum(file.stat().st_size for file in unread))
                for file in unread:
                    as_safetensors(file, report)
                _run(
                    Conversion(
                        components=[(each.part, each.class_name, str(each.folder)) for each in components],
                        target=str(target),
                        int8=precision == "int8",
                        weights_only=_kind(precision) == _WEIGHTS_ONLY,
                    ),
                    report,
                )
    return target


def is_there(components: list[Component], precision: str) -> bool:
    """Whether they need no converting any more."""
    return _target(components, precision).is_dir()


def _target(components: list[Component], precision: str) -> Path:
    return cache("converted") / f"{fingerprint(components)}-{_kind(precision)}"


def _kind(precision: str) -> str:
    if precision != "int8":
        return "float"
    return _WEIGHTS_ONLY if os.environ.get(INT8) == "weights" else "int8"


def fingerprint(components: list[Component]) -> str:
    """Changes with any weights file, with OpenVINO's version and with our recipe."""
    digest = hashlib.sha256(f"{conversions.RECIPE} {version('openvino')}".encode())
    for component in components:
        for path in weight_files(component.folder):
            status = path.resolve().stat()
            digest.update(f"{path.resolve()} {status.st_size} {status.st_mtime_ns}".encode())
        if component.folder.is_dir():
            digest.update((component.folder / "config.json").read_bytes())
    return digest.hexdigest()[:20]


@contextmanager
def _alone(target: Path, report: Report) -> Iterator[None]:
    """Inside, no other process makes the same graphs: two at once would take twice the memory."""
    lock = FileLock(target.with_suffix(".lock"))
    while True:
        try:
            lock.acquire(timeout=TICK_SECONDS)
            break
        except Timeout:
            report("Waiting for the same conversion in another window", 0.0)
    try:
        yield
    finally:
        lock.release()


def _check_disk(components: list[Component], folder: Path, copies: int) -> None:
    """Raise EaselError where there is no room for the graphs in float32, the weights of the largest part once more, and
    `copies`, bytes of what is made safe before.
    """
    counts = [numbers(each) for each in components]
    needed, free = 4 * (sum(counts) + max(counts)) + copies + _SPARE_DISK, shutil.disk_usage(folder).free
    if free < needed:
        raise EaselError(
            f"Converting the model for OpenVINO takes up to {needed / 1e9:.1f} GB on the disk, and {free / 1e9:.1f} GB "
            f"is free in “{folder}”.",
            "Free some space, or choose the backend “torch”.",
            where=str(folder),
        )


def _clear_leftovers(folder: Path) -> None:
    """Remove what processes that are gone have left, and graphs whose model is another now.

    What a conversion that was ended has finished of a model stays a week, to be taken up again.
    """
    for part in folder.glob("*.part"):
        is_old = time.time() - part.stat().st_mtime > _KEPT_SECONDS
        if not is_owned(part) and (is_old or conversions.read(part) is None):
            shutil.rmtree(part, ignore_errors=True)
    for made in folder.iterdir():
        source = conversions.read(made)
        if source and conversions.is_outdated(source):
            shutil.rmtree(made, ignore_errors=True)


def is_owned(part: Path) -> bool:
    """Whether the process that makes a folder, and whose number is in its name, still runs."""
    owner = part.name.split(".")[-2]
    try:
        return owner.isdigit() and psutil.Process(int(owner)).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _listen(child: subprocess.Popen[bytes], report: Report) -> None:
    """Tell what the child says until it has said everything; in between again, so that a cancel is seen at once."""
    said: queue.Queue[Preparing | None] = queue.Queue()

    def read() -> None:
        assert child.stdout is not None
        try:
            for line in child.stdout:
                said.put(msgspec.json.decode(line, type=Preparing))
        finally:
            said.put(None)

    threading.Thread(target=read, daemon=True).start()
    step: Preparing | None = Preparing(what="Converting the model, once")
    began = heard = time.monotonic()
    shown = 0.0
    while step is not None:
        shown = max(shown, _foreseen(step.done, heard - began, time.monotonic() - heard))
        report(step.what, shown)
        try:
            step, heard = said.get(timeout=TICK_SECONDS), time.monotonic()
        except queue.Empty:
            continue


def _foreseen(done: float, taken: float, since: float) -> float:
    """How much is done by now if it goes on as it went; never all, for what comes may take longer."""
    return min(done + done * since / taken, done + 0.9 * (1 - done)) if taken else 0.0


def _run(conversion: Conversion, report: Report) -> None:
    command = [*program(), "--convert", msgspec.json.encode(conversion).decode()]
    with (
        tempfile.TemporaryFile() as errors,  # not a pipe: nobody reads along, and a full one would stop the child
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors) as child,
    ):
        try:
            _listen(child, report)
        except BaseException:
            child.kill()
            raise
        code = child.wait()
        errors.seek(0)
        last_words = errors.read().decode(errors="replace").strip().splitlines()[-1:]
    why = "".join(last_words) or str(code)
    killed = hasattr(signal, "SIGKILL") and code == -signal.SIGKILL  # what Linux does to who takes the last memory
    if killed or (code != 0 and for_want_of_memory(EaselError(why, ""))):
        raise OutOfMemory(
            "There is too little memory to convert the model for OpenVINO.",
            "Close other programs, or use a smaller model.",
        )
    if code != 0 and shutil.disk_usage(Path(conversion.target).parent).free < _SPARE_DISK:
        raise EaselError(
            "The disk became full while the model was converted for OpenVINO.",
            "Free some space, then try again: what is finished is kept.",
            where=str(Path(conversion.target).parent),
        )
    if code != 0:
        raise EaselError(
            f"The model could not be converted for OpenVINO ({why}).",
            "Try again, or choose the backend “torch”.",
            where=conversion.components[0][2],
        )
