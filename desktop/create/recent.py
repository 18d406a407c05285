"""The strip on the right: what was made before, newest first."""

from collections.abc import Sequence

from PySide6.QtCore import QModelIndex, QPersistentModelIndex, QRect, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QImage, QPainter, QPainterPath, QPen
from PySide6.QtWidgets import QListView, QStyle, QStyledItemDelegate, QStyleOptionViewItem, QWidget

from desktop.theme import RADIUS, SMALL, colours
from desktop.widgets.decoding import Decoding
from desktop.widgets.rows import PATH, Rows
from desktop.words import tr

SIDE = 88
_CELL = QSize(SIDE + SMALL, SIDE + SMALL)
_SHARPNESS = 2
"""Thumbnails are decoded for screens of two device pixels a pixel."""


class Recent(QListView):
    """`picked` carries the path of the picture that the person turns to."""

    picked = Signal(str)

    def __init__(self, decoding: Decoding) -> None:
        super().__init__()
        self.setAccessibleName(tr("Recent pictures"))
        self._rows = Rows(decoding, SIDE * _SHARPNESS, self)
        self.setModel(self._rows)
        self.setItemDelegate(_Tile(self))
        self.setViewMode(QListView.ViewMode.IconMode)
        self.setMovement(QListView.Movement.Static)
        self.setResizeMode(QListView.ResizeMode.Adjust)
        self.setUniformItemSizes(True)
        self.setGridSize(_CELL)
        self.setVerticalScrollMode(QListView.ScrollMode.ScrollPerPixel)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.selectionModel().currentChanged.connect(self._tell)
        self._is_told = False

    def show_paths(self, paths: Sequence[str], shown: str) -> None:
        """Show what there is, with the one on the stage marked."""
        self._is_told = True
        self._rows.show_paths(paths)
        index = self._rows.index(max(self._rows.row_of(shown), -1))
        self.setCurrentIndex(index)
        self._is_told = False

    def move_by(self, step: int) -> None:
        """Turn to the next or the one before."""
        row = self.currentIndex().row() + step
        if 0 <= row < self._rows.rowCount():
            self.setCurrentIndex(self._rows.index(row))

    def _tell(self, index: QModelIndex, _before: QModelIndex) -> None:
        if index.isValid() and not self._is_told:
            self.picked.emit(index.data(PATH))


class _Tile(QStyledItemDelegate):
    """A rounded square cut from the middle of the picture, framed where it is chosen."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)

    def sizeHint(self, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex) -> QSize:
        return _CELL

    def paint(
        self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex
    ) -> None:
        state, rect = _of(option)
        tile = QRectF(rect).adjusted(SMALL / 2, SMALL / 2, -SMALL / 2, -SMALL / 2)
        outline = QPainterPath()
        outline.addRoundedRect(tile, RADIUS - 2, RADIUS - 2)
        painter.save()
        painter.setRenderHints(QPainter.RenderHint.Antialiasing | QPainter.RenderHint.SmoothPixmapTransform)
        painter.fillPath(outline, QColor(colours().hover))
        image = index.data(Qt.ItemDataRole.DecorationRole)
        if isinstance(image, QImage):
            painter.setClipPath(outline)
            painter.drawImage(tile, image, _middle(image))
            painter.setClipping(False)
        if state & QStyle.StateFlag.State_Selected:
            painter.setPen(QPen(QColor(colours().accent), 3))
            painter.drawPath(outline)
        painter.restore()


def _of(option: QStyleOptionViewItem) -> tuple[QStyle.StateFlag, QRect]:
    """Two members that the type stubs of PySide leave out."""
    return option.state, option.rect  # pyright: ignore[reportAttributeAccessIssue]


def _middle(image: QImage) -> QRectF:
    side = min(image.width(), image.height())
    return QRectF((image.width() - side) / 2, (image.height() - side) / 2, side, side)
