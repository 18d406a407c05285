"""The Models screen: joins its parts to the state and the engine."""

import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from msgspec import structs
from PySide6.QtCore import QPoint, QTimer, QUrl
from PySide6.QtGui import QCursor, QDesktopServices, QDragEnterEvent, QDropEvent, QKeySequence, QShortcut
from PySide6.QtWidgets import QFileDialog, QMenu, QMessageBox, QStackedWidget, QWidget

from desktop.engine_link import EngineLink
from desktop.models.bar import Bar
from desktop.models.cards import CardList
from desktop.models.details import Details
from desktop.models.filters import Filters
from desktop.models.hindrances import Hindrances
from desktop.models.shelf import Shelf
from desktop.models.using import used
from desktop.models.welcome import Welcome
from desktop.state import LISTING, Sieve, State
from desktop.theme import LARGE
from desktop.widgets.decoding import Decoding
from desktop.widgets.notice import Notice
from desktop.widgets.pieces import column, row
from desktop.words import tr
from engine.messages import Browse, Cancel, Convert, Discard, Forget, Pause, Request, TakeIn

_OF_CARDS = frozenset({"entries", "sieve", "is_listed"})
_OF_DETAILS = frozenset({"entries", "entry", "ready"})
_OF_BAR = frozenset({"entries", "sieve", "is_listed", "scanning", "errands"})
_WAYS: dict[Literal["use", "copy", "move"], str] = {
    "use": "Use where it lies",
    "copy": "Copy into Easel's folder",
    "move": "Move into Easel's folder",
}


