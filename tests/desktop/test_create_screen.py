import json
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from msgspec import structs
from PySide6.QtCore import Qt
from PySide6.QtGui import QImage
from PySide6.QtWidgets import QApplication, QPushButton
from pytestqt.qtbot import QtBot

from desktop.main_window import MainWindow
from desktop.state import State
from engine.messages import (
    Browse,
    Cancel,
    CancelledJob,
    Failed,
    Generate,
    Keep,
    Pause,
    Paused,
    Progress,
    Recent,
    StopAfter,
    read_event,
)
from engine.settings import GenerateSettings, LoraUse, fields
from tests.desktop.conftest import Listener

LINES = Path(__file__).parent / "lines"


def tell(state: State, lines: str, **words: str) -> None:
    """Feed recorded lines of the engine to the state."""
    text = (LINES / f"{lines}.jsonl").read_text("utf-8")
    for name, word in words.items():
        text = text.replace(f"${name}", json.dumps(word)[1:-1])
    for line in text.splitlines():
        state.take(read_event(line))


def generate(qtbot: QtBot, window: MainWindow) -> None:
    qtbot.keyClick(window.create_screen.panel.prompt, Qt.Key.Key_Return, Qt.KeyboardModifier.ControlModifier)


def job(listener: Listener) -> str:
    return listener.of(Generate)[-1].job


