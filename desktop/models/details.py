"""The right side of the Models screen: what the chosen entry is, and what can be done with it."""

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QImage, QPixmap
from PySide6.QtWidgets import QFrame, QMenu, QScrollArea, QStackedWidget, QWidget

from desktop.models import sentences
from desktop.models.described import Described
from desktop.models.facts import Facts
from desktop.models.questions import Questions
from desktop.theme import GAP, LARGE, SMALL, colours
from desktop.theme.icons import icon
from desktop.widgets.combo import Combo
from desktop.widgets.elided import Elided
from desktop.widgets.notice import Notice
from desktop.widgets.pieces import button, column, label, row, sign_button
from desktop.words import tr
from engine.families import FAMILIES
from engine.messages import Describe, Entry
from engine.offers import can_draw

WIDTH = 344
_PICTURE = QSize(WIDTH - 2 * LARGE - GAP, 190)
_USED = ("lora", "embedding", "vae", "upscaler")
"""Kinds that the Create screen has a place for, beside what draws."""


class Details(QFrame):
    """Shows an entry; the signals carry its path, or what the person says of it."""

    described = Signal(object)
    used = Signal(str)
    revealed = Signal(str)
    discarded = Signal(str)
    converted = Signal(str, str)

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("details")
        self.setFixedWidth(WIDTH)
        self._entry = Entry(path="", name="")
        self._picture = label()
        self._picture.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._name, self._what = Elided("title"), label(look="muted", wraps=True)
        self.star = sign_button("star", tr("Star"))
        self.star.clicked.connect(lambda: self._say(starred=not self._entry.starred))
        self._notice = Notice()
        self._notice.dismissed.connect(self._notice.hide)
        self.use = button(tr("Use"), "accent")
        self.convert = button(tr("Convert"), explained=tr("Make it ready for OpenVINO now, not at its first picture."))
        self._precisions = QMenu(self.convert)
        self.convert.setMenu(self._precisions)
        self.reveal = button(tr("Show in folder"), "quiet")
        self.discard = button(tr("Delete…"), "quiet")
        self.questions, self.own, self._facts = Questions(), Described(), Facts()
        self.kinds, self.families = Combo(tr("Kind")), Combo(tr("Family"))
        self._rests_on = label(look="muted", wraps=True)
        self._connect()
        self._lay_out()
        self.show_entry(None, can_convert=False)

    def show_entry(self, entry: Entry | None, can_convert: bool) -> None:
        """Show this one; None for none. `can_convert` says whether OpenVINO is here."""
        self._stack.setCurrentIndex(entry is not None)
        if entry is None:
            self.own.commit()
            return
        if entry.path != self._entry.path or entry.preview != self._entry.preview:
            self._picture.hide()
        self._entry = entry
        self._name.setText(entry.name)
        self._what.setText(sentences.what(entry))
        self.star.setIcon(icon("star-full" if entry.starred else "star", colours().accent))
        self.star.setToolTip(tr("Take the star away") if entry.starred else tr("Star"))
        self.star.setAccessibleName(self.star.toolTip())
        self._show_trouble(entry)
        is_well = entry.state == "here"
        self.use.setVisible(is_well and (entry.sort in _USED or can_draw(entry)))
        self.convert.setVisible(is_well and can_convert and can_draw(entry))
        self.reveal.setEnabled(entry.state != "missing")
        self._offer_precisions(entry)
        self.questions.show_entry(entry)
        self._show_guess(entry)
        self.own.show_entry(entry)
        self._facts.show_entry(entry)

    def show_picture(self, path: str, image: QImage) -> None:
        """Show the entry's picture, once it is decoded."""
        if path != self._entry.preview:
            return
        sharpness = self.devicePixelRatioF()
        size = _PICTURE * sharpness
        ways = Qt.AspectRatioMode.KeepAspectRatio, Qt.TransformationMode.SmoothTransformation
        pixmap = QPixmap.fromImage(image.scaled(size, *ways))
        pixmap.setDevicePixelRatio(sharpness)
        self._picture.setPixmap(pixmap)
        self._picture.show()

    def _show_trouble(self, entry: Entry) -> None:
        if entry.state == "here":
            if entry.is_pickle and can_draw(entry):
                cause = tr("This is a model in a file of PyTorch's.")
                advice = tr("Nothing in it is run: it is drawn with from a safe copy, made in Easel's cache, once.")
                self._notice.say(cause, advice, tone="news")
            else:
                self._notice.hide()
            return
        tone = "trouble" if entry.state == "broken" else "news"
        self._notice.say(tr(sentences.STANDINGS[entry.state]), tr(entry.trouble), tone=tone)

    def _offer_precisions(self, entry: Entry) -> None:
        self._precisions.clear()
        for precision in sentences.PRECISIONS:
            action = self._precisions.addAction(precision)
            action.setCheckable(True)
            action.setChecked(precision in entry.converted)
            action.setEnabled(precision not in entry.converted)
            action.triggered.connect(lambda _=False, to=precision: self.converted.emit(self._entry.path, to))

    def _show_guess(self, entry: Entry) -> None:
        self._rests_on.setText(sentences.rests_on(entry))
        for choice, names, value in (
            (self.kinds, {sort: tr(name) for sort, name in sentences.KINDS.items()}, entry.sort),
            (self.families, {name: family.label for name, family in FAMILIES.items()}, entry.family),
        ):
            choice.clear()
            choice.addItem(tr("As recognised"), "")
            for name, words in {value: value, **names}.items():
                if name:
                    choice.addItem(words, name)
            choice.setCurrentIndex(choice.findData(value) if value else 0)

    def _say(self, **words: object) -> None:
        self.described.emit(Describe(path=self._entry.path, **words))  # pyright: ignore[reportArgumentType]

    def _connect(self) -> None:
        self.use.clicked.connect(lambda: self.used.emit(self._entry.path))
        self.reveal.clicked.connect(lambda: self.revealed.emit(self._entry.path))
        self.discard.clicked.connect(lambda: self.discarded.emit(self._entry.path))
        self.own.said.connect(self.described)
        self.questions.answered.connect(lambda about, answer: self._say(answers=((about, answer),)))
        self.kinds.activated.connect(lambda _: self._say(sort=self.kinds.currentData()))
        self.families.activated.connect(lambda _: self._say(family=self.families.currentData()))

    def _lay_out(self) -> None:
        inside = QWidget()
        inside.setObjectName("inside")
        parts = column(inside, GAP, (LARGE, LARGE, LARGE, LARGE))
        head = row(spacing=SMALL)
        head.addWidget(self._name, 1)
        head.addWidget(self.star)
        ways = row(spacing=SMALL)
        ways.addWidget(self.use, 1)
        ways.addWidget(self.convert, 1)
        guess = column(spacing=SMALL)
        for name, choice in (("Kind", self.kinds), ("Family", self.families)):
            caption = label(tr(name), "caption")
            caption.setBuddy(choice)
            guess.addWidget(caption)
            guess.addWidget(choice)
        guess.addWidget(self._rests_on)
        last = row(spacing=SMALL)
        last.addWidget(self.reveal)
        last.addStretch()
        last.addWidget(self.discard)
        parts.addWidget(self._picture)
        parts.addLayout(head)
        for part in (self._what, self._notice):
            parts.addWidget(part)
        parts.addLayout(ways)
        parts.addWidget(self.questions)
        parts.addLayout(guess)
        parts.addWidget(self.own)
        parts.addWidget(self._facts)
        parts.addLayout(last)
        parts.addStretch()
        self._put(inside)

    def _put(self, inside: QWidget) -> None:
        scroll = QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scroll.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        scroll.setWidget(inside)
        nothing = label(tr("Choose a card to see what it is."), "muted", wraps=True)
        nothing.setAlignment(Qt.AlignmentFlag.AlignCenter)
        nothing.setContentsMargins(LARGE, LARGE, LARGE, LARGE)
        self._stack = QStackedWidget()
        self._stack.addWidget(nothing)
        self._stack.addWidget(scroll)
        column(self).addWidget(self._stack)
