"""What a file is taken for, with all that is known of it: its header, what lies beside it, what the person said."""

import logging
from pathlib import Path
from typing import cast

from engine.errors import EaselError
from engine.formats.headers import header_of
from engine.library import sidecars
from engine.library.catalogue import Catalogue, file_of_catalogue
from engine.library.guess import Guess, Kind
from engine.library.headers import guess_header
from engine.library.headers.answers import answers, settled
from engine.library.opened_weights import stamp
from engine.messages import Entry

_ABOUT = "few steps"
_INSTANT = 0.01
"""Seconds by which the same time may differ, once it was written as a fraction."""
_log = logging.getLogger(__name__)


def judged(file: Path) -> Guess:
    """As the library has it, the person's answers and corrections in it, if it has seen the file as it is now.

    Raises BadInput for a file that cannot be read.
    """
    entry = _seen(file)
    if entry is not None:
        refusal = entry.trouble if entry.state == "foreign" else ""
        return Guess(cast(Kind, entry.sort), entry.family, entry.variants, entry.rests_on, refusal)
    guess = guess_header(header_of(file), file.name)
    return settled(guess, answers(guess, sidecars.read(file)))


def few_steps_said(model: Path) -> str:
    """What is said of a model's few steps: the person's own answer, “no” among them, else what is known of the file or
    the folder and what lies beside it; empty for nothing.
    """
    entry = _seen(model)
    told = dict(entry.answers).get(_ABOUT, "") if entry else ""
    known = entry.variants if entry else judged(model).variants if model.is_file() else ()
    return told or next((each.removeprefix(f"{_ABOUT}: ") for each in known if each.startswith(f"{_ABOUT}: ")), "")


def _seen(file: Path) -> Entry | None:
    """What the library has of a folder, or of a file that is as it was."""
    if not file_of_catalogue().is_file():
        return None
    try:
        catalogue = Catalogue()
    except EaselError as error:  # said on the Models screen; the file itself tells most of it
        _log.info("%s", error)
        return None
    try:
        entry = catalogue.entry(str(file))
    finally:
        catalogue.close()
    if entry is None or entry.state not in ("here", "foreign"):
        return None
    if file.is_dir():  # no number tells whether a folder is as it was, and its answers hold
        return entry
    size, mtime_ns = stamp(file)
    is_same = entry.size_bytes == size and abs(entry.changed - mtime_ns / 1e9) < _INSTANT
    return entry if is_same else None