def middle(image: QImage) -> str:
    return "" if image.isNull() else image.pixelColor(image.width() // 2, image.height() // 2).name()


def test_asks_at_the_start_what_there_is(window: MainWindow, listener: Listener) -> None:
    assert [type(request) for request in listener.heard[:2]] == [Browse, Recent]
    assert window.create_screen.panel.prompt.hasFocus()


def test_typing_and_ctrl_enter_asks_for_a_picture(qtbot: QtBot, window: MainWindow, listener: Listener) -> None:
    qtbot.keyClicks(window.create_screen.panel.prompt, "a blue boat")  # the example is selected: typed over
    generate(qtbot, window)
    assert listener.of(Generate)[0].settings == GenerateSettings(prompt="a blue boat")


def test_the_button_asks_too_and_again_queues_another(qtbot: QtBot, window: MainWindow, listener: Listener) -> None:
    for _ in range(2):
        qtbot.mouseClick(window.create_screen.panel.button, Qt.MouseButton.LeftButton)
    first, second = listener.of(Generate)
    assert first.job != second.job
    assert window.create_screen.footer._waiting.text() == "1 waiting"


def test_an_empty_prompt_is_refused_beside_it(qtbot: QtBot, window: MainWindow, listener: Listener) -> None:
    panel = window.create_screen.panel
    qtbot.keyClick(panel.prompt, Qt.Key.Key_Delete)
    generate(qtbot, window)
    assert not listener.of(Generate)
    assert panel.notice.isVisible()
    assert "prompt is empty" in panel.notice.text()
    assert panel._column.indexOf(panel.notice) == panel._column.indexOf(panel.prompt) + 1
    qtbot.keyClicks(panel.prompt, "a")
    assert not panel.notice.isVisible()


def test_what_is_typed_is_kept(qtbot: QtBot, window: MainWindow, listener: Listener) -> None:
    qtbot.keyClicks(window.create_screen.panel.prompt, "boat")
    qtbot.waitUntil(lambda: bool(listener.of(Keep)))
    assert [request.value for request in listener.of(Keep)] == [GenerateSettings(prompt="boat")]


def test_progress_moves_the_line_and_the_bar(
    qtbot: QtBot, window: MainWindow, state: State, listener: Listener, picture: Callable[..., str]
) -> None:
    generate(qtbot, window)
    tell(state, "running", job=job(listener), preview=picture("preview", "#00ff00", side=64))
    footer, stage = window.create_screen.footer, window.create_screen.stage
    assert footer._status.text() == "Step 12 of 25, 1.4 s a step, 18 s left"
    assert footer._bar.value() == 480
    assert "rounded" in footer._notes.text()
    qtbot.waitUntil(lambda: not stage.view.image().isNull())
    assert middle(stage.view.image()) == "#00ff00"
    assert stage.caption._words.text() == "Preview"


def test_preparing_is_told(qtbot: QtBot, window: MainWindow, state: State, listener: Listener) -> None:
    generate(qtbot, window)
    tell(state, "preparing", job=job(listener))
    assert window.create_screen.footer._status.text() == "Converting the model, once: 40 %"


def test_the_finished_picture_is_shown_with_its_seed(
    qtbot: QtBot, window: MainWindow, state: State, listener: Listener, picture: Callable[..., str]
) -> None:
    made = GenerateSettings(prompt="a boat", seed=77, steps=9)
    generate(qtbot, window)
    tell(state, "finished", job=job(listener), path=picture("made", "#0000ff", made))
    screen = window.create_screen
    qtbot.waitUntil(lambda: screen.stage.caption._seed.text() == "Seed 77")
    assert middle(screen.stage.view.image()) == "#0000ff"
    assert state.now.jobs == ()
    assert screen.footer._status.text() == "Ready"
    assert screen.recent.model().rowCount() == 1

    screen.stage.caption._copy.click()
    assert QApplication.clipboard().text() == "77"
    screen.stage.caption._keep.click()
    assert state.now.settings.seed == 77
    assert state.now.settings.steps == 20
    screen.stage.caption._again.click()
    assert state.now.settings == made
    assert screen.panel.prompt.toPlainText() == "a boat"


def test_escape_cancels_and_the_words_stay(qtbot: QtBot, window: MainWindow, state: State, listener: Listener) -> None:
    generate(qtbot, window)
    tell(state, "preparing", job=job(listener))
    qtbot.keyClick(window.create_screen.panel.prompt, Qt.Key.Key_Escape)
    assert [request.job for request in listener.of(Cancel)] == [job(listener)]
    assert window.create_screen.footer._status.text() == "Stopping…"
    tell(state, "cancelled", job=job(listener))
    assert state.now.jobs == ()
    assert window.create_screen.footer._status.text() == "Ready"
    assert window.create_screen.panel.prompt.toPlainText() == "a red house on a meadow at sunset"


def test_a_picture_waits_and_goes_on(qtbot: QtBot, window: MainWindow, state: State, listener: Listener) -> None:
    generate(qtbot, window)
    tell(state, "preparing", job=job(listener))
    state.take(Progress(job=job(listener), step=3, steps=9, seconds_left=6))
    footer = window.create_screen.footer
    assert footer._pause.text() == "Pause"
    qtbot.keyClick(window.create_screen.panel.prompt, Qt.Key.Key_P, Qt.KeyboardModifier.ControlModifier)
    assert (footer._pause.text(), footer._status.text()) == ("Go on", "Pausing…, Step 3 of 9, 6.0 s left")
    state.take(Paused(job=job(listener)))
    assert footer._status.text() == "Paused, Step 3 of 9, 6.0 s left"
    qtbot.mouseClick(footer._pause, Qt.MouseButton.LeftButton)
    state.take(Paused(job=job(listener), on=False))
    assert (footer._pause.text(), footer._status.text()) == ("Pause", "Step 3 of 9, 6.0 s left")
    assert [(each.job, each.on) for each in listener.of(Pause)] == [(job(listener), on) for on in (True, False)]
    state.take(Paused(job=job(listener), why="The battery feeds the computer."))
    assert footer._status.text() == "The battery feeds the computer. Step 3 of 9, 6.0 s left"
    assert footer._pause.text() == "Go on anyway"
    tell(state, "cancelled", job=job(listener))
    assert footer._status.text() == "Ready"
    assert not footer._pause.isVisible()


def test_a_job_stops_after_a_picture_and_gives_the_rest_back(
    qtbot: QtBot, window: MainWindow, state: State, listener: Listener
) -> None:
    generate(qtbot, window)
    footer = window.create_screen.footer
    tell(state, "preparing", job=job(listener))
    assert not footer._after.isVisible()
    state.take(Progress(job=job(listener), step=1, steps=9, seconds_left=8, seconds_a_step=1, picture=2, pictures=5))
    qtbot.mouseClick(footer._after, Qt.MouseButton.LeftButton)
    assert [each.job for each in listener.of(StopAfter)] == [job(listener)]
    assert not footer._after.isVisible()
    assert footer._status.text() == "Picture 2 of 5, Step 1 of 9, 1.0 s a step, 8.0 s left, then it stops"
    rest = structs.replace(state.now.settings, seed=7, count=3)
    state.take(CancelledJob(job=job(listener), settings=rest, undone=3))
    notice = window.create_screen.panel.notice
    assert notice.text() == "Stopped as asked. Pictures that were not begun: 3."
    qtbot.mouseClick(notice._action, Qt.MouseButton.LeftButton)
    assert state.now.settings == rest
    assert not notice.isVisible()


def test_a_cancelled_request_can_be_brought_back(
    qtbot: QtBot, window: MainWindow, state: State, listener: Listener
) -> None:
    generate(qtbot, window)
    qtbot.keyClicks(window.create_screen.panel.prompt, " at night")
    tell(state, "cancelled", job=job(listener))
    notice = window.create_screen.panel.notice
    assert notice.text() == "The picture was called off."
    qtbot.mouseClick(notice._action, Qt.MouseButton.LeftButton)
    assert window.create_screen.panel.prompt.toPlainText() == "a red house on a meadow at sunset"
    assert not notice.isVisible()


@pytest.mark.parametrize("where", [each.name for each in fields() if each.setting.where not in ("prompt", "source")])
def test_a_failure_stands_under_its_cause(
    qtbot: QtBot, window: MainWindow, state: State, listener: Listener, where: str
) -> None:
    generate(qtbot, window)
    state.take(Failed(job=job(listener), cause="That is too much.", advice="Use less.", where=where))
    panel = window.create_screen.panel
    form = panel.main if panel.main.has(where) else panel.advanced
    qtbot.waitUntil(panel.notice.isVisible)
    assert panel.notice.text() == "That is too much. Use less."

    def gap() -> int:
        return panel.notice.mapTo(form, panel.notice.rect().topLeft()).y() - form.editor_of(where).geometry().bottom()

    qtbot.waitUntil(lambda: 0 < gap() < 30)


def test_a_failure_of_nothing_in_particular_stands_by_the_button(
    qtbot: QtBot, window: MainWindow, state: State, listener: Listener
) -> None:
    generate(qtbot, window)
    state.take(Failed(job=job(listener), cause="The disk is full.", advice="Free some space.", where="/home/x"))
    panel = window.create_screen.panel
    assert panel._foot.indexOf(panel.notice) == 0
    qtbot.mouseClick(panel.findChild(QPushButton, "generate"), Qt.MouseButton.LeftButton)
    assert not panel.notice.isVisible()


def test_a_lost_worker_is_told_and_the_job_goes_on(
    qtbot: QtBot, window: MainWindow, state: State, listener: Listener
) -> None:
    generate(qtbot, window)
    tell(state, "lost", job=job(listener))
    notice = window.create_screen.panel.notice
    assert notice.text() == (
        "The engine stopped (it ran out of memory or was killed). "
        "It was started again and your request is being tried once more."
    )
    assert state.now.jobs == (job(listener),)
    assert window.create_screen.footer._status.text().startswith("Step 1 of 25")


def test_the_strip_shows_what_was_made_before(
    qtbot: QtBot, window: MainWindow, state: State, picture: Callable[..., str]
) -> None:
    paths = [picture(colour, colour) for colour in ("#ff0000", "#00ff00", "#0000ff")]
    state.take(read_event(msgspec.json.encode({"kind": "pictures", "paths": paths})))
    screen = window.create_screen
    qtbot.waitUntil(lambda: middle(screen.stage.view.image()) == "#ff0000")
    corner = screen.recent.visualRect(screen.recent.model().index(1, 0)).center()
    qtbot.mouseClick(screen.recent.viewport(), Qt.MouseButton.LeftButton, pos=corner)
    qtbot.waitUntil(lambda: middle(screen.stage.view.image()) == "#00ff00")
    qtbot.keyClick(screen.recent, Qt.Key.Key_Right)
    assert state.now.shown == paths[2]
    qtbot.keyClick(screen.stage.view, Qt.Key.Key_Left)
    qtbot.waitUntil(lambda: middle(screen.stage.view.image()) == "#00ff00")


def test_what_was_picked_stays_while_another_is_made(
    qtbot: QtBot, window: MainWindow, state: State, listener: Listener, picture: Callable[..., str]
) -> None:
    old, new = picture("old", "#ff0000"), picture("new", "#0000ff")
    state.take(read_event(msgspec.json.encode({"kind": "pictures", "paths": [old]})))
    generate(qtbot, window)
    state.pick(old)
    tell(state, "finished", job=job(listener), path=new)
    assert state.now.shown == old
    assert state.now.recent == (new, old)


def test_an_example_makes_a_picture_at_once(qtbot: QtBot, window: MainWindow, listener: Listener) -> None:
    chip = window.create_screen.stage.findChildren(QPushButton, "chip")[1]
    qtbot.mouseClick(chip, Qt.MouseButton.LeftButton)
    assert listener.of(Generate)[0].settings.prompt == chip.text()


def test_what_has_no_field_is_named_and_can_be_left_out(qtbot: QtBot, window: MainWindow, state: State) -> None:
    extras = window.create_screen.panel.extras
    assert not extras.isVisible()
    taken = structs.replace(state.now.settings, source="/a/猫.png", strength=0.3, loras=(LoraUse(name="ink"),), steps=9)
    window.create_screen.stage.caption.taken_up.emit(taken)
    assert extras.isVisible()
    assert "猫.png" in extras._names.text()
    assert "ink" in extras._names.text()
    qtbot.mouseClick(extras.button, Qt.MouseButton.LeftButton)
    assert not extras.isVisible()
    assert (state.now.settings.source, state.now.settings.loras, state.now.settings.steps) == ("", (), 9)
