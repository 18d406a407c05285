"""One picture, large: fitted, zoomed with the wheel, dragged, or at one pixel a pixel."""

import math

from PySide6.QtCore import QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import (
    QImage,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPainterPath,
    QPaintEvent,
    QPixmap,
    QResizeEvent,
    QWheelEvent,
)
from PySide6.QtWidgets import QWidget

from desktop.theme import RADIUS, colours
from desktop.widgets.framing import Framing, fitting

_NOTCH = 120
_ZOOM_A_NOTCH = 1.25


class PictureView(QWidget):
    """Shows an image; `moved` asks for the picture before (-1) or after (1) it."""

    moved = Signal(int)

    def __init__(self) -> None:
        super().__init__()
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setMinimumSize(160, 160)
        self._image = QImage()
        self._framing: Framing | None = None
        """None fits the picture, whatever becomes of the view."""
        self._fitted = QPixmap()
        self._dragged_from: QPointF | None = None

    def show_image(self, image: QImage) -> None:
        """Show another image; one of the same proportions keeps the part that is looked at."""
        if self._framing:
            self._framing = self._carried_over(self._framing, image)
        self._image = image
        self._fitted = QPixmap()
        self.update()

    def image(self) -> QImage:
        """What is shown."""
        return self._image

    def fit(self) -> None:
        """Show the whole picture."""
        self._framing = None
        self.update()

    def actual_size(self) -> None:
        """Show one pixel of the picture as one pixel of the screen."""
        middle = QPointF(self.rect().center())
        self._zoom(1 / self.devicePixelRatioF() / self._now().scale, middle)

    def is_fitted(self) -> bool:
        """Whether the whole picture is shown."""
        return self._framing is None

    def _now(self) -> Framing:
        return self._framing or fitting(self._picture_size(), self._view_size())

    def _picture_size(self) -> tuple[float, float]:
        return max(self._image.width(), 1), max(self._image.height(), 1)

    def _view_size(self) -> tuple[float, float]:
        return self.width(), self.height()

    def _zoom(self, factor: float, at: QPointF) -> None:
        now, whole = self._now(), fitting(self._picture_size(), self._view_size())
        smallest = min(whole.scale, 1 / self.devicePixelRatioF())
        zoomed = now.zoomed(max(factor, smallest / now.scale), (at.x(), at.y()), self._view_size())
        is_whole = math.isclose(zoomed.scale, whole.scale, rel_tol=1e-3)
        self._framing = None if is_whole else self._held(zoomed)
        self.update()

    def _carried_over(self, framing: Framing, image: QImage) -> Framing | None:
        """The same part of another image, such as the finished picture after its small preview."""
        width, height = self._picture_size()
        larger = image.width() / width
        if image.height() != round(height * larger):
            return None
        return Framing(framing.scale / larger, framing.x * larger, framing.y * larger)

    def _held(self, framing: Framing) -> Framing:
        return framing.kept_inside(self._picture_size(), self._view_size())

    # ------------------------------------------------------------ what the person does

    def wheelEvent(self, event: QWheelEvent) -> None:
        self._zoom(_ZOOM_A_NOTCH ** (event.angleDelta().y() / _NOTCH), event.position())

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if event.button() == Qt.MouseButton.LeftButton:
            self._dragged_from = event.position()

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        if self._dragged_from is None or self._framing is None:
            return
        step = event.position() - self._dragged_from
        self._dragged_from = event.position()
        self._framing = self._held(self._framing.moved(step.x(), step.y()))
        self.update()

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        self._dragged_from = None

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        self.actual_size() if self.is_fitted() else self.fit()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        middle = QPointF(self.rect().center())
        match event.key():
            case Qt.Key.Key_Left | Qt.Key.Key_Up:
                self.moved.emit(-1)
            case Qt.Key.Key_Right | Qt.Key.Key_Down:
                self.moved.emit(1)
            case Qt.Key.Key_Plus | Qt.Key.Key_Equal:
                self._zoom(_ZOOM_A_NOTCH, middle)
            case Qt.Key.Key_Minus:
                self._zoom(1 / _ZOOM_A_NOTCH, middle)
            case Qt.Key.Key_0:
                self.fit()
            case Qt.Key.Key_1:
                self.actual_size()
            case _:
                super().keyPressEvent(event)

    def resizeEvent(self, event: QResizeEvent) -> None:
        self._fitted = QPixmap()
        if self._framing:
            self._framing = self._held(self._framing)

    # ------------------------------------------------------------ drawing

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHints(QPainter.RenderHint.Antialiasing | QPainter.RenderHint.SmoothPixmapTransform)
        if not self._image.isNull():
            self._paint_picture(painter)
        if self.hasFocus():
            painter.setPen(colours().accent)
            painter.drawRoundedRect(QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5), RADIUS, RADIUS)

    def _paint_picture(self, painter: QPainter) -> None:
        framing = self._now()
        left, top = framing.top_left(self._view_size())
        target = QRectF(left, top, self._image.width() * framing.scale, self._image.height() * framing.scale)
        outline = QPainterPath()
        outline.addRoundedRect(target & QRectF(self.rect()), RADIUS, RADIUS)
        painter.setClipPath(outline)
        if self.is_fitted():
            painter.drawPixmap(target.toAlignedRect(), self._fitted_to(target))
        else:
            painter.drawImage(target, self._image)
        painter.setClipping(False)

    def _fitted_to(self, target: QRectF) -> QPixmap:
        """The picture in the size it is shown in, made once."""
        if self._fitted.isNull():
            size = target.toAlignedRect().size() * self.devicePixelRatioF()
            self._fitted = QPixmap.fromImage(smoothly(self._image, size))
        return self._fitted


def smoothly(image: QImage, size: QSize) -> QImage:
    """The image in another size. Enlarged by doubling, which leaves no squares of the old pixels."""
    ways = Qt.AspectRatioMode.IgnoreAspectRatio, Qt.TransformationMode.SmoothTransformation
    while image.width() * 2 <= size.width() and image.height() * 2 <= size.height():
        image = image.scaled(image.size() * 2, *ways)
    return image.scaled(size, *ways)
