"""A menu drawn from the declared preferences: a list for each that has choices, a tick for what is on or off."""

from collections.abc import Mapping

import psutil
from PySide6.QtCore import Signal
from PySide6.QtGui import QAction, QActionGroup
from PySide6.QtWidgets import QMenu, QWidget

from desktop.words import tr
from engine.settings import SWITCH, Field, Preferences, fields

_MOST_CORES = 16
"""Lines of the list of numbers of cores."""


class PreferencesMenu(QMenu):
    """`edited` carries name and value; `folder_asked` that another folder is to be chosen."""

    edited = Signal(str, object)
    folder_asked = Signal()
    folder_opened = Signal()

    def __init__(self, preferences: Preferences, parent: QWidget) -> None:
        super().__init__(parent)
        self.setToolTipsVisible(True)
        for field in fields(Preferences):
            chosen = getattr(preferences, field.name)
            if field.setting.choices == SWITCH:
                self._add_switch(field, chosen)
            elif field.setting.choices:
                self._add_choices(field, {choice: tr(choice) for choice in field.setting.choices}, chosen)
            elif field.type is int:
                self._add_choices(field, _numbers_of_cores(), chosen)
        self.addSeparator()
        self.addAction(tr("Open the pictures folder"), self.folder_opened.emit)
        self.addAction(tr("Choose the pictures folder…"), self.folder_asked.emit)

    def _add_choices(self, field: Field, choices: Mapping[str, str] | Mapping[int, str], chosen: str | int) -> None:
        menu = self.addMenu(tr(field.setting.label))
        menu.menuAction().setToolTip(tr(field.setting.help))
        group = QActionGroup(menu)
        for choice, words in choices.items():
            action = QAction(words, group)
            action.setCheckable(True)
            action.setChecked(choice == chosen)
            action.triggered.connect(lambda _=False, value=choice: self.edited.emit(field.name, value))
            menu.addAction(action)

    def _add_switch(self, field: Field, chosen: str) -> None:
        action = self.addAction(tr(field.setting.label))
        action.setToolTip(tr(field.setting.help))
        action.setCheckable(True)
        action.setChecked(chosen == SWITCH[True])
        action.triggered.connect(lambda on: self.edited.emit(field.name, SWITCH[on]))


def _numbers_of_cores() -> dict[int, str]:
    cores = psutil.cpu_count(logical=False) or psutil.cpu_count() or 1
    step = -(-cores // _MOST_CORES)
    return {0: tr("auto")} | {number: str(number) for number in range(step, cores + 1, step)}
