"""The library's entries in order, and those that a person looks for among them; no Qt."""

from collections.abc import Mapping
from typing import NamedTuple

from desktop.state import Sieve
from engine.messages import Entry


class _Place(NamedTuple):
    """An entry, what it is sorted by, and everything that is searched, in small letters."""

    order: tuple[bool, str, str]
    words: str
    entry: Entry


class Shelf:
    """Remembers what it read of each entry, so that looking through 10,000 takes a millisecond or two."""

    def __init__(self) -> None:
        self._read: dict[str, _Place] = {}
        self._places: list[_Place] = []

    def fill(self, entries: Mapping[str, Entry]) -> None:
        """Take these; starred ones come first, then by name."""
        before, self._read = self._read, {}
        for path, entry in entries.items():
            known = before.get(path)
            self._read[path] = known if known and known.entry is entry else _place(entry)
        self._places = sorted(self._read.values(), key=_order)

    def found(self, sieve: Sieve) -> tuple[Entry, ...]:
        """What is let through, every word of the search in it."""
        words = sieve.words.casefold().split()
        return tuple(
            entry
            for _, text, entry in self._places
            if (not sieve.sort or entry.sort == sieve.sort)
            and (not sieve.family or entry.family == sieve.family)
            and (not sieve.standing or stands(entry, sieve.standing))
            and all(word in text for word in words)
        )


def stands(entry: Entry, standing: str) -> bool:
    """Whether an entry is in a state, starred, or has questions."""
    match standing:
        case "starred":
            return entry.starred
        case "asks":
            return bool(entry.questions)
        case _:
            return entry.state == standing


def _order(place: _Place) -> tuple[bool, str, str]:
    return place.order


def _place(entry: Entry) -> _Place:
    searched = (entry.name, *entry.tags, *entry.trigger_words, entry.notes, entry.path)
    return _Place((not entry.starred, entry.name.casefold(), entry.path), "\n".join(searched).casefold(), entry)
