"""A form drawn from declared settings: label, editor, help, and a notice beside what is wrong."""

from collections.abc import Iterable, Mapping
from typing import Any

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QGridLayout, QWidget

from desktop.theme import GAP, SMALL
from desktop.widgets.editors import Number, WholeNumber, editing, editor
from desktop.widgets.notice import Notice
from desktop.widgets.pieces import column, label
from desktop.words import tr
from engine.settings import Field


class Form(QWidget):
    """Numbers stand in pairs, everything else has its own line. `edited` carries name and value."""

    edited = Signal(str, object)

    def __init__(self, fields: Iterable[Field], own: Mapping[str, QWidget] | None = None) -> None:
        super().__init__()
        self._editors: dict[str, QWidget] = {}
        self._rows: dict[str, int] = {}
        self._grid = QGridLayout(self)
        self._grid.setSpacing(GAP)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setColumnStretch(0, 1)
        self._grid.setColumnStretch(1, 1)
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
            editing(self._editors[name]).show_value(value)

    def has(self, name: str) -> bool:
        """Whether the form edits that setting."""
        return name in self._editors

    def editor_of(self, name: str) -> QWidget:
        """The editor of one field."""
        return self._editors[name]

    def place(self, notice: Notice, name: str) -> None:
        """Put a notice under the editor of a field."""
        self._grid.addWidget(notice, self._rows[name] + 1, 0, 1, 2)

    def _add(self, field: Field, widget: QWidget, place: int, span: int) -> None:
        name, explained = tr(field.setting.label), tr(field.setting.help)
        widget.setToolTip(explained)
        widget.setAccessibleName(name)
        widget.setAccessibleDescription(explained)
        caption = label(name, "caption")
        caption.setToolTip(explained)
        caption.setBuddy(widget)
        cell = column(spacing=SMALL - 2)
        cell.addWidget(caption)
        cell.addWidget(widget)
        row = place // 2 * 2
        self._grid.addLayout(cell, row, place % 2, 1, span)
        self._editors[field.name] = widget
        self._rows[field.name] = row
        editing(widget).edited.connect(lambda value, name=field.name: self.edited.emit(name, value))
