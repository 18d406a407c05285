from collections.abc import Callable

import pytest
from PySide6.QtCore import QPoint, QRect
from PySide6.QtGui import QAction
from PySide6.QtWidgets import (
    QAbstractButton,
    QAbstractSpinBox,
    QComboBox,
    QFileDialog,
    QLabel,
    QMenu,
    QWidget,
)
from pytestqt.qtbot import QtBot

from desktop import theme
from desktop.main_window import MainWindow
from desktop.state import State
from desktop.theme.colours import DARK, LIGHT
from engine.messages import Failed, Generate, Keep, Paused, Picture, Progress, Ready, Started
from engine.settings import GenerateSettings, Preferences
from tests.desktop.conftest import READY, Listener

LONG = "a very long prompt that goes on and on, " * 20


def menu_action(window: MainWindow, text: str) -> QAction:
    (found,) = [one for menu in window.findChildren(QMenu) for one in menu.actions() if one.text() == text]
    return found


def test_says_what_draws_and_why(window: MainWindow) -> None:
    assert window._device.text() == "CPU, OpenVINO int8"
    assert "The fastest here." in window._device.toolTip()


def test_the_appearance_changes_at_once_and_is_kept(
    qtbot: QtBot, window: MainWindow, state: State, listener: Listener
) -> None:
    assert theme.colours() == LIGHT
    menu_action(window, "Dark").trigger()
    qtbot.waitUntil(lambda: theme.colours() == DARK)
    qtbot.waitUntil(lambda: bool(listener.of(Keep)))
    assert listener.of(Keep)[0].value == Preferences(theme="dark", language="en")


def test_manners_are_ticked_and_kept(qtbot: QtBot, window: MainWindow, state: State, listener: Listener) -> None:
    menu_action(window, "Let other programs go first").trigger()
    menu_action(window, "Rest on the battery").trigger()
    menu_action(window, "1").trigger()
    asked = Preferences(theme="light", language="en", low_priority="on", rest_on_battery="on", cores=1)
    assert state.now.preferences == asked
    qtbot.waitUntil(lambda: bool(listener.of(Keep)))
    assert listener.of(Keep)[-1].value == asked
    menu_action(window, "Let other programs go first").trigger()
    menu_action(window, "Automatic").trigger()
    assert (state.now.preferences.low_priority, state.now.preferences.cores) == ("off", 0)
    assert "plugged in" in menu_action(window, "Rest on the battery").toolTip()


def test_the_language_changes_at_once_and_nothing_is_lost(
    qtbot: QtBot, window: MainWindow, state: State, picture: Callable[..., str]
) -> None:
    made = picture("made", "#00ff00", GenerateSettings(prompt="a boat", seed=5))
    state.pick(made)
    state.set("prompt", "half a sentence")
    state.asked("a")
    state.take(Progress(job="a", step=1, steps=2, seconds_left=3))
    menu_action(window, "简体中文").trigger()
    qtbot.waitUntil(lambda: window.create_screen.panel.button.text() == "生成")
    screen = window.create_screen
    assert screen.panel.prompt.toPlainText() == "half a sentence"
    assert screen.panel.models.count() == 2
    assert screen.footer._status.text() == "第 1 步，共 2 步，剩余 3.0 秒"
    qtbot.waitUntil(lambda: screen.stage.caption._seed.text() == "种子 5")
    assert window._device.text() == "CPU，OpenVINO int8"


def test_pictures_go_where_the_person_says(
    qtbot: QtBot, window: MainWindow, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: "/elsewhere")
    menu_action(window, "Choose the pictures folder…").trigger()
    window.create_screen.generate()
    assert listener.of(Generate)[0].folder == "/elsewhere"


