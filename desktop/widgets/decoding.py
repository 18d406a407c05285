"""Reads picture files away from the window's thread and hands over decoded images."""

from PySide6.QtCore import QObject, QRunnable, QSize, Qt, QThreadPool, Signal
from PySide6.QtGui import QImage, QImageReader

_THREADS = 2


class Decoding(QObject):
    """`decoded` carries the path and the image, in the window's thread; what is no picture is left out."""

    decoded = Signal(str, QImage)

    def __init__(self, parent: QObject | None = None, newest_first: bool = False) -> None:
        super().__init__(parent)
        self._step = int(newest_first)
        self._priority = 0
        """Of what is asked next: where the newest goes first, what was scrolled past waits."""
        self._pool = QThreadPool(self)
        self._pool.setMaxThreadCount(_THREADS)

    def ask(self, path: str, largest: QSize | None = None) -> None:
        """Decode a file, made to fit into `largest` if that is given."""
        self._priority += self._step
        self._pool.start(_Reading(self, path, largest), self._priority)

    def stop(self) -> None:
        """Forget what waits, wait for what runs."""
        self._pool.clear()
        self._pool.waitForDone()


class _Reading(QRunnable):
    def __init__(self, to: Decoding, path: str, largest: QSize | None) -> None:
        super().__init__()
        self._to, self._path, self._largest = to, path, largest

    def run(self) -> None:
        reader = QImageReader(self._path)
        reader.setAutoTransform(True)
        image = reader.read()
        if image.isNull():
            return
        if self._largest:
            image = image.scaled(
                self._largest,
                Qt.AspectRatioMode.KeepAspectRatioByExpanding,
                Qt.TransformationMode.SmoothTransformation,
            )
        self._to.decoded.emit(self._path, image)
