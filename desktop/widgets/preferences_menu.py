"""A menu drawn from the declared preferences: one list of choices for each that has choices."""

from PySide6.QtCore import Signal
from PySide6.QtGui import QAction, QActionGroup
from PySide6.QtWidgets import QMenu, QWidget

from desktop.words import tr
from engine.settings import Preferences, fields


class PreferencesMenu(QMenu):
    """`edited` carries name and value; `folder_asked` that another folder is to be chosen."""

    edited = Signal(str, object)
    folder_asked = Signal()
    folder_opened = Signal()

    def __init__(self, preferences: Preferences, parent: QWidget) -> None:
        super().__init__(parent)
        for field in fields(Preferences):
            if field.setting.choices:
                menu = self.addMenu(tr(field.setting.label))
                self._add_choices(menu, field.name, field.setting.choices, getattr(preferences, field.name))
        self.addSeparator()
        self.addAction(tr("Open the pictures folder"), self.folder_opened.emit)
        self.addAction(tr("Choose the pictures folder…"), self.folder_asked.emit)

    def _add_choices(self, menu: QMenu, name: str, choices: tuple[str, ...], chosen: str) -> None:
        group = QActionGroup(menu)
        for choice in choices:
            action = QAction(tr(choice), group)
            action.setCheckable(True)
            action.setChecked(choice == chosen)
            action.triggered.connect(lambda _=False, value=choice: self.edited.emit(name, value))
            menu.addAction(action)
