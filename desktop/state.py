"""What the screens show: one frozen value and one signal. The only place that understands events."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from msgspec import Struct, structs
from PySide6.QtCore import QObject, Signal

from engine.families import FAMILIES
from engine.messages import (
    CancelledJob,
    Converting,
    Done,
    Entries,
    Entry,
    Event,
    Failed,
    Hindrance,
    Paused,
    Picture,
    Pictures,
    Preparing,
    Progress,
    Queued,
    Ready,
    Scanned,
    Started,
    WorkerLost,
)
from engine.offers import Offer, can_draw, meant, offers
from engine.settings import GenerateSettings, Preferences

LISTING = "listing"
"""The job that asks what the library knows."""
_Entries = Mapping[str, Entry]
_SETTINGS = frozenset(GenerateSettings.__struct_fields__)
_PREFERENCES = frozenset(Preferences.__struct_fields__)


class Sieve(Struct, frozen=True, kw_only=True):
    """Which entries of the library are looked at; what is empty lets everything through."""

    words: str = ""
    sort: str = ""
    family: str = ""
    standing: str = ""
    """A state of `Entry`, or "starred"."""


class Now(Struct, frozen=True, kw_only=True):
    """Everything that is shown, at one moment."""

    settings: GenerateSettings = GenerateSettings()
    preferences: Preferences = Preferences()
    ready: Ready | None = None
    """What the machine can do; None while the engine starts or is gone."""
    models: tuple[Offer, ...] = ()
    """What of the library can be drawn with."""
    autoencoders: tuple[Offer, ...] = ()
    jobs: tuple[str, ...] = ()
    """Asked for and not done; the first is the one being made."""
    ending: str = ""
    """The job that is to stop and has not yet."""
    stopping_after: str = ""
    """The job that is to stop after the picture that is being made."""
    held: str = ""
    """The job that the person wants to wait."""
    paused: Paused | None = None
    """That the picture being made does wait, and why."""
    doing: Preparing | Progress | None = None
    notes: tuple[str, ...] = ()
    """Sentences about the job that runs, or ended last."""
    trouble: Failed | WorkerLost | None = None
    returned: GenerateSettings | None = None
    """The settings of a job that was called off or failed, to be taken up again."""
    undone: int = 0
    """How many pictures those are for, where the job stopped after one."""
    recent: tuple[str, ...] = ()
    shown: str = ""
    """The path of the finished picture on the stage."""
    live: bool = False
    """Whether the stage follows what is being made, rather than what was picked."""
    screen: str = "create"
    entries: Mapping[str, Entry] = {}
    """What the library knows, by path."""
    is_listed: bool = False
    """Whether the library has said what it knows."""
    is_looked_through: bool = False
    """Whether it has said, too, what of that is still there."""
    sieve: Sieve = Sieve()
    entry: str = ""
    """The path of the entry that is looked at."""
    scanning: Scanned | None = None
    """How far the look through the library's folders is."""
    hindrances: tuple[Hindrance, ...] = ()
    """What stood in its way, the last time it came to its end."""
    errands: Mapping[str, Preparing | Converting | None] = {}
    """What was asked of the library and is not done, by job; how far it is, where it takes long."""
    errand_trouble: Failed | None = None


def _is_autoencoder(entry: Entry) -> bool:
    return entry.sort == "vae" and entry.state in ("here", "missing")


_LISTS: Mapping[str, Callable[[Entry], bool]] = {"models": can_draw, "autoencoders": _is_autoencoder}
"""What people choose from, and which entries are in it."""


def _offered(before: _Entries, now: _Entries, paths: Iterable[str]) -> dict[str, tuple[Offer, ...]]:
    """The lists to choose from that are other ones, now that the entries of these paths are."""
    touched = [
        entry
        for old, new in ((before.get(path), now.get(path)) for path in paths)
        if _seen(old) != _seen(new)
        for entry in (old, new)
        if entry
    ]
    return {name: offers(filter(fits, now.values())) for name, fits in _LISTS.items() if any(map(fits, touched))}


def _seen(entry: Entry | None) -> object:
    """What of an entry decides whether and how it is offered: not its hash, which is counted file by file."""
    return entry and (entry.name, entry.sort, entry.family, entry.state, entry.trouble, entry.starred)


