"""The Create screen: joins its parts to the state and the engine."""

import uuid

from msgspec import structs
from PySide6.QtCore import QSize
from PySide6.QtGui import QKeySequence, QShortcut
from PySide6.QtWidgets import QWidget

from desktop.create import extras
from desktop.create.footer import Footer
from desktop.create.panel import Panel
from desktop.create.recent import SIDE, Recent
from desktop.create.stage import Stage
from desktop.engine_link import EngineLink
from desktop.state import State
from desktop.theme import GAP, LARGE, SMALL
from desktop.widgets.decoding import Decoding
from desktop.widgets.pieces import column, row
from engine.errors import BadInput
from engine.messages import Cancel, Failed, Generate, Pause, StopAfter
from engine.settings import GenerateSettings, checked

_RECENT_WIDTH = 2 * (SIDE + SMALL) + LARGE + GAP
_OF_OFFERS = frozenset({"models", "autoencoders", "model", "is_looked_through"})
_OF_NAMES = frozenset({"entries", "models", "model"})
_OF_STAGE = frozenset({"doing", "shown", "live"})
_OF_FOOTER = frozenset({"doing", "jobs", "notes", "ready", "ending", "trouble", "held", "paused", "stopping_after"})
_OF_TROUBLE = frozenset({"trouble", "returned", "undone", "jobs"})
_OF_RECENT = frozenset({"recent", "shown"})


class Screen(QWidget):
    """Draws the state, and turns what the person does into state and requests."""

    def __init__(self, state: State, link: EngineLink) -> None:
        super().__init__()
        self._state, self._link = state, link
        self._pictures, self._thumbnails = Decoding(self), Decoding(self)
        self.panel, self.stage = Panel(), Stage(self._pictures)
        self.recent, self.footer = Recent(self._thumbnails), Footer()
        self._lay_out()
        self._connect()
        for name in GenerateSettings.__struct_fields__:
            self.panel.show_value(name, getattr(state.now.settings, name))
        for name in ("source", "models", "doing", "trouble", "recent"):
            self._show(name)

    def sizeHint(self) -> QSize:
        return QSize(1280, 744)

    def begin(self) -> None:
        """Put the cursor into the prompt, with its words ready to be typed over."""
        self.panel.prompt.setFocus()
        self.panel.prompt.selectAll()

    def stop(self) -> None:
        """Let no file be read any more."""
        self._pictures.stop()
        self._thumbnails.stop()

    # ------------------------------------------------------------ what the person does

    def generate(self) -> None:
        """Ask for the picture, or say why that cannot be."""
        self.panel.commit()
        settings = self._state.now.settings
        if not settings.prompt.strip():
            self._refuse("The prompt is empty.", "Write what the picture should show.", "prompt")
            return
        try:
            checked(settings)
        except BadInput as error:
            self._refuse(error.cause, error.advice, error.where)
            return
        job = uuid.uuid4().hex
        self._state.asked(job)
        self._link.send(Generate(job=job, settings=settings, folder=self._state.now.preferences.output))

    def cancel(self) -> None:
        """Stop what is being made."""
        if self._state.now.jobs:
            first = self._state.now.jobs[0]
            self._state.set("ending", first)
            self._link.send(Cancel(job=first))

    def stop_after(self) -> None:
        """Stop once the picture that is being made is there."""
        if self._state.now.jobs:
            first = self._state.now.jobs[0]
            self._state.set("stopping_after", first)
            self._link.send(StopAfter(job=first))

    def pause(self) -> None:
        """Let what is being made wait, or go on."""
        now = self._state.now
        if now.jobs:
            first = now.jobs[0]
            on = now.paused is None and now.held != first
            self._state.set("held", first if on else "")
            self._link.send(Pause(job=first, on=on))

    def _refuse(self, cause: str, advice: str, where: str) -> None:
        self._state.set("trouble", Failed(cause=cause, advice=advice, where=where, fault="request"))

    def _edit(self, name: str, value: object) -> None:
        trouble = self._state.now.trouble
        if isinstance(trouble, Failed) and trouble.where == name:
            self._dismiss()
        self._state.set(name, value)

    def _try(self, example: str) -> None:
        self._state.set("prompt", example)
        self.generate()

    def _leave_out(self) -> None:
        self._state.set("settings", extras.without(self._state.now.settings))

    def _keep_seed(self, seed: int) -> None:
        self._state.set("seed", seed)

    def _take_up(self, settings: GenerateSettings) -> None:
        self._state.set("settings", structs.replace(settings, count=self._state.now.settings.count))

    def _bring_back(self) -> None:
        if self._state.now.returned:
            self._state.set("settings", self._state.now.returned)
        self._dismiss()

    def _dismiss(self) -> None:
        self._state.set("trouble", None)
        self._state.set("returned", None)
        self._state.set("undone", 0)

    # ------------------------------------------------------------ what is shown

    def _show(self, name: str) -> None:
        now = self._state.now
        if name in GenerateSettings.__struct_fields__:
            self.panel.show_value(name, getattr(now.settings, name))
        if name in extras.NAMES:
            self.panel.extras.show_settings(now.settings)
        if name in _OF_OFFERS:
            self.panel.offer(now)
        if name in _OF_NAMES:
            self.panel.name(now)
        if name in _OF_STAGE:
            self.stage.show_now(now)
        if name in _OF_FOOTER:
            self.footer.show_now(now)
        if name in _OF_TROUBLE:
            self.panel.show_trouble(now)
        if name in _OF_RECENT:
            self.recent.show_paths(now.recent, now.shown)

    def _connect(self) -> None:
        self._state.changed.connect(self._show)
        self.panel.edited.connect(self._edit)
        self.panel.generated.connect(self.generate)
        self.panel.dismissed.connect(self._dismiss)
        self.panel.taken_up.connect(self._bring_back)
        self.panel.extras.left_out.connect(self._leave_out)
        self.footer.cancelled.connect(self.cancel)
        self.footer.stopped_after.connect(self.stop_after)
        self.footer.paused.connect(self.pause)
        self.recent.picked.connect(self._state.pick)
        self.stage.example_chosen.connect(self._try)
        self.stage.view.moved.connect(self.recent.move_by)
        self.stage.caption.seed_kept.connect(self._keep_seed)
        self.stage.caption.taken_up.connect(self._take_up)
        for keys in ("Ctrl+Return", "Ctrl+Enter"):
            QShortcut(QKeySequence(keys), self, self.generate)
        QShortcut(QKeySequence("Esc"), self, self.cancel)
        QShortcut(QKeySequence("Ctrl+P"), self, self.pause)

    def _lay_out(self) -> None:
        self.recent.setFixedWidth(_RECENT_WIDTH)
        middle = row()
        for part, stretch in ((self.panel, 0), (self.stage, 1), (self.recent, 0)):
            middle.addWidget(part, stretch)
        whole = column(self)
        whole.addLayout(middle, 1)
        whole.addWidget(self.footer)
