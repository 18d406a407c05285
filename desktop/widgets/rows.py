"""One lazy list of picture files: small versions are decoded when a row comes into sight."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PySide6.QtCore import QAbstractListModel, QModelIndex, QObject, QPersistentModelIndex, QSize, Qt
from PySide6.QtGui import QImage

from desktop.widgets.decoding import Decoding

Index = QModelIndex | QPersistentModelIndex
PATH = Qt.ItemDataRole.UserRole


class Rows(QAbstractListModel):
    """Paths as rows. What is decoded stays until the path leaves the list."""

    def __init__(self, decoding: Decoding, side: int, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._decoding, self._largest = decoding, QSize(side, side)
        self._paths: tuple[str, ...] = ()
        self._small: dict[str, QImage | None] = {}
        """None while a file is being decoded."""
        decoding.decoded.connect(self._have)

    def show_paths(self, paths: Sequence[str]) -> None:
        """Show these; a new first one slides in without disturbing the rest."""
        new = tuple(paths)
        if new[1:] == self._paths:
            self.beginInsertRows(QModelIndex(), 0, 0)
            self._paths = new
            self.endInsertRows()
        elif new != self._paths:
            self.beginResetModel()
            self._paths = new
            self._small = {path: image for path, image in self._small.items() if path in new}
            self.endResetModel()

    def row_of(self, path: str) -> int:
        """The row of a path, -1 where there is none."""
        return self._paths.index(path) if path in self._paths else -1

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() else len(self._paths)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        path = self._paths[index.row()]
        match role:
            case Qt.ItemDataRole.DecorationRole:
                return self._thumbnail(path)
            case Qt.ItemDataRole.AccessibleTextRole | Qt.ItemDataRole.ToolTipRole:
                return Path(path).stem
            case Qt.ItemDataRole.UserRole:
                return path
        return None

    def _thumbnail(self, path: str) -> QImage | None:
        if path not in self._small:
            self._small[path] = None
            self._decoding.ask(path, self._largest)
        return self._small[path]

    def _have(self, path: str, image: QImage) -> None:
        row = self.row_of(path)
        if row < 0:
            return
        self._small[path] = image
        self.dataChanged.emit(self.index(row), self.index(row), [Qt.ItemDataRole.DecorationRole])
