from collections.abc import Callable

import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QWheelEvent
from PySide6.QtWidgets import QApplication, QVBoxLayout, QWidget
from pytestqt.qtbot import QtBot

from desktop.widgets.editors import Choice, Number, WholeNumber, commit, editing, editor
from engine.settings import MAX_SEED, Field, GenerateSettings, Preferences, Setting, checked, fields

FIELDS = {field.name: field for field in (*fields(GenerateSettings), *fields(Preferences))}


Shown = Callable[[Field], tuple[QWidget, list]]


@pytest.fixture
def shown(qtbot: QtBot) -> Shown:
    """Puts an editor in a window and the cursor in it; answers with it and what it tells."""
    windows: list[QWidget] = []

    def show(field: Field) -> tuple[QWidget, list]:
        windows.append(QWidget())
        qtbot.addWidget(windows[-1])
        widget = editor(field)
        QVBoxLayout(windows[-1]).addWidget(widget)
        told: list = []
        editing(widget).edited.connect(told.append)
        windows[-1].show()
        widget.setFocus()
        return widget, told

    return show


@pytest.mark.parametrize("field", FIELDS.values(), ids=lambda field: field.name)
def test_every_setting_has_an_editor_that_shows_its_default_without_a_word(shown: Shown, field: Field) -> None:
    widget, told = shown(field)
    editing(widget).show_value(field.default)
    assert told == []


@pytest.mark.parametrize("name", ["width", "steps", "guidance_scale", "seed", "count"])
@pytest.mark.parametrize("typed", ["99999999999999999999", "0", "-5", "abc", "1e9", "65", "nan"])
def test_a_value_out_of_range_cannot_be_typed(qtbot: QtBot, shown: Shown, name: str, typed: str) -> None:
    widget, told = shown(FIELDS[name])
    widget.selectAll()
    qtbot.keyClicks(widget, typed)
    commit(widget)
    for value in told:
        checked(GenerateSettings(**{name: value}))


def test_a_size_falls_on_the_multiple_of_eight(qtbot: QtBot, shown: Shown) -> None:
    widget, told = shown(FIELDS["width"])
    widget.selectAll()
    qtbot.keyClicks(widget, "517")
    qtbot.keyClick(widget, Qt.Key.Key_Return)
    assert told[-1] == 520


def test_below_the_lowest_size_stands_the_models_own(shown: Shown) -> None:
    widget, told = shown(FIELDS["width"])
    assert isinstance(widget, WholeNumber)
    widget.show_value(64)
    widget.stepDown()
    assert told == [None]
    assert widget.text() == "Model's own"
    widget.stepUp()
    assert told == [None, 64]


def test_a_seed_may_be_larger_than_an_int(qtbot: QtBot, shown: Shown) -> None:
    widget, told = shown(FIELDS["seed"])
    assert isinstance(widget, Number)
    widget.show_value(None)
    assert widget.text() == "Random"
    widget.selectAll()
    qtbot.keyClicks(widget, str(MAX_SEED))
    commit(widget)
    assert told[-1] == MAX_SEED
    assert type(told[-1]) is int
    widget.stepBy(-1)
    assert told[-1] == MAX_SEED - 1


def test_a_number_keeps_its_type(shown: Shown) -> None:
    widget, told = shown(FIELDS["guidance_scale"])
    assert isinstance(widget, Number)
    widget.show_value(6.0)
    widget.stepUp()
    assert told == [6.5]


def test_a_choice_tells_the_word_of_the_table(qtbot: QtBot, shown: Shown) -> None:
    widget, told = shown(FIELDS["backend"])
    assert isinstance(widget, Choice)
    widget.show_value("auto")
    qtbot.keyClick(widget, Qt.Key.Key_Down)
    assert told == ["cuda"]


def test_a_text_tells_what_is_typed(qtbot: QtBot, shown: Shown) -> None:
    field = Field("model", str, False, "", Setting("Model", "The model that draws."))
    widget, told = shown(field)
    qtbot.keyClicks(widget, "ab")
    assert told == ["a", "ab"]


@pytest.mark.parametrize("name", ["steps", "guidance_scale", "scheduler"])
def test_scrolling_past_changes_nothing(shown: Shown, name: str) -> None:
    widget, told = shown(FIELDS[name])
    widget.clearFocus()
    turn = QWheelEvent(
        QPointF(5, 5), QPointF(5, 5), QPoint(), QPoint(0, 120), Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.NoModifier, Qt.ScrollPhase.NoScrollPhase, False,
    )  # fmt: skip
    QApplication.sendEvent(widget, turn)
    assert told == []
