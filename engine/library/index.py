"""Models by their names: Easel's own, those that the library knows elsewhere, and whatever is named by its path."""

import logging
import re
from collections.abc import Callable
from pathlib import Path

from engine.errors import BadInput, EaselError, closest
from engine.families import FAMILIES
from engine.formats.suffixes import SAFETENSORS, name_of
from engine.library.catalogue import Catalogue, file_of_catalogue
from engine.library.headers.signs import what
from engine.library.installed import installed, is_model
from engine.library.judged import few_steps_said, judged
from engine.library.recognise import recognise
from engine.library.single_file import opened
from engine.messages import Entry, ModelCard
from engine.offers import STARTER_NAME, can_draw, is_called, offers, safest
from engine.paths import STARTER

_STATES = {"missing": "is not to be reached now", "broken": "is broken", "foreign": "is not for Easel"}
_log = logging.getLogger(__name__)


class Unknown(BadInput):
    """No model has that name, as far as is known."""


def find(name: str, where: str = "model") -> ModelCard:
    """The model of that name, hash or path, wherever the library knows it.

    Only that one's files are read. Raises Unknown where there is none, and BadInput for broken ones, for those whose
    drive is away, and for a name that several have.
    """
    path, title = _place_of(name, where)
    try:
        return _card(path, title)
    except EaselError as error:
        raise BadInput(f"The model “{title}” cannot be used.", str(error), where=where) from error


def refiner(name: str, card: ModelCard) -> ModelCard | None:
    """The model that finishes another's pictures; None for no name. Raises BadInput where the two do not fit."""
    if not name:
        return None
    found = find(name, "refiner")
    if found.family not in FAMILIES[card.family].refined_by:
        raise BadInput(
            f"“{found.name}” cannot finish the pictures of “{card.name}”.",
            "Choose a refiner of the model's family, or none.",
            where="refiner",
        )
    return found


def _place_of(name: str, where: str) -> tuple[Path, str]:
    """Where a model lies, and what pictures are to call it."""
    if name.strip().casefold() == STARTER_NAME.casefold():
        return STARTER, STARTER_NAME
    path = Path(name)
    if name.startswith("~") or path.is_absolute():
        path = _at(name)
        if is_model(path):
            return path.resolve(), name_of(path)
    known = _asked(lambda catalogue: catalogue.named(name) or catalogue.called(name))
    here = [each for each in known if each.state == "here" and is_model(Path(each.path))]
    usable = safest(_distinct([*filter(can_draw, here), *_own(name, known)])) or here[:1]
    if len(usable) > 1:
        named = " or ".join(f"“{each.value}”" for each in offers(usable)[:3])
        raise BadInput(f"“{name[:80]}” is the name of {len(usable)} models.", f"Say which: {named}.", where)
    if usable:
        path = Path(usable[0].path)
        return path, name.strip() if re.search(r"[/\\]", name) else name_of(path)
    if is_model(path):
        return path.resolve(), name_of(path)
    raise _refusal(name, known, where)


def _at(name: str) -> Path:
    try:
        return Path(name).expanduser()
    except RuntimeError:  # “~nobody”
        return Path(name)


def _asked(question: Callable[[Catalogue], list[Entry]]) -> list[Entry]:
    """The library's answer; nothing where it cannot be asked."""
    if not file_of_catalogue().is_file():
        return []
    try:
        catalogue = Catalogue()
    except EaselError as error:  # said on the Models screen
        _log.info("%s", error)
        return []
    try:
        return question(catalogue)
    finally:
        catalogue.close()


def _own(name: str, known: list[Entry]) -> list[Entry]:
    """What lies in Easel's own folder under a name, and the library has not read as it is now."""
    read = {each.path for each in known if each.state == "here"}
    found = (
        Entry(path=str(path), name=name_of(path), is_pickle=path.is_file() and path.suffix.lower() not in SAFETENSORS)
        for path in installed()
        if str(path) not in read
    )
    return [each for each in found if is_called(each, name)]


def _distinct(found: list[Entry]) -> list[Entry]:
    """Each file once, however many links lead to it; one, where all are copies of the same."""
    once = {Path(each.path).resolve(): each for each in reversed(found)}
    contents = {each.sha256 for each in once.values()}
    return found[:1] if len(contents) == 1 and contents != {""} else list(once.values())


def _refusal(name: str, known: list[Entry], where: str) -> BadInput:
    """Why a name leads to no model."""
    for each in known:
        if each.state != "here":
            return BadInput(f"The model “{name[:80]}” {_STATES[each.state]}.", each.trouble, where)
    return Unknown(f"There is no model named “{name[:80]}”.", closest(name, _names()), where)


def _names() -> list[str]:
    known = offers(filter(can_draw, _asked(Catalogue.entries)))
    return list(dict.fromkeys([STARTER_NAME, *map(name_of, installed()), *(each.value for each in known)]))


def _card(path: Path, title: str) -> ModelCard:
    """Of a model folder, or of a file, which is opened as one. Raises EaselError."""
    folder = _opened(path) if path.is_file() else path
    found = recognise(folder)
    return ModelCard(
        name=title,
        path=str(folder),
        family=found.family.name,
        native_size=found.native_size,
        size_multiple=found.size_multiple,
        size_bytes=found.size_bytes,
        parameters=found.parameters,
        reads_guidance=found.reads_guidance,
        few_steps=few_steps_said(path),
    )


def _opened(file: Path) -> Path:
    """Raises BadInput for a file that holds something else than a model, or a model that Easel does not run."""
    guess = judged(file)
    if guess.refusal:
        raise EaselError(guess.refusal, "", str(file))
    if guess.kind not in ("checkpoint", "denoiser", "unknown"):
        raise BadInput(
            f"“{file.name}” holds {what(guess.kind, guess.family)}, no model.", "Choose a checkpoint.", str(file)
        )
    return opened(file, guess.family, guess.variants)
