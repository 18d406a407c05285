"""The window around the screens; drawn anew when the language or the colours change."""

from pathlib import Path

from PySide6.QtCore import QEvent, QObject, QTimer, QUrl, Signal
from PySide6.QtGui import QCloseEvent, QDesktopServices, QGuiApplication, QKeySequence, QShortcut
from PySide6.QtWidgets import QFileDialog, QFrame, QMainWindow, QStackedWidget, QTabBar, QToolButton, QWidget

from desktop import theme, words
from desktop.create import sentences
from desktop.create.screen import Screen
from desktop.engine_link import EngineLink
from desktop.models.screen import Screen as ModelsScreen
from desktop.state import State
from desktop.theme import GAP, LARGE
from desktop.theme.icons import icon
from desktop.widgets.pieces import column, keys, label, row, sign_button
from desktop.widgets.preferences_menu import PreferencesMenu
from desktop.words import tr
from engine import paths

_SIDE = 24
_TABS = {"create": "Create", "models": "Models"}
"""The screens, by the names that the state has for them."""


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
        for place, _ in enumerate(_TABS):
            QShortcut(QKeySequence(f"Ctrl+{place + 1}"), self, lambda place=place: self._tabs.setCurrentIndex(place))
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
            self._stop()
        self.create_screen = Screen(self._state, self._link)
        self.models_screen = ModelsScreen(self._state, self._link)
        self._screens = QStackedWidget()
        for screen in (self.create_screen, self.models_screen):
            self._screens.addWidget(screen)
        whole = QWidget()
        parts = column(whole)
        parts.addWidget(self._header())
        parts.addWidget(self._screens, 1)
        self.setCentralWidget(whole)
        self._turn()

    def _turn(self) -> None:
        """Bring the screen that is looked at to the front."""
        place = list(_TABS).index(self._state.now.screen)
        self._tabs.setCurrentIndex(place)
        self._screens.setCurrentIndex(place)
        (self.create_screen, self.models_screen)[place].begin()

    def _stop(self) -> None:
        self.create_screen.stop()
        self.models_screen.stop()

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
        parts.addSpacing(LARGE)
        parts.addWidget(self._tab_bar())
        parts.addStretch()
        parts.addWidget(self._device)
        parts.addWidget(gear)
        header.setFixedHeight(52)
        self._show_device()
        return header

    def _tab_bar(self) -> QTabBar:
        self._tabs = QTabBar()
        self._tabs.setDrawBase(False)
        self._tabs.setExpanding(False)
        self._tabs.setAccessibleName(tr("Screens"))
        for place, name in enumerate(_TABS.values()):
            self._tabs.addTab(tr(name))
            self._tabs.setTabToolTip(place, keys(f"Ctrl+{place + 1}"))
        self._tabs.setCurrentIndex(list(_TABS).index(self._state.now.screen))
        self._tabs.currentChanged.connect(lambda place: self._state.set("screen", list(_TABS)[place]))
        return self._tabs

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
            case "screen":
                self._turn()

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
        self._stop()
        event.accept()
