"""Chooses the model: what the library has, with what is broken in grey and the reason beside it."""

from pathlib import PurePath

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QStandardItem, QStandardItemModel, QWheelEvent
from PySide6.QtWidgets import QComboBox, QSizePolicy

from desktop.words import tr
from engine.messages import ModelCard


class ModelChoice(QComboBox):
    """An editor like those of the form; `offer` tells it what there is."""

    edited = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self._items = QStandardItemModel(self)
        self._chosen = ""
        self._cards: tuple[ModelCard, ...] = ()
        self.setModel(self._items)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.activated.connect(self._tell)

    def offer(self, cards: tuple[ModelCard, ...]) -> None:
        """Take over what the library has."""
        self._cards = cards
        self._fill()

    def show_value(self, value: str) -> None:
        """Show which model is chosen, even one that is not there."""
        self._chosen = value
        self._fill()

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Scroll the form, not the choice."""
        event.ignore()

    def _fill(self) -> None:
        self._items.clear()
        for card in self._cards:
            self._add(card.name, tr(card.broken))
        if not self._cards or PurePath(self._chosen).is_absolute():  # a path is of the library's, from elsewhere
            self._add(self._chosen, "")
        elif self._chosen not in [card.name for card in self._cards]:
            self._add(self._chosen, tr("This model is not here any more."))
        self.setCurrentIndex(self.findData(self._chosen))

    def _add(self, name: str, broken: str) -> None:
        """Of a model that is chosen by its path, the file's name shows."""
        path = PurePath(name)
        item = QStandardItem(path.stem if path.is_absolute() else name)
        item.setData(name, Qt.ItemDataRole.UserRole)
        item.setEnabled(not broken)
        item.setToolTip(broken or (name if path.is_absolute() else ""))
        self._items.appendRow(item)

    def _tell(self, index: int) -> None:
        self._chosen = self.itemData(index)
        self.edited.emit(self._chosen)
