"""Chooses an entry of the library: what cannot be used now in grey, with the reason beside it."""

from collections.abc import Sequence
from pathlib import PurePath
from typing import Any

from PySide6.QtCore import QAbstractListModel, QModelIndex, QPersistentModelIndex, QSignalBlocker, Qt, Signal
from PySide6.QtWidgets import QListView

from desktop.widgets.combo import Combo
from desktop.words import tr
from engine.offers import Offer, is_called, meant

Index = QModelIndex | QPersistentModelIndex
_SHOWN = 14
"""Rows of the open list."""


class EntryChoice(Combo):
    """An editor like those of the form; `offer` tells it what there is. `absent` is what an empty value is called."""

    edited = Signal(object)

    def __init__(self, name: str, absent: str = "") -> None:
        super().__init__(name)
        self.setObjectName("entries")  # else the list would stand over the whole screen
        self._absent, self._chosen = absent, ""
        self._rows = _Rows(self)
        self.setModel(self._rows)
        view = QListView()
        view.setUniformItemSizes(True)  # else each row of thousands is measured
        self.setView(view)
        view.setTextElideMode(Qt.TextElideMode.ElideMiddle)  # what tells two apart stands at the end
        view.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAsNeeded)
        self.setSizeAdjustPolicy(Combo.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.setMaxVisibleItems(_SHOWN)
        self.activated.connect(self._tell)

    def offer(self, offers: Sequence[Offer], is_complete: bool) -> None:
        """Take over what the library has; `is_complete` says whether there is nothing else."""
        self._rows.offered, self._rows.is_complete = offers, is_complete
        self._fill()

    def show_value(self, value: str) -> None:
        """Show what is chosen, even if it is not there."""
        self._chosen = value
        self._fill()

    def _fill(self) -> None:
        with QSignalBlocker(self):
            row = self._rows.show_chosen(self._chosen, self._absent)
            self.setCurrentIndex(row)

    def _tell(self, row: int) -> None:
        self._chosen = self._rows.value(row)
        self.edited.emit(self._chosen)


class _Rows(QAbstractListModel):
    """Nothing, where that can be chosen; what is offered; and what is chosen, if it is none of these."""

    def __init__(self, parent: EntryChoice) -> None:
        super().__init__(parent)
        self.offered: Sequence[Offer] = ()
        self.is_complete = False
        self._absent = ""
        self._stranger = ""
        self._is_several = False
        """Whether the stranger's name is that of several."""
        self._count = 0

    def show_chosen(self, value: str, absent: str) -> int:
        """Make rows of everything; returns the one of the value."""
        self.beginResetModel()
        self._absent, self._stranger = absent, ""
        found = meant(self.offered, value) if value else None
        if found is None and (value or not absent):
            self._stranger = value
            self._is_several = any(is_called(each.entry, value) for each in self.offered)
        self._count = self._first + len(self.offered) + bool(self._stranger)
        self.endResetModel()
        if self._stranger:
            return self._count - 1
        return self.offered.index(found) + self._first if found else 0

    def value(self, row: int) -> str:
        """What the settings have for a row."""
        offer = self._offer(row)
        return offer.value if offer else self._stranger if row >= self._first else ""

    @property
    def _first(self) -> int:
        """The row of the first offer."""
        return bool(self._absent)

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() else self._count

    def flags(self, index: Index) -> Qt.ItemFlag:
        usual = super().flags(index)
        return usual & ~Qt.ItemFlag.ItemIsEnabled if self._trouble(index.row()) else usual

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        row = index.row()
        match role:
            case Qt.ItemDataRole.DisplayRole:
                return self._text(row)
            case Qt.ItemDataRole.ToolTipRole | Qt.ItemDataRole.AccessibleDescriptionRole:
                return self._trouble(row) or self._place(row)
            case Qt.ItemDataRole.UserRole:
                return self.value(row)
        return None

    def _offer(self, row: int) -> Offer | None:
        place = row - self._first
        return self.offered[place] if 0 <= place < len(self.offered) else None

    def _text(self, row: int) -> str:
        offer = self._offer(row)
        if offer is None:
            return self._absent if row < self._first else _short(self._stranger)
        return offer.label if offer.entry.state == "here" else f"{offer.label} · {tr('Missing')}"

    def _place(self, row: int) -> str:
        offer = self._offer(row)
        return offer.entry.path if offer else self.value(row)

    def _trouble(self, row: int) -> str:
        """Why a row cannot be chosen."""
        offer = self._offer(row)
        if offer:
            return tr(offer.entry.trouble) if offer.entry.state == "missing" else ""
        is_elsewhere = PurePath(self._stranger).is_absolute()  # the engine looks there all the same
        if row < self._first or is_elsewhere or not self.is_complete:
            return ""
        if self._is_several:
            return tr("Several have this name. Choose one of them.")
        return tr("This model is not here any more.")


def _short(value: str) -> str:
    """Of a path, the file's name."""
    path = PurePath(value)
    return path.stem if path.is_absolute() else value
