"""The real window, the real engine, the real worker, the starter model: keys go in, files come out."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QImage
from pytestqt.qtbot import QtBot

from desktop.app import open_window
from desktop.engine_link import EngineLink
from desktop.main_window import MainWindow
from desktop.state import Now, State
from engine.formats.picture_text import read_easel
from engine.messages import Progress, WorkerLost
from engine.settings import GenerateSettings, Preferences

pytestmark = pytest.mark.timeout(900)
PATIENCE_MS = 300_000
"""A loaded machine imports torch and compiles the model in this time."""


@pytest.fixture(autouse=True)
def _converted_once(tmp_path: Path, shared_home: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "cache").symlink_to(shared_home / "cache", target_is_directory=True)


@pytest.fixture
def easel(qtbot: QtBot) -> Iterator[tuple[MainWindow, State]]:
    state = State(Now(settings=GenerateSettings(steps=8), preferences=Preferences(theme="light", language="en")))
    link = EngineLink()
    window = open_window(state, link)
    qtbot.addWidget(window)
    yield window, state
    window.close()
    link.stop()


def ask(qtbot: QtBot, window: MainWindow, words: str) -> None:
    prompt = window.create_screen.panel.prompt
    prompt.selectAll()
    qtbot.keyClicks(prompt, words)
    qtbot.keyClick(prompt, Qt.Key.Key_Return, Qt.KeyboardModifier.ControlModifier)


def files() -> list[Path]:
    return sorted((Path(os.environ["EASEL_HOME"]) / "pictures").glob("*"))


def worker() -> psutil.Process:
    """The newest: other tests of the same process may have left an engine at work."""
    children = [each for each in psutil.Process().children(recursive=True) if "--worker" in each.cmdline()]
    return max(children, key=lambda child: child.create_time())


def is_drawing(state: State) -> bool:
    return isinstance(state.now.doing, Progress)


def test_words_become_a_picture_on_the_disk_and_in_the_view(qtbot: QtBot, easel: tuple[MainWindow, State]) -> None:
    window, state = easel
    ask(qtbot, window, "a red house")
    qtbot.waitUntil(lambda: bool(state.now.recent) and not state.now.jobs, timeout=PATIENCE_MS)
    assert state.now.trouble is None
    (file,) = files()
    assert state.now.shown == str(file)
    assert file.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    view = window.create_screen.stage.view
    qtbot.waitUntil(lambda: view.image() == QImage(str(file)))
    made = read_easel(QImage(str(file)).text("easel"))
    assert made is not None
    assert made.settings.prompt == "a red house"
    assert window.create_screen.stage.caption._seed.text() == f"Seed {made.settings.seed}"
    assert state.now.ready is not None


def test_a_killed_worker_is_told_and_the_picture_comes_all_the_same(
    qtbot: QtBot, easel: tuple[MainWindow, State]
) -> None:
    window, state = easel
    state.set("steps", 150)
    ask(qtbot, window, "a blue boat")
    qtbot.waitUntil(lambda: is_drawing(state), timeout=PATIENCE_MS)
    os.kill(worker().pid, signal.SIGKILL)
    qtbot.waitUntil(lambda: isinstance(state.now.trouble, WorkerLost), timeout=10_000)
    notice = window.create_screen.panel.notice
    assert notice.isVisible()
    assert "The engine stopped" in notice.text()
    assert "being tried once more" in notice.text()
    assert window.create_screen.panel.prompt.toPlainText() == "a blue boat"
    qtbot.waitUntil(lambda: bool(state.now.recent) and not state.now.jobs, timeout=PATIENCE_MS)
    (file,) = files()
    assert not QImage(str(file)).isNull()


def test_escape_stops_within_a_step_and_the_next_picture_comes(qtbot: QtBot, easel: tuple[MainWindow, State]) -> None:
    window, state = easel
    state.set("steps", 150)
    ask(qtbot, window, "a green tree")
    qtbot.waitUntil(lambda: is_drawing(state), timeout=PATIENCE_MS)
    qtbot.keyClick(window, Qt.Key.Key_Escape)
    qtbot.waitUntil(lambda: not state.now.jobs, timeout=10_000)
    assert state.now.trouble is None
    assert files() == []
    state.set("steps", 4)
    ask(qtbot, window, "a green tree")
    qtbot.waitUntil(lambda: bool(state.now.recent), timeout=PATIENCE_MS)
    assert len(files()) == 1
