"""The library's entries as cards: only those in sight are drawn, and their pictures decoded."""

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

from PySide6.QtCore import (
    QAbstractListModel,
    QModelIndex,
    QObject,
    QPersistentModelIndex,
    QRect,
    QRectF,
    QSize,
    Qt,
    Signal,
)
from PySide6.QtGui import (
    QColor,
    QFont,
    QImage,
    QKeyEvent,
    QKeySequence,
    QPainter,
    QPainterPath,
    QPen,
    QResizeEvent,
)
from PySide6.QtWidgets import QListView, QStyle, QStyledItemDelegate, QStyleOptionViewItem

from desktop.models import sentences
from desktop.theme import RADIUS, SMALL, colours
from desktop.theme.icons import icon
from desktop.widgets.decoding import Decoding
from desktop.words import tr
from engine.messages import Entry

Index = QModelIndex | QPersistentModelIndex
ENTRY = Qt.ItemDataRole.UserRole
WIDTH, PICTURE = 214, 156
"""Pixels that a card has at least, and of the picture's height on it."""
_TEXT = 74
_HEIGHT = PICTURE + _TEXT + 2 * SMALL
_UNUSED = 9
"""Pixels at the end of a line that Qt puts no card into."""
_SHARPNESS = 2
"""Pictures are decoded for screens of two device pixels a pixel."""
_KEPT = 400
"""Decoded pictures; at most 200 MB."""