class Screen(QWidget):
    """Draws the state, and turns what the person does into state and requests."""

    def __init__(self, state: State, link: EngineLink) -> None:
        super().__init__()
        self._state, self._link = state, link
        self._shelf, self._shown = Shelf(), 0
        self._small, self._large = Decoding(self, newest_first=True), Decoding(self)
        self.filters, self.cards = Filters(state.now.sieve), CardList(self._small)
        self.details, self.bar, self.welcome = Details(), Bar(), Welcome()
        self.notice, self.hindrances = Notice(), Hindrances()
        self._is_drawn = False
        self.setAcceptDrops(True)
        self._lay_out()
        self._connect()

    def begin(self) -> None:
        """Draw what there is, ask once more where the library could not say, and put the cursor into the search."""
        if not self._is_drawn:
            self._is_drawn = True
            self._shelf.fill(self._state.now.entries)
            for name in ("entries", "entry", "errand_trouble", "hindrances", "scanning"):
                self._show(name)
        if not self._state.now.is_listed and LISTING not in self._state.now.errands:
            self._send(Browse(job=LISTING))
        self.filters.search.setFocus()

    def stop(self) -> None:
        """Let no file be read any more."""
        self._small.stop()
        self._large.stop()

    # ------------------------------------------------------------ what the person does

    def offer_ways(self, paths: Sequence[str], at: QPoint) -> None:
        """Ask how these files and folders are to come into the library."""
        menu = QMenu(self)
        menu.setObjectName("ways")
        for how, words in _WAYS.items():
            menu.addAction(tr(words), lambda how=how: self._send(TakeIn(job=_job(), paths=tuple(paths), how=how)))
        menu.aboutToHide.connect(menu.deleteLater)
        menu.popup(at)

    def use(self, path: str) -> None:
        """Let the Create screen draw with an entry."""
        entry = self._state.now.entries.get(path)
        changed = used(self._state.now, entry) if entry else None
        if changed:
            self._state.set("settings", changed)
            self._state.set("screen", "create")

    def ask_to_discard(self, path: str) -> None:
        """Put an entry into the trash, if the person means it."""
        name = self._state.now.entries[path].name
        ask = QMessageBox(self)
        ask.setIcon(QMessageBox.Icon.Question)
        ask.setText(tr("Put “{name}” into the trash?").format(name=name))
        ask.setInformativeText(tr("What lies beside it for it, such as its card and its picture, goes along."))
        yes = ask.addButton(tr("Into the trash"), QMessageBox.ButtonRole.AcceptRole)
        ask.addButton(tr("Keep it"), QMessageBox.ButtonRole.RejectRole)
        ask.finished.connect(lambda _: ask.clickedButton() is yes and self._send(Discard(job=_job(), path=path)))
        ask.finished.connect(ask.deleteLater)
        ask.open()

    def _send(self, request: Request) -> None:
        self._state.sent(request.job)
        self._link.send(request)

    def _choose_files(self) -> None:
        paths, _ = QFileDialog.getOpenFileNames(self, tr("Add files…"))
        if paths:
            self.offer_ways(paths, QCursor.pos())

    def _choose_folder(self) -> None:
        path = QFileDialog.getExistingDirectory(self, tr("Add a folder…"))
        if path:
            self.offer_ways([path], QCursor.pos())

    def _reveal(self, path: str) -> None:
        QDesktopServices.openUrl(QUrl.fromLocalFile(str(Path(path).parent)))

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        if any(url.isLocalFile() for url in event.mimeData().urls()):
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        paths = [url.toLocalFile() for url in event.mimeData().urls() if url.isLocalFile()]
        event.acceptProposedAction()
        at = self.mapToGlobal(event.position().toPoint())
        QTimer.singleShot(0, self, lambda: self.offer_ways(paths, at))  # once the other program has let go

    # ------------------------------------------------------------ what is shown

    def _show(self, name: str) -> None:
        now = self._state.now
        if name == "entries":
            self._shelf.fill(now.entries)
            self.filters.offer(now.entries.values())
        if name in _OF_CARDS:
            found = self._shelf.found(now.sieve)
            self._shown = len(found)
            self.cards.show_entries(found, now.entry)
            self.welcome.explain(is_empty=not now.entries)
            self._stack.setCurrentWidget(self.cards if found or not now.is_listed else self.welcome)
        if name in _OF_DETAILS:
            entry = now.entries.get(now.entry)
            can_convert = any(device.backend == "openvino" for device in (now.ready.devices if now.ready else ()))
            self.details.show_entry(entry, can_convert)
            if entry and entry.preview:
                self._large.ask(entry.preview)
        if name in _OF_BAR:
            self.bar.show_now(now, self._shown)
        if name == "scanning" and now.scanning:
            self.filters.name_folders(now.scanning.folders)
        if name == "hindrances":
            self.hindrances.show_now(now.hindrances)
        if name == "errand_trouble":
            trouble = now.errand_trouble
            self.notice.say(tr(trouble.cause), tr(trouble.advice)) if trouble else self.notice.hide()

    def _follow(self, name: str) -> None:
        if self._is_drawn:
            self._show(name)

    def _connect(self) -> None:
        state = self._state
        state.changed.connect(self._follow)
        self.filters.sifted.connect(lambda sieve: state.set("sieve", sieve))
        self.filters.forgotten.connect(lambda folder: self._send(Forget(job=_job(), path=folder)))
        self.cards.picked.connect(lambda path: state.set("entry", path))
        self.cards.used.connect(self.use)
        self.cards.discarded.connect(self.ask_to_discard)
        self.details.used.connect(self.use)
        self.details.revealed.connect(self._reveal)
        self.details.discarded.connect(self.ask_to_discard)
        self.details.described.connect(lambda said: self._send(structs.replace(said, job=_job())))
        self.details.converted.connect(lambda path, to: self._send(Convert(job=_job(), path=path, precision=to)))
        self._large.decoded.connect(self.details.show_picture)
        self.bar.paused.connect(lambda on: self._link.send(Pause(on=on)))
        self.bar.cancelled.connect(lambda job: self._link.send(Cancel(job=job)))
        self.notice.dismissed.connect(lambda: state.set("errand_trouble", None))
        self.welcome.cleared.connect(self._clear)
        for asks in (self.filters, self.welcome):
            asks.files_asked.connect(self._choose_files)
            asks.folder_asked.connect(self._choose_folder)
        QShortcut(QKeySequence("Ctrl+F"), self, self.filters.search.setFocus)

    def _clear(self) -> None:
        self.filters.show_sieve(Sieve())
        self._state.set("sieve", Sieve())

    def _lay_out(self) -> None:
        self._stack = QStackedWidget()
        self._stack.addWidget(self.cards)
        self._stack.addWidget(self.welcome)
        left = column()
        left.addWidget(self.filters)
        beside = row(margins=(LARGE, 0, LARGE, 0))
        beside.addWidget(self.notice)
        left.addLayout(beside)
        left.addWidget(self.hindrances)
        left.addWidget(self._stack, 1)
        both = row()
        both.addLayout(left, 1)
        both.addWidget(self.details)
        whole = column(self)
        whole.addLayout(both, 1)
        whole.addWidget(self.bar)


def _job() -> str:
    return uuid.uuid4().hex
