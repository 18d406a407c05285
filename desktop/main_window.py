"""The window around the screen; drawn anew when the language or the colours change."""

from pathlib import Path

from PySide6.QtCore import QEvent, QObject, QTimer, QUrl, Signal
from PySide6.QtGui import QCloseEvent, QDesktopServices, QGuiApplication
from PySide6.QtWidgets import QFileDialog, QFrame, QMainWindow, QToolButton, QWidget

from desktop import theme, words
from desktop.create import sentences
from desktop.create.screen import Screen
from desktop.engine_link import EngineLink
from desktop.state import State
from desktop.theme import GAP, LARGE
from desktop.theme.icons import icon
from desktop.widgets.pieces import column, label, row, sign_button
from desktop.widgets.preferences_menu import PreferencesMenu
from desktop.words import tr
from engine import paths

_SIDE = 24


class MainWindow(QMainWindow):
    """`painted` once the person sees it."""

    painted = Signal()

    def __init__(self, state: State, link: EngineLink) -> None:
        super().__init__()
        self._state, self._link = state, link
        self._is_painted = False
        self.setWindowTitle("Easel")
        self.setWindowIcon(icon("easel", "", 64))
        self.setMinimumSize(1080, 600)
        self._draw()
        self.resize(1280, 800)
        self._state.changed.connect(self._follow)
        QGuiApplication.styleHints().colorSchemeChanged.connect(self._follow_system)
        self.installEventFilter(self)

    def _draw(self) -> None:
        """Make everything from the state, in the language and colours of the preferences."""
        preferences = self._state.now.preferences
        words.use(preferences.language)
        theme.apply(preferences.theme)
        if self.centralWidget():
            self.create_screen.stop()
        self.create_screen = Screen(self._state, self._link)
        whole = QWidget()
        parts = column(whole)
        parts.addWidget(self._header())
        parts.addWidget(self.create_screen, 1)
        self.setCentralWidget(whole)
        self.create_screen.begin()

    def _header(self) -> QWidget:
        header = QFrame()
        header.setObjectName("header")
        sign = label()
        sign.setPixmap(icon("easel", "", _SIDE).pixmap(_SIDE, _SIDE))
        self._device = label(look="device")
        menu = PreferencesMenu(self._state.now.preferences, self)
        menu.edited.connect(self._state.set)
        menu.folder_asked.connect(self._choose_folder)
        menu.folder_opened.connect(self._open_folder)
        gear = sign_button("preferences", tr("Preferences"), "gear")
        gear.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        gear.setMenu(menu)
        parts = row(header, GAP, (LARGE, 0, GAP, 0))
        parts.addWidget(sign)
        parts.addWidget(label("Easel", "name"))
        parts.addStretch()
        parts.addWidget(self._device)
        parts.addWidget(gear)
        header.setFixedHeight(52)
        self._show_device()
        return header

    def _show_device(self) -> None:
        ready = self._state.now.ready
        self._device.setText(sentences.device(ready))
        self._device.setToolTip(sentences.why_device(ready))

    def _follow(self, name: str) -> None:
        match name:
            case "settings":
                self._link.keep(self._state.now.settings)
            case "preferences":
                self._link.keep(self._state.now.preferences)
            case "theme" | "language":
                QTimer.singleShot(0, self, self._draw)  # once the menu that asked for it is done
            case "ready":
                self._show_device()

    def _follow_system(self) -> None:
        if self._state.now.preferences.theme == "system":
            QTimer.singleShot(0, self, self._draw)

    def _choose_folder(self) -> None:
        before = self._state.now.preferences.output or str(paths.pictures())
        chosen = QFileDialog.getExistingDirectory(self, tr("Choose the pictures folder…"), before)
        if chosen:
            self._state.set("output", chosen)

    def _open_folder(self) -> None:
        folder = Path(self._state.now.preferences.output or paths.pictures())
        QDesktopServices.openUrl(QUrl.fromLocalFile(str(paths.ready(folder))))

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() == QEvent.Type.Paint and not self._is_painted:
            self._is_painted = True
            QTimer.singleShot(0, self.painted.emit)
        return False

    def closeEvent(self, event: QCloseEvent) -> None:
        self.create_screen.stop()
        event.accept()
