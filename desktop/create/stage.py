"""The middle of the screen: the invitation, the preview while it sharpens, the finished picture."""

from pathlib import Path

from PySide6.QtCore import Signal
from PySide6.QtGui import QImage
from PySide6.QtWidgets import QFrame, QStackedWidget

from desktop.create.caption import Caption
from desktop.create.invitation import Invitation
from desktop.state import Now
from desktop.theme import GAP, LARGE
from desktop.widgets.decoding import Decoding
from desktop.widgets.picture_view import PictureView
from desktop.widgets.pieces import column
from engine.formats.picture_text import read_easel
from engine.messages import Progress


class Stage(QFrame):
    """Shows `Now`; pictures are decoded elsewhere and come when they are ready."""

    example_chosen = Signal(str)

    def __init__(self, decoding: Decoding) -> None:
        super().__init__()
        self.setObjectName("stage")
        self._decoding = decoding
        self._wanted = ""
        self._now = Now()
        self.view = PictureView()
        self.caption = Caption()
        self._invitation = Invitation()
        self._invitation.chosen.connect(self.example_chosen)
        self._stack = QStackedWidget()
        self._stack.addWidget(self._invitation)
        self._stack.addWidget(self.view)
        self.caption.fitted.connect(self.view.fit)
        self.caption.at_actual_size.connect(self.view.actual_size)
        parts = column(self, margins=(LARGE, LARGE, LARGE, GAP))
        parts.addWidget(self._stack, 1)
        parts.addWidget(self.caption)
        self.caption.hide()
        decoding.decoded.connect(self._have)

    def show_now(self, now: Now) -> None:
        """Show the preview of what is being made, or the picture that was chosen."""
        self._now = now
        preview = now.doing.preview if now.live and isinstance(now.doing, Progress) else ""
        wanted = preview or now.shown
        if wanted and wanted != self._wanted:
            self._wanted = wanted
            self._decoding.ask(wanted)

    def _have(self, path: str, image: QImage) -> None:
        if path != self._wanted:
            return
        self.view.show_image(image)
        self._stack.setCurrentWidget(self.view)
        self.caption.show()
        if path != self._now.shown:
            self.caption.show_preview()
        else:
            self.caption.show_picture(read_easel(image.text("easel")), Path(path).stem, image.size())
