"""The row above the cards: search, kind, family, state, and the way to add files."""

from collections.abc import Iterable

from msgspec import structs
from PySide6.QtCore import QSignalBlocker, Signal
from PySide6.QtWidgets import QLineEdit, QMenu, QWidget

from desktop.models import sentences
from desktop.state import Sieve
from desktop.theme import GAP, LARGE, SMALL
from desktop.widgets.combo import Combo
from desktop.widgets.pieces import button, keys, row
from desktop.words import tr
from engine.messages import Entry

_FIND = "Ctrl+F"


class Filters(QWidget):
    """`sifted` carries another Sieve, `forgotten` a folder that is to be used no more; the others ask for more."""

    sifted = Signal(object)
    files_asked = Signal()
    folder_asked = Signal()
    forgotten = Signal(str)

    def __init__(self, sieve: Sieve) -> None:
        super().__init__()
        self._sieve = sieve
        self.search = QLineEdit(sieve.words)
        self.search.setPlaceholderText(tr("Search names, tags, trigger words, notes, folders"))
        self.search.setAccessibleName(tr("Search"))
        self.search.setToolTip(keys(_FIND))
        self.search.setClearButtonEnabled(True)
        self.search.textChanged.connect(lambda words: self._change(words=words))
        self.kinds = _choice(tr("Kind"), tr("All kinds"))
        self.families = _choice(tr("Family"), tr("All families"))
        self.standings = _choice(tr("State"), tr("All states"))
        for standing, name in sentences.STANDINGS.items():
            self.standings.addItem(tr(name), standing)
        self.kinds.activated.connect(lambda _: self._change(sort=self.kinds.currentData()))
        self.families.activated.connect(lambda _: self._change(family=self.families.currentData()))
        self.standings.activated.connect(lambda _: self._change(standing=self.standings.currentData()))
        self.add = button(tr("Add…"), explained=tr("Use files and folders where they lie, copy or move them here."))
        menu = QMenu(self.add)
        menu.addAction(tr("Files…"), self.files_asked.emit)
        menu.addAction(tr("A folder…"), self.folder_asked.emit)
        self.folders = menu.addMenu(tr("Use no more"))
        self.folders.menuAction().setVisible(False)
        self.add.setMenu(menu)
        self._show()
        self._lay_out()

    def offer(self, entries: Iterable[Entry]) -> None:
        """Let people choose among the kinds and families that there are."""
        found = {(entry.sort, entry.family) for entry in entries}
        sorts, families = {sort for sort, _ in found}, {family for _, family in found if family}
        known = [sort for sort in sentences.KINDS if sort in sorts | {self._sieve.sort}]
        _fill(self.kinds, [(tr(sentences.KINDS[sort]), sort) for sort in known])
        named = {(sentences.family(family), family) for family in families | {self._sieve.family} if family}
        _fill(self.families, sorted(named, key=lambda pair: pair[0].casefold()))
        self._show()

    def name_folders(self, folders: Iterable[str]) -> None:
        """Let people take back folders that they added."""
        self.folders.clear()
        for folder in folders:
            self.folders.addAction(folder.replace("&", "&&"), lambda folder=folder: self.forgotten.emit(folder))
        self.folders.menuAction().setVisible(not self.folders.isEmpty())

    def show_sieve(self, sieve: Sieve) -> None:
        """Show what is looked for, without telling of it."""
        self._sieve = sieve
        with QSignalBlocker(self.search):
            self.search.setText(sieve.words)
        self._show()

    def _change(self, **parts: str) -> None:
        self._sieve = structs.replace(self._sieve, **parts)
        self.sifted.emit(self._sieve)

    def _show(self) -> None:
        for choice, value in (
            (self.kinds, self._sieve.sort),
            (self.families, self._sieve.family),
            (self.standings, self._sieve.standing),
        ):
            choice.setCurrentIndex(choice.findData(value))

    def _lay_out(self) -> None:
        parts = row(self, SMALL + 2, (LARGE, GAP, LARGE, GAP))
        parts.addWidget(self.search, 1)
        for part in (self.kinds, self.families, self.standings, self.add):
            parts.addWidget(part)


def _choice(name: str, everything: str) -> Combo:
    made = Combo(name, is_wide=False)
    made.addItem(everything, "")
    return made


def _fill(choice: Combo, items: Iterable[tuple[str, str]]) -> None:
    """Replace everything but the first item."""
    with QSignalBlocker(choice):
        while choice.count() > 1:
            choice.removeItem(1)
        for words, value in items:
            choice.addItem(words, value)