@pytest.mark.parametrize("language", ["en", "zh_Hans", "zh_Hant"])
@pytest.mark.parametrize("size", [(1280, 800), (1080, 600)])
def test_nothing_is_cut_off(
    qtbot: QtBot,
    window: MainWindow,
    state: State,
    picture: Callable[..., str],
    language: str,
    size: tuple[int, int],
) -> None:
    state.set("language", language)
    state.set("prompt", LONG)
    state.set("negative_prompt", LONG)
    qtbot.wait(50)
    window.resize(*size)
    path = picture("made", "#00ff00", GenerateSettings(prompt=LONG, seed=2**53 - 1, steps=150), side=1536)
    settings = GenerateSettings()
    state.asked("a")
    state.asked("b")
    state.take(Picture(job="a", path=path, settings=settings, backend="cpu", precision="fp32", seconds=1000))
    state.take(Started(job="b", backend="cpu", precision="fp32", notes=(LONG, LONG)))
    state.take(Progress(job="b", step=99, steps=150, seconds_left=5000, seconds_a_step=75, picture=7, pictures=9))
    state.take(Paused(job="b", why="Resting while the computer is on its battery."))
    state.take(Failed(job="x", cause=LONG[:150], advice=LONG[:80], where="precision"))
    qtbot.waitUntil(lambda: window.create_screen.stage.caption._seed.isVisible())
    window.create_screen.panel._advanced_fold.set_open(True)
    qtbot.wait(50)
    assert window.size().toTuple() == size
    assert [describe(widget) for widget in cut_off(window)] == []


def cut_off(window: QWidget) -> list[QWidget]:
    """Visible widgets with words that have less room than the words need, or that stand outside their parent."""
    kinds = (QLabel, QAbstractButton, QAbstractSpinBox, QComboBox)
    visible = [one for kind in kinds for one in window.findChildren(kind) if one.isVisible()]
    return [one for one in visible if is_cut(one)]


def is_cut(widget: QWidget) -> bool:
    if isinstance(widget, QAbstractSpinBox):
        line = widget.lineEdit()
        return line.width() < line.fontMetrics().horizontalAdvance(line.text()) + line.textMargins().left()
    need = widget.minimumSizeHint()
    if isinstance(widget, QLabel) and widget.wordWrap():
        need.setHeight(widget.heightForWidth(widget.width()))
    small = widget.width() < need.width() or widget.height() < need.height()
    room = widget.parentWidget().rect().adjusted(-1, -1, 1, 1)
    return small or not room.contains(QRect(widget.pos(), widget.size()))


def describe(widget: QWidget) -> str:
    words = getattr(widget, "text", widget.objectName)()
    return f"{type(widget).__name__} {words[:30]!r} {widget.size().toTuple()} {widget.minimumSizeHint().toTuple()}"


def test_every_control_has_a_name(window: MainWindow) -> None:
    for widget in window.findChildren(QWidget):
        if not widget.isVisible() or widget.focusPolicy() == widget.focusPolicy().NoFocus:
            continue
        if widget.objectName().startswith("qt_") or isinstance(widget.parentWidget(), QAbstractSpinBox):
            continue
        name = widget.accessibleName() or getattr(widget, "text", str)()
        assert name, f"{type(widget).__name__} {widget.objectName()}"


def test_the_keyboard_reaches_everything_in_the_panel(qtbot: QtBot, window: MainWindow) -> None:
    panel, seen = window.create_screen.panel, []
    widget: QWidget = panel.prompt
    for _ in range(200):
        widget = widget.nextInFocusChain()
        seen.append(widget)
    for name in ("width", "steps", "scheduler", "seed", "count", "model"):
        assert panel.main.editor_of(name) in seen
    assert panel.button in seen
    assert seen.index(panel.main.editor_of("width")) < seen.index(panel.main.editor_of("count"))


def test_long_words_of_the_device_have_room(window: MainWindow, state: State) -> None:
    state.take(Ready(devices=READY.devices, chosen="cuda", precision="bf16"))
    assert window._device.text() == "Graphics card, CUDA bf16"
    assert window.rect().contains(window._device.mapTo(window, QPoint(0, 0)))
