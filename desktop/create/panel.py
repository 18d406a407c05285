"""The left side: what the picture shows, how it is made, and the button that makes it."""

from functools import cache, partial
from typing import Any

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QFrame, QScrollArea, QWidget

from desktop.create import sentences
from desktop.create.entry_choice import EntryChoice
from desktop.create.extras import Extras
from desktop.create.prompt_edit import PromptEdit
from desktop.state import Now
from desktop.theme import GAP, LARGE, SMALL
from desktop.widgets.editors import commit
from desktop.widgets.fold import Fold
from desktop.widgets.form import Form
from desktop.widgets.notice import Notice
from desktop.widgets.pieces import button, column, keys, label
from desktop.words import tr
from engine.families import FAMILIES
from engine.messages import Failed
from engine.offers import meant, offers
from engine.settings import Field, fields

WIDTH = 344
_EXAMPLE = "For example: a red house on a meadow at sunset"


class Panel(QFrame):
    """Shows settings; `edited` carries name and value, `generated` that the button was pressed."""

    edited = Signal(str, object)
    generated = Signal()
    dismissed = Signal()
    taken_up = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("panel")
        self.setFixedWidth(WIDTH)
        declared = {field.name: field for field in fields()}
        self.prompt = _text(declared["prompt"], 5, tr(_EXAMPLE))
        self.negative = _text(declared["negative_prompt"], 2, "")
        self.models = EntryChoice(tr(declared["model"].setting.label))
        self.refiners = EntryChoice(tr(declared["refiner"].setting.label), tr("None"))
        self.vaes = EntryChoice(tr(declared["vae"].setting.label), tr("The model's own"))
        self.main = Form(_at("main"), {"model": self.models})
        self.advanced = Form([*_at("advanced"), *_at("machine")], {"refiner": self.refiners, "vae": self.vaes})
        self.extras = Extras()
        self.notice = Notice()
        self.button = button(tr("Generate"), "generate", keys("Ctrl+Enter"))
        self._negative_fold = Fold(tr(declared["negative_prompt"].setting.label), self.negative)
        self._advanced_fold = Fold(tr("Advanced"), self.advanced)
        self._lay_out(tr(declared["prompt"].setting.label))
        self._connect()

    def show_value(self, name: str, value: Any) -> None:
        """Show one setting."""
        match name:
            case "prompt":
                self.prompt.show_value(value)
            case "negative_prompt":
                self.negative.show_value(value)
                self._negative_fold.set_open(self._negative_fold.is_open() or bool(value))
            case _:
                self.main.show_value(name, value)
                self.advanced.show_value(name, value)

    def name(self, now: Now) -> None:
        """Let the prompts complete names of what the library has for the model that draws."""
        self.prompt.completion.names_of = self.negative.completion.names_of = cache(partial(_names, now))

    def offer(self, now: Now) -> None:
        """Let people choose among what the library has for the model that draws."""
        self.models.offer(now.models, now.is_looked_through)
        model = meant(now.models, now.settings.model)
        family = model.entry.family if model else ""
        refined_by = FAMILIES[family].refined_by if family else FAMILIES
        self.refiners.offer([each for each in now.models if each.entry.family in refined_by], now.is_looked_through)
        fitting = (each for each in now.autoencoders if each.entry.family in ("", family) or not family)
        self.vaes.offer(tuple(fitting), now.is_looked_through)

    def show_trouble(self, now: Now) -> None:
        """Say what went wrong beside what it is about, or that a request came back."""
        lost = now.returned and now.returned.prompt != now.settings.prompt
        action = tr("Bring its settings back") if lost else ""
        if now.trouble:
            where = now.trouble.where if isinstance(now.trouble, Failed) else ""
            self._place_notice(where)
            self.notice.say(*sentences.trouble(now.trouble, bool(now.jobs)), action)
        elif now.returned and now.undone:
            self._place_notice("")
            left = tr("Stopped as asked. Pictures that were not begun: {number}.").format(number=now.undone)
            self.notice.say(left, "", tr("Set up the rest"), "news")
        elif lost:
            self._place_notice("")
            self.notice.say(tr("The picture was called off."), "", action, "news")
        else:
            self.notice.hide()

    def commit(self) -> None:
        """Take over what is still being typed."""
        commit(self.focusWidget())

    def _place_notice(self, where: str) -> None:
        if where == "prompt":
            self._column.insertWidget(self._column.indexOf(self.prompt) + 1, self.notice)
        elif where == "negative_prompt":
            self._column.insertWidget(self._column.indexOf(self._negative_fold) + 1, self.notice)
        elif self.main.has(where):
            self.main.place(self.notice, where)
        elif self.advanced.has(where):
            self._advanced_fold.set_open(True)
            self.advanced.place(self.notice, where)
        else:
            self._foot.insertWidget(0, self.notice)

    def _connect(self) -> None:
        self.prompt.edited.connect(lambda text: self.edited.emit("prompt", text))
        self.negative.edited.connect(lambda text: self.edited.emit("negative_prompt", text))
        for form in (self.main, self.advanced):
            form.edited.connect(self.edited)
        self.button.clicked.connect(self.generated)
        self.notice.dismissed.connect(self.dismissed)
        self.notice.taken.connect(self.taken_up)

    def _lay_out(self, prompt_label: str) -> None:
        inside = QWidget()
        inside.setObjectName("inside")
        self._column = column(inside, GAP, (LARGE, LARGE - SMALL, LARGE, GAP))
        caption = label(prompt_label, "heading")
        caption.setBuddy(self.prompt)
        for part in (caption, self.prompt, self._negative_fold, self.extras, self.main, self._advanced_fold):
            self._column.addWidget(part)
        self._column.addStretch()
        scroll = QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scroll.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        scroll.setWidget(inside)
        self._foot = column(spacing=GAP, margins=(LARGE, GAP, LARGE, LARGE - SMALL))
        self._foot.addWidget(self.button)
        whole = column(self)
        whole.addWidget(scroll, 1)
        whole.addLayout(self._foot)


def _names(now: Now, sort: str) -> list[str]:
    model = meant(now.models, now.settings.model)
    families = ("", model.entry.family) if model else ("", *FAMILIES)
    found = (each for each in now.entries.values() if each.sort == sort and each.state == "here")
    return [each.value for each in offers(each for each in found if each.family in families)]


def _at(where: str) -> list[Field]:
    return [field for field in fields() if field.setting.where == where]


def _text(field: Field, lines: int, placeholder: str) -> PromptEdit:
    edit = PromptEdit(lines, placeholder)
    edit.setAccessibleName(tr(field.setting.label))
    edit.setToolTip(tr(field.setting.help))
    return edit
