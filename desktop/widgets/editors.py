"""One small editor for each kind of setting: it shows a value and says when the person changes it."""

from typing import Any, Protocol, cast

from PySide6.QtCore import QSignalBlocker, Qt, Signal, SignalInstance
from PySide6.QtGui import QWheelEvent
from PySide6.QtWidgets import (
    QAbstractSpinBox,
    QComboBox,
    QDoubleSpinBox,
    QLineEdit,
    QSizePolicy,
    QSpinBox,
    QWidget,
)

from desktop.words import tr
from engine.settings import Field

_LARGEST_INT = 2**31 - 1
"""Of a QSpinBox; larger whole numbers, such as seeds, live in a double."""

_TEXT_MARGIN = 6
"""Numbers begin where the words of the other editors do."""


class Editor(Protocol):
    """What a form needs of an editor; `edited` carries the new value."""

    @property
    def edited(self) -> SignalInstance: ...

    def show_value(self, value: Any) -> None: ...


def editor(field: Field) -> QWidget:
    """The editor that fits the field; it keeps every value within the declared range."""
    if field.setting.choices:
        return Choice(field)
    if field.type is str:
        return Text()
    if field.type is int and field.setting.high <= _LARGEST_INT:
        return WholeNumber(field)
    return Number(field)


def editing(widget: QWidget) -> Editor:
    """The same widget, as the editor that it is: a protocol cannot demand both."""
    return cast(Editor, widget)


def commit(widget: QWidget | None) -> None:
    """Take over a number that is still being typed."""
    if isinstance(widget, QAbstractSpinBox):
        widget.interpretText()
        widget.editingFinished.emit()


def _prepare(spin: QAbstractSpinBox, field: Field) -> None:
    spin.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
    spin.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
    spin.setMinimumWidth(72)
    spin.lineEdit().setTextMargins(_TEXT_MARGIN, 0, 0, 0)
    if field.optional:
        spin.setSpecialValueText(tr(field.setting.absent))


class WholeNumber(QSpinBox):
    """A whole number; below the lowest stands "absent" where the field allows it."""

    edited = Signal(object)

    def __init__(self, field: Field) -> None:
        super().__init__()
        low, step = int(field.setting.low), int(field.setting.step)
        self._low, self._optional = low, field.optional
        self.setRange(low - step if field.optional else low, int(field.setting.high))
        self.setSingleStep(step)
        _prepare(self, field)
        self.valueChanged.connect(self._tell)
        self.editingFinished.connect(self._snap)

    def show_value(self, value: int | None) -> None:
        """Show a value without telling of it."""
        with QSignalBlocker(self):
            self.setValue(self.minimum() if value is None else value)

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Turn the number only where the person is working, so that scrolling past changes nothing."""
        super().wheelEvent(event) if self.hasFocus() else event.ignore()

    def _tell(self, value: int) -> None:
        self.edited.emit(None if self._optional and value < self._low else value)

    def _snap(self) -> None:
        step = self.singleStep()
        self.setValue(self._low + round((self.value() - self._low) / step) * step)


class Number(QDoubleSpinBox):
    """A number with decimals, or a whole one too large for a QSpinBox."""

    edited = Signal(object)

    def __init__(self, field: Field) -> None:
        super().__init__()
        self._low, self._optional, self._type = field.setting.low, field.optional, field.type
        self.setDecimals(0 if field.type is int else len(f"{field.setting.step:.3g}".partition(".")[2]))
        low = field.setting.low - field.setting.step if field.optional else field.setting.low
        self.setRange(low, field.setting.high)
        self.setSingleStep(field.setting.step)
        _prepare(self, field)
        self.valueChanged.connect(self._tell)

    def show_value(self, value: float | None) -> None:
        """Show a value without telling of it."""
        with QSignalBlocker(self):
            self.setValue(self.minimum() if value is None else value)

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Turn the number only where the person is working, so that scrolling past changes nothing."""
        super().wheelEvent(event) if self.hasFocus() else event.ignore()

    def _tell(self, value: float) -> None:
        self.edited.emit(None if self._optional and value < self._low else self._type(value))


class Choice(QComboBox):
    """One of a few words, shown in the language of the window."""

    edited = Signal(object)

    def __init__(self, field: Field) -> None:
        super().__init__()
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        for choice in field.setting.choices:
            self.addItem(tr(choice), choice)
        self.activated.connect(self._tell)

    def show_value(self, value: str) -> None:
        """Show a value without telling of it."""
        self.setCurrentIndex(self.findData(value))

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Scroll the form, not the choice."""
        event.ignore()

    def _tell(self, index: int) -> None:
        self.edited.emit(self.itemData(index))


class Text(QLineEdit):
    """A line of text."""

    edited = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self.textEdited.connect(self.edited.emit)

    def show_value(self, value: str) -> None:
        """Show a value without telling of it; the cursor stays where it is."""
        if value != self.text():
            self.setText(value)