class Cards(QAbstractListModel):
    """Entries as rows, with the pictures of the last ones that were looked at."""

    def __init__(self, decoding: Decoding, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._decoding = decoding
        self._entries: tuple[Entry, ...] = ()
        self._rows: dict[str, int] = {}
        self._small: OrderedDict[str, QImage | None] = OrderedDict()
        """By the picture's path, the last used at the end; None while it is being decoded."""
        decoding.decoded.connect(self._have)

    def show_entries(self, entries: Sequence[Entry]) -> None:
        """Show these; where only some of them changed, nothing moves."""
        new = tuple(entries)
        before, self._entries = self._entries, new
        if len(new) == len(before) and all(map(_same_path, before, new)):
            for row, (old, entry) in enumerate(zip(before, new, strict=True)):
                if old is not entry:
                    self.dataChanged.emit(self.index(row), self.index(row))
            return
        self.beginResetModel()
        self._rows = {entry.path: row for row, entry in enumerate(new)}
        self.endResetModel()

    def row_of(self, path: str) -> int:
        """The row of a path, -1 where there is none."""
        return self._rows.get(path, -1)

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() else len(self._entries)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        entry = self._entries[index.row()]
        match role:
            case Qt.ItemDataRole.UserRole:
                return entry
            case Qt.ItemDataRole.DisplayRole:
                return entry.name
            case Qt.ItemDataRole.DecorationRole:
                return self._picture(entry.preview) if entry.preview else None
            case Qt.ItemDataRole.AccessibleTextRole:
                return sentences.spoken(entry)
            case Qt.ItemDataRole.ToolTipRole:
                return "\n".join(part for part in (entry.name, tr(entry.trouble), entry.path) if part)
        return None

    def _picture(self, path: str) -> QImage | None:
        if path not in self._small:
            self._small[path] = None
            self._decoding.ask(path, QSize(WIDTH, PICTURE) * _SHARPNESS)
            if len(self._small) > _KEPT:
                self._small.popitem(last=False)
        self._small.move_to_end(path)
        return self._small[path]

    def _have(self, path: str, image: QImage) -> None:
        if path in self._small:
            self._small[path] = image
            self.dataChanged.emit(self.index(0), self.index(len(self._entries) - 1), [Qt.ItemDataRole.DecorationRole])


def _same_path(one: Entry, other: Entry) -> bool:
    return one.path == other.path


class CardList(QListView):
    """`picked` carries the path of the entry that the person turns to; `used` and `discarded` what is to be done."""

    picked = Signal(str)
    used = Signal(str)
    discarded = Signal(str)

    def __init__(self, decoding: Decoding) -> None:
        super().__init__()
        self.setObjectName("cards")
        self.setAccessibleName(tr("Models and other files"))
        self._cards = Cards(decoding, self)
        self.setModel(self._cards)
        self.setItemDelegate(_Card(self))
        self.setFlow(QListView.Flow.LeftToRight)
        self.setWrapping(True)
        self.setMovement(QListView.Movement.Static)
        self.setResizeMode(QListView.ResizeMode.Adjust)
        self.setUniformItemSizes(True)
        self.setVerticalScrollMode(QListView.ScrollMode.ScrollPerPixel)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOn)  # else its room is taken off twice
        self.verticalScrollBar().setSingleStep(_HEIGHT // 4)
        self.selectionModel().currentChanged.connect(self._tell)
        self.activated.connect(lambda index: self.used.emit(index.data(ENTRY).path))
        self._is_told = False

    def show_entries(self, entries: Sequence[Entry], chosen: str) -> None:
        """Show these, with the chosen one marked."""
        self._is_told = True
        self._cards.show_entries(entries)
        index = self._cards.index(self._cards.row_of(chosen))
        if index != self.currentIndex():
            self.setCurrentIndex(index)
        self._is_told = False

    def keyPressEvent(self, event: QKeyEvent) -> None:
        index = self.currentIndex()
        if event.matches(QKeySequence.StandardKey.Delete) and index.isValid():
            self.discarded.emit(index.data(ENTRY).path)
        else:
            super().keyPressEvent(event)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Let the cards fill the line."""
        room = self.viewport().width() - _UNUSED
        self.setGridSize(QSize(room // max(1, room // WIDTH), _HEIGHT))
        super().resizeEvent(event)

    def _tell(self, index: QModelIndex, _before: QModelIndex) -> None:
        if index.isValid() and not self._is_told:
            self.picked.emit(index.data(ENTRY).path)


class _Card(QStyledItemDelegate):
    """A picture, and three lines under it: name, what it is, how large it is or why it cannot be used."""

    def __init__(self, cards: QListView) -> None:
        super().__init__(cards)
        self._cards = cards
        self._star = icon("star-full", colours().accent).pixmap(QSize(16, 16), 2.0)

    def sizeHint(self, option: QStyleOptionViewItem, index: Index) -> QSize:
        return self._cards.gridSize()

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        state, rect, font = _of(option)
        entry: Entry = index.data(ENTRY)
        card = QRectF(rect).adjusted(SMALL, SMALL, -SMALL, -SMALL)
        outline = QPainterPath()
        outline.addRoundedRect(card, RADIUS, RADIUS)
        painter.save()
        painter.setRenderHints(QPainter.RenderHint.Antialiasing | QPainter.RenderHint.SmoothPixmapTransform)
        painter.fillPath(outline, QColor(colours().card))
        painter.setClipPath(outline)
        self._paint_picture(painter, card, entry, index.data(Qt.ItemDataRole.DecorationRole))
        painter.setClipping(False)
        is_chosen = bool(state & QStyle.StateFlag.State_Selected)
        painter.setPen(QPen(QColor(colours().accent if is_chosen else colours().line), 3 if is_chosen else 1))
        painter.drawPath(outline)
        self._paint_words(painter, card, entry, font)
        painter.restore()

    def _paint_picture(self, painter: QPainter, card: QRectF, entry: Entry, image: QImage | None) -> None:
        place = QRectF(card.left(), card.top(), card.width(), PICTURE)
        painter.fillRect(place, QColor(colours().stage))
        if image is not None:
            painter.drawImage(place, image, _middle(image, place))
        else:
            painter.setPen(QColor(colours().muted))
            painter.drawText(place, Qt.AlignmentFlag.AlignCenter, sentences.kind(entry))
        if entry.starred:
            spot = QRectF(place.right() - 30, place.top() + 6, 24, 24)
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(QColor(colours().card))
            painter.drawEllipse(spot)
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawPixmap(spot.adjusted(4, 4, -4, -4), self._star, QRectF(self._star.rect()))

    def _paint_words(self, painter: QPainter, card: QRectF, entry: Entry, font: QFont) -> None:
        bold = QFont(font)
        bold.setBold(True)
        is_well = entry.state == "here"
        lines = (
            (bold, colours().text, entry.name),
            (font, colours().muted, sentences.what(entry)),
            (font, colours().muted if is_well else colours().trouble, sentences.more(entry)),
        )
        line = QRectF(card.left() + 10, card.top() + PICTURE + 7, card.width() - 20, 20)
        for face, colour, words in lines:
            painter.setFont(face)
            painter.setPen(QColor(colour))
            shown = painter.fontMetrics().elidedText(words, Qt.TextElideMode.ElideRight, int(line.width()))
            painter.drawText(line, Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft, shown)
            line.translate(0, 20)


def _of(option: QStyleOptionViewItem) -> tuple[QStyle.StateFlag, QRect, QFont]:
    """Three members that the type stubs of PySide leave out."""
    return option.state, option.rect, option.font  # pyright: ignore[reportAttributeAccessIssue]


def _middle(image: QImage, place: QRectF) -> QRectF:
    """The part of a picture that fills a place: its middle, of an upright one nearer its top, where faces are."""
    scale = max(place.width() / image.width(), place.height() / image.height())
    width, height = place.width() / scale, place.height() / scale
    return QRectF((image.width() - width) / 2, (image.height() - height) / 4, width, height)
