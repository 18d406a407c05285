"""A form drawn from declared settings: label, editor, help, and a notice beside what is wrong."""

from collections.abc import Iterable, Mapping
from typing import Any, cast

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QGridLayout, QLabel, QVBoxLayout, QWidget

from desktop.theme import GAP, SMALL
from desktop.widgets.editors import Editor, Number, WholeNumber, editor
from desktop.widgets.notice import Notice
from desktop.words import tr
from engine.settings import Field


class Form(QWidget):
    """Numbers stand in pairs, everything else has its own line. `edited` carries name and value."""

    edited = Signal(str, object)

    def __init__(self, fields: Iterable[Field], own: Mapping[str, QWidget] | None = None) -> None:
        super().__init__()
        self._editors: dict[str, QWidget] = {}
        self._places: dict[str, tuple[int, int, int]] = {}
        self._grid = QGridLayout(self, horizontalSpacing=GAP, verticalSpacing=GAP)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setColumnStretch(0, 1)
        self._grid.setColumnStretch(1, 1)
        self._notice: Notice | None = None
        place = 0
        for field in fields:
            widget = (own or {}).get(field.name) or editor(field)
            is_half = isinstance(widget, WholeNumber | Number)
            place += 0 if is_half else place % 2
            self._add(field, widget, place, 1 if is_half else 2)
            place += 1 if is_half else 2

    def show_value(self, name: str, value: Any) -> None:
        """Show a value of one field, if the form has it."""
        if name in self._editors:
            cast(Editor, self._editors[name]).show_value(value)

    def has(self, name: str) -> bool:
        """Whether the form edits that setting."""
        return name in self._editors

    def editor_of(self, name: str) -> QWidget:
        """The editor of one field."""
        return self._editors[name]

    def place(self, notice: Notice, name: str) -> None:
        """Put a notice under the editor of a field."""
        row, _, _ = self._places[name]
        self._grid.addWidget(notice, row + 1, 0, 1, 2)

    def _add(self, field: Field, widget: QWidget, place: int, span: int) -> None:
        label, explained = tr(field.setting.label), tr(field.setting.help)
        widget.setToolTip(explained)
        widget.setAccessibleName(label)
        widget.setAccessibleDescription(explained)
        caption = QLabel(label, objectName="caption", toolTip=explained)
        caption.setBuddy(widget)
        cell = QVBoxLayout(spacing=SMALL - 2)
        cell.addWidget(caption)
        cell.addWidget(widget)
        row, column = place // 2 * 2, place % 2
        self._grid.addLayout(cell, row, column, 1, span)
        self._editors[field.name] = widget
        self._places[field.name] = (row, column, span)
        cast(Editor, widget).edited.connect(lambda value, name=field.name: self.edited.emit(name, value))
