"""Where the graphs of a model are kept, and the process of its own that makes them, once."""

import hashlib
import queue
import shutil
import signal
import subprocess
import tempfile
import threading
from importlib.metadata import version
from pathlib import Path

import msgspec
import psutil

from engine.backends.backend import Report
from engine.backends.patience import TICK_SECONDS
from engine.components import Component
from engine.errors import EaselError, OutOfMemory, for_want_of_memory
from engine.library.recognise import weight_files
from engine.messages import Preparing
from engine.paths import cache, program, ready

RECIPE = 3
"""Raised when the graphs are made otherwise, so that old ones are made again."""


class Conversion(msgspec.Struct, frozen=True, kw_only=True):
    """What the converting process is asked for, as one JSON argument."""

    components: list[tuple[str, str, str]]
    """Part, class name and folder."""
    target: str
    int8: bool


def ensure(components: list[Component], precision: str, report: Report) -> Path:
    """The folder with `<part>.xml` for each component. Converts in a child process where it is not there yet.

    Raises EaselError where the child fails, and whatever `report` raises, once the child is gone.
    """
    kind = "int8" if precision == "int8" else "float"
    target = cache("converted") / f"{fingerprint(components)}-{kind}"
    if not target.is_dir():
        ready(target.parent)
        _clear_leftovers(target.parent)
        _run(
            Conversion(
                components=[(each.part, each.class_name, str(each.folder)) for each in components],
                target=str(target),
                int8=kind == "int8",
            ),
            report,
        )
    return target


def fingerprint(components: list[Component]) -> str:
    """Changes with any weights file, with OpenVINO's version and with our recipe."""
    digest = hashlib.sha256(f"{RECIPE} {version('openvino')}".encode())
    for component in components:
        for path in weight_files(component.folder):
            status = path.resolve().stat()
            digest.update(f"{path.resolve()} {status.st_size} {status.st_mtime_ns}".encode())
        digest.update((component.folder / "config.json").read_bytes())
    return digest.hexdigest()[:20]


def _clear_leftovers(folder: Path) -> None:
    """Remove the half-made graphs of converting processes that are gone."""
    for part in folder.glob("*.part"):
        owner = part.name.split(".")[-2]
        if not (owner.isdigit() and psutil.pid_exists(int(owner))):
            shutil.rmtree(part, ignore_errors=True)


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
    while step is not None:
        report(step.what, step.done)
        try:
            step = said.get(timeout=TICK_SECONDS)
        except queue.Empty:
            continue


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
    if code != 0:
        raise EaselError(
            f"The model could not be converted for OpenVINO ({why}).",
            "Try again, or choose the backend “torch”.",
            where=conversion.components[0][2],
        )
