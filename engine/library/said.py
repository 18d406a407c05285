"""What the person says of a file: put over what is guessed, and kept apart from it, so that it is never lost."""

import logging
from pathlib import Path
from typing import Any, cast

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from engine.errors import BadInput
from engine.families import FAMILIES
from engine.library.guess import KINDS, Guess, Kind, Question
from engine.library.headers.answers import settled
from engine.messages import Describe, Entry
from engine.paths import whole

_log = logging.getLogger(__name__)
_WORDS = ("name", "notes", "tags", "trigger_words", "starred", "sort", "family", "variants")
_LONGEST = {"name": 200, "notes": 100_000}


class Said(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """All that the person said of one content."""

    sha256: str = ""
    """Of the file; empty until it has been counted, and the words follow the path."""
    size: int = 0
    """Bytes of the file when it was last seen at the path."""
    words: Describe
    """Its path is where the file was last seen."""


class Kept(Struct, frozen=True, kw_only=True):
    """Everything in the catalogue that cannot be read from the files again."""

    roots: tuple[str, ...] = ()
    said: tuple[Said, ...] = ()


def checked(words: Describe) -> Describe:
    """The words. Raises BadInput for a kind or a family that there is none of, and for texts without end."""
    if words.sort and words.sort not in KINDS:
        raise BadInput(f"“{words.sort[:40]}” is no kind of model.", f"Kinds are: {', '.join(KINDS)}.", "sort")
    if words.family and words.family not in FAMILIES:
        raise BadInput(f"“{words.family[:40]}” is no family.", f"Families are: {', '.join(FAMILIES)}.", "family")
    for field, longest in _LONGEST.items():
        if len(getattr(words, field) or "") > longest:
            raise BadInput(f"The {field} is too long.", f"Use at most {longest:,} letters.", field)
    return words


def joined(before: Describe, now: Describe) -> Describe:
    """What was said in all: the later word holds; an empty answer takes the earlier one back."""
    news: dict[str, Any] = {field: value for field in _WORDS if (value := getattr(now, field)) is not None}
    answers = {about: answer for about, answer in (dict(before.answers) | dict(now.answers)).items() if answer}
    return replace(before, path=now.path, answers=tuple(answers.items()), **news)


def put_over(entry: Entry, words: Describe) -> Entry:
    """The entry as the person wants it known. What they overrule they are told, too."""
    answers = dict(words.answers)
    kind = answers.pop("kind", "")
    questions = tuple(Question(*each) for each in entry.questions)
    guess = settled(Guess(cast(Kind, entry.sort), entry.family, entry.variants, questions=questions), answers)
    sort, family = words.sort or kind, words.family or guess.family
    settles = {"kind": sort, "family": words.family}
    news: dict[str, Any] = {
        field: value
        for field in ("notes", "tags", "trigger_words", "starred")
        if (value := getattr(words, field)) is not None
    }
    if sort or words.family or words.variants:
        news["rests_on"] = f"You said so. {entry.rests_on}".strip()
    if entry.state == "here" and guess.refusal:
        news |= {"state": "foreign", "trouble": guess.refusal}
    elif entry.state == "foreign" and words.family:
        news |= {"state": "here", "trouble": ""}
    return replace(
        entry,
        name=words.name or entry.name,
        sort=sort or entry.sort,
        family=family,
        variants=words.variants or guess.variants,
        questions=tuple(each for each in guess.questions if not settles.get(each.about)),
        answers=words.answers,
        **news,
    )


def keep(file: Path, kept: Kept) -> None:
    """Write it whole or not at all. Raises EaselError where the folder refuses."""
    with whole(file) as part:
        part.write_bytes(msgspec.json.format(msgspec.json.encode(kept)))


def read(file: Path) -> Kept:
    """What was kept; nothing where there is none. A file that is damaged is set aside."""
    try:
        return msgspec.json.decode(file.read_bytes(), type=Kept)
    except FileNotFoundError:
        return Kept()
    except (OSError, ValueError, RecursionError) as error:  # msgspec's errors are ValueErrors
        _log.info("%s is not readable (%s): set aside", file.name, type(error).__name__)
    try:
        file.replace(file.with_suffix(f".spoiled{file.suffix}"))
    except OSError as error:
        _log.info("%s could not be set aside (%s)", file.name, type(error).__name__)
    return Kept()