class State(QObject):
    """Holds the value; `changed` names each part that became another."""

    changed = Signal(str)

    def __init__(self, now: Now | None = None, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.now = now or Now()

    def set(self, name: str, value: Any) -> None:
        """Replace one setting, one preference or one part of `Now`."""
        if name in _SETTINGS:
            settings = structs.replace(self.now.settings, **{name: value})
            self.set("settings", self._suited(settings) if name == "model" else settings)
        elif name in _PREFERENCES:
            self.set("preferences", structs.replace(self.now.preferences, **{name: value}))
        else:
            self._replace(**{name: value})

    def asked(self, job: str) -> None:
        """A job was sent to the engine."""
        self._replace(jobs=(*self.now.jobs, job), trouble=None, returned=None, undone=0, live=True, notes=())

    def pick(self, path: str) -> None:
        """Show a picture that was made before."""
        self._replace(shown=path, live=False)

    def sent(self, job: str) -> None:
        """Something was asked of the library."""
        self._replace(errands={**self.now.errands, job: None}, errand_trouble=None)

    def take(self, event: Event) -> None:
        """Follow an event of the engine."""
        match event:
            case Entries() | Scanned():
                self._take_entries(event)
            case Preparing() | Converting() if event.job in self.now.errands:
                self._replace(errands={**self.now.errands, event.job: event})
            case Done() | CancelledJob() | Failed() if event.job in self.now.errands:
                left = {job: doing for job, doing in self.now.errands.items() if job != event.job}
                trouble = event if isinstance(event, Failed) else self.now.errand_trouble
                self._replace(errands=left, errand_trouble=trouble)
            case Ready():
                self._replace(ready=event)
            case Pictures(paths=paths):
                self._replace(recent=paths, shown=self.now.shown or next(iter(paths), ""))
            case Queued(job=job):
                self._replace(jobs=(*self._without(job), job))
            case Started(job=job, notes=notes):
                self._replace(jobs=(job, *self._without(job)), notes=notes, doing=self._progress())
            case Preparing() | Progress():
                self._replace(doing=event)
            case Paused(on=on):
                self._replace(paused=event if on else None)
            case Picture(path=path, notes=notes):
                self._finish(path)
                self._replace(notes=(*self.now.notes, *(note for note in notes if note not in self.now.notes)))
            case Done(job=job):
                self._leave(job)
            case CancelledJob(job=job, settings=settings, undone=undone):
                self._leave(job, returned=settings, undone=undone)
            case Failed(job=job, settings=settings):
                self._leave(job, trouble=event, returned=settings, undone=0)
            case WorkerLost(again=again):
                self._replace(trouble=event, doing=None, paused=None, ready=self.now.ready if again else None)

    def _take_entries(self, event: Entries | Scanned) -> None:
        before = self.now.entries
        if isinstance(event, Entries):
            entries = {entry.path: entry for entry in event.entries}
            self._replace(entries=entries, is_listed=True, **_offered(before, entries, {*before, *entries}))
            return
        hindrances = event.hindrances if event.done else self.now.hindrances
        scanning = structs.replace(event, changed=(), gone=())
        is_through = self.now.is_looked_through or event.done
        self._replace(scanning=scanning, hindrances=hindrances, is_looked_through=is_through)
        if event.changed or event.gone:
            gone = set(event.gone)
            left = {path: entry for path, entry in before.items() if path not in gone}
            entries = left | {entry.path: entry for entry in event.changed}
            paths = gone.union(entry.path for entry in event.changed)
            self._replace(entries=entries, **_offered(before, entries, paths))

    def _progress(self) -> Progress | None:
        """How far it was; it stands still between two pictures of a job rather than vanish."""
        doing = self.now.doing
        return structs.replace(doing, preview="") if isinstance(doing, Progress) else None

    def _finish(self, path: str) -> None:
        recent = (path, *(other for other in self.now.recent if other != path))
        shown = path if self.now.live or not self.now.shown else self.now.shown
        self._replace(recent=recent, shown=shown, doing=self._progress())

    def _leave(self, job: str, **also: Any) -> None:
        was_first = self.now.jobs[:1] == (job,)
        ended = {"doing": None, "paused": None} if was_first else {}
        wishes = {name: "" for name in ("ending", "stopping_after", "held") if getattr(self.now, name) == job}
        self._replace(jobs=self._without(job), **wishes, **ended, **also)

    def _without(self, job: str) -> tuple[str, ...]:
        return tuple(other for other in self.now.jobs if other != job)

    def _suited(self, settings: GenerateSettings) -> GenerateSettings:
        """The settings with the usual values of the model that was just chosen, where they had the other's."""
        before, after = (meant(self.now.models, each.model) for each in (self.now.settings, settings))
        if before is None or after is None:
            return settings
        return FAMILIES[after.entry.family].suited(settings, FAMILIES[before.entry.family])

    def _replace(self, **parts: Any) -> None:
        before, self.now = self.now, structs.replace(self.now, **parts)
        for name in self._differing(before, parts):
            self.changed.emit(name)

    def _differing(self, before: Now, parts: Mapping[str, Any]) -> list[str]:
        names = [name for name in parts if getattr(before, name) != getattr(self.now, name)]
        for whole in ("settings", "preferences"):
            if whole in names:
                old, new = getattr(before, whole), getattr(self.now, whole)
                names += [one for one in new.__struct_fields__ if getattr(old, one) != getattr(new, one)]
        return names
