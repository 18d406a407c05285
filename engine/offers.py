"""What of the library can be drawn with, and what the settings call each of it, so that no two are mistaken."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import PurePath
from typing import NamedTuple

from engine.families import FAMILIES
from engine.formats.suffixes import SUFFIXES, name_of
from engine.messages import Entry
from engine.paths import STARTER

STARTER_NAME = "Easel Starter"
_STARTER = str(STARTER)
_DRAW = ("checkpoint", "denoiser")
"""Kinds of what draws; a denoiser alone borrows what it lacks from another model of its family."""


class Offer(NamedTuple):
    """One entry of the library to choose."""

    entry: Entry
    value: str
    """What the settings have for it: its name; where others have the same, with folders that it lies in before it."""
    label: str
    """What people see; no two have the same."""


def can_draw(entry: Entry) -> bool:
    """Whether it is a model of a family that Easel runs; its drive may be away."""
    return entry.sort in _DRAW and entry.state in ("here", "missing") and entry.family in FAMILIES


def safest(twins: list[Entry]) -> list[Entry]:
    """Of those that one name means, the ones that are no pickles: many a model was published in both forms."""
    return [each for each in twins if not each.is_pickle] or twins


def is_called(entry: Entry, name: str) -> bool:
    """Whether people mean it by that name: its title, or its file's name with or without the ending.

    Before the file's name may stand folders that it lies in, with / or \\ between them.
    """
    wanted = name.strip().casefold()
    if wanted == entry.name.casefold():
        return True
    if entry.path == _STARTER:  # its folder's name means nothing to anybody
        return wanted == STARTER_NAME.casefold()
    *folders, last = re.split(r"[/\\]", wanted)
    stem = last.removesuffix(next(filter(last.endswith, SUFFIXES), ""))
    path = entry.path.casefold()
    if stem not in path:  # most are passed over here
        return False
    *parents, own = PurePath(path).parts
    return last in (own, name_of(own)) and (not folders or parents[-len(folders) :] == folders)


def offers(entries: Iterable[Entry]) -> tuple[Offer, ...]:
    """These entries to choose from: the starter first, then the starred ones, then by what people see."""
    given = list(entries)
    names = [_name(entry) for entry in given]
    said = Counter(key for entry, name in zip(given, names, strict=True) for key in {name.casefold(), _title(entry)})
    twins: dict[str, list[str]] = {}
    for entry, name in zip(given, names, strict=True):
        if said[name.casefold()] > 1:
            twins.setdefault(name.casefold(), []).append(entry.path)
    apart = {path: value for paths in twins.values() for path, value in _told_apart(paths)}
    values = [apart.get(entry.path, name) for entry, name in zip(given, names, strict=True)]
    shown = Counter(map(_title, given))
    made = [
        Offer(entry, value, entry.name if shown[_title(entry)] == 1 else f"{entry.name} · {_apart(entry, value)}")
        for entry, value in zip(given, values, strict=True)
    ]
    return tuple(sorted(made, key=_order))


def meant(offered: Sequence[Offer], value: str) -> Offer | None:
    """The one that the settings mean by a value; None where none is, or several may be."""
    exact = next((each for each in offered if each.value == value), None)
    if exact:
        return exact
    found = [each for each in offered if each.entry.path == value or is_called(each.entry, value)]
    twins = safest([each.entry for each in found])
    return next((each for each in found if each.entry is twins[0]), None) if len(twins) == 1 else None


def _name(entry: Entry) -> str:
    return STARTER_NAME if entry.path == _STARTER else name_of(entry.path)


def _title(entry: Entry) -> str:
    return entry.name.casefold()


def _told_apart(twins: list[str]) -> Iterator[tuple[str, str]]:
    """Paths of one name, and for each the name with as few folders before it as no other has; else the path itself."""
    left = {path: PurePath(path) for path in twins}
    every = list(left.values())
    calls: tuple[Callable[[PurePath], str], ...] = (name_of, lambda path: path.name)
    for call in calls:
        for count in range(1, max(len(path.parts) for path in every) - 1):
            values = ["/".join((*path.parts[-count - 1 : -1], call(path))) for path in every]
            seen = Counter(map(str.casefold, values))
            for path, value in zip(twins, values, strict=True):
                if path in left and seen[value.casefold()] == 1 and len(left[path].parts) > count + 1:
                    del left[path]
                    yield path, value
    for path in left:
        yield path, path


def _apart(entry: Entry, value: str) -> str:
    """What tells it from those with the same title: the folders, where only they do."""
    folders, _, own = value.rpartition("/")
    return folders if folders and own.casefold() == _title(entry) else value


def _order(offer: Offer) -> tuple[bool, bool, str, str]:
    return offer.entry.path != _STARTER, not offer.entry.starred, offer.label.casefold(), offer.entry.path
