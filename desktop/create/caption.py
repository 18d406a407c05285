"""What stands under the picture: its words, its seed, and what can be done with them."""

from PySide6.QtCore import QSize, Signal
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QWidget

from desktop.theme import GAP, SMALL
from desktop.widgets.amounts import duration
from desktop.widgets.elided import Elided
from desktop.widgets.pieces import button, column, label, row, sign_button
from desktop.words import tr
from engine.formats.picture_text import Made
from engine.settings import GenerateSettings

_ROW = 28


class Caption(QWidget):
    """`seed_kept` and `taken_up` carry what the person wants to use again."""

    seed_kept = Signal(object)
    taken_up = Signal(object)
    fitted = Signal()
    at_actual_size = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._settings: GenerateSettings | None = None
        self._words = Elided("status")
        self._seed = label(look="seed")
        self._facts = Elided("muted")
        self._copy = sign_button("copy", tr("Copy the seed"))
        self._copy.clicked.connect(self._copy_seed)
        self._keep = button(tr("Keep this seed"), "quiet", tr("Use the same seed for the next picture."))
        self._keep.clicked.connect(self._keep_seed)
        self._again = button(tr("Use its settings"), "quiet", tr("Take over everything this picture was made from."))
        self._again.clicked.connect(self._take_up)
        self._lay_out()

    def show_picture(self, made: Made | None, name: str, size: QSize) -> None:
        """Tell of a finished picture; None where it does not say how it was made."""
        facts = [f"{size.width()} × {size.height()}"]
        if made:
            facts += [tr("{steps} steps").format(steps=made.settings.steps), duration(made.seconds)]
        self._show(made.settings if made else None, made.settings.prompt if made else name, " · ".join(facts))

    def show_preview(self) -> None:
        """Tell that the picture is still being made."""
        self._show(None, tr("Preview"), "")

    def _show(self, settings: GenerateSettings | None, words: str, facts: str) -> None:
        self._settings = settings
        self._words.setText(words)
        self._facts.setText(facts)
        self._seed.setText(tr("Seed {seed}").format(seed=settings.seed) if settings else "")
        for widget in (self._seed, self._copy, self._keep, self._again):
            widget.setVisible(settings is not None)

    def _copy_seed(self) -> None:
        if self._settings:
            QGuiApplication.clipboard().setText(str(self._settings.seed))

    def _keep_seed(self) -> None:
        if self._settings:
            self.seed_kept.emit(self._settings.seed)

    def _take_up(self) -> None:
        if self._settings:
            self.taken_up.emit(self._settings)

    def _lay_out(self) -> None:
        fit = button(tr("Fit"), "quiet", tr("Show the whole picture (0)."))
        fit.clicked.connect(self.fitted)
        actual = button("100 %", "quiet", tr("Show one pixel as one pixel (1)."))
        actual.clicked.connect(self.at_actual_size)
        first = row(spacing=SMALL)
        first.addWidget(self._words, 1)
        first.addWidget(fit)
        first.addWidget(actual)
        second = row(spacing=SMALL)
        second.addWidget(self._seed)
        second.addWidget(self._copy)
        second.addSpacing(SMALL)
        second.addWidget(self._facts, 1)
        second.addWidget(self._keep)
        second.addWidget(self._again)
        second.addStrut(_ROW)
        both = column(self, SMALL, (0, GAP, 0, 0))
        both.addLayout(first)
        both.addLayout(second)
