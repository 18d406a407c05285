"""A real window without a screen, an engine that only listens, and nothing left behind."""

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import QCoreApplication, QEvent
from PySide6.QtGui import QColor, QImage
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

os.environ["QT_QPA_PLATFORM"] = "offscreen"

from desktop import words
from desktop.app import open_window
from desktop.engine_link import EngineLink
from desktop.main_window import MainWindow
from desktop.state import LISTING, Now, State
from engine.formats.picture_text import Made, easel_text
from engine.messages import Device, Done, Entries, Entry, Ready, Request
from engine.paths import STARTER
from engine.settings import GenerateSettings, Preferences

READY = Ready(
    devices=(Device(backend="openvino", name="CPU", here=True, precisions=("int8",), why="The fastest here."),),
    chosen="openvino",
    precision="int8",
)
LIBRARY = Entries(
    job=LISTING,
    entries=(
        Entry(path=str(STARTER), name="Easel Starter", sort="checkpoint", family="sd1"),
        Entry(path="/disk/away.safetensors", name="away", sort="checkpoint", family="sdxl", state="missing",
              trouble="The drive “/disk” is not there. Plug it in."),
        Entry(path="/torn.safetensors", name="torn", sort="checkpoint", state="broken", trouble="It ends too early."),
    ),
)  # fmt: skip


class Listener:
    """Stands in for the service: keeps what it is sent."""

    def __init__(self) -> None:
        self.heard: list[Request] = []
        self.runs = False

    def start(self) -> None:
        self.runs = True

    def send(self, request: Request) -> None:
        self.heard.append(request)

    def stop(self) -> None:
        self.runs = False

    def of(self, kind: type) -> list:
        return [request for request in self.heard if isinstance(request, kind)]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:  # what the platform without a screen cannot do is no fault of ours
        item.add_marker(pytest.mark.qt_log_ignore("This plugin does not support", extend=True))


@pytest.fixture(scope="session")
def qapp_cls() -> type[QApplication]:
    return _Application


class _Application(QApplication):
    def __init__(self, arguments: list[str]) -> None:
        super().__init__(arguments)
        self.setStyle("Fusion")


@pytest.fixture(autouse=True)
def _own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EASEL_HOME", str(tmp_path / "home"))


@pytest.fixture(autouse=True)
def _nothing_left(qapp: QApplication) -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    words.use("en")
    assert [one for one in threading.enumerate() if one not in before] == []
    assert [one for one in qapp.topLevelWidgets() if one.isVisible()] == []


@pytest.fixture
def listener() -> Listener:
    return Listener()


@pytest.fixture
def state() -> State:
    settings = GenerateSettings(prompt="a red house on a meadow at sunset")
    return State(Now(settings=settings, preferences=Preferences(theme="light", language="en")))


@pytest.fixture
def window(qtbot: QtBot, state: State, listener: Listener) -> Iterator[MainWindow]:
    """The window with an engine that is ready."""
    link = EngineLink(listener)
    made = open_window(state, link)
    qtbot.addWidget(made)
    qtbot.waitUntil(lambda: listener.runs)
    state.take(READY)
    state.take(LIBRARY)
    state.take(Done(job=LISTING))
    yield made
    made.close()
    link.stop()


@pytest.fixture
def picture(tmp_path: Path) -> Callable[..., str]:
    """Makes picture files of one colour, with or without the settings inside."""

    def make(name: str, colour: str = "red", settings: GenerateSettings | None = None, side: int = 128) -> str:
        image = QImage(side, side, QImage.Format.Format_RGB32)
        image.fill(QColor(colour))
        if settings:
            made = Made(program="Easel", settings=settings, backend="openvino", precision="int8", seconds=3.2)
            image.setText("easel", easel_text(made))
        path = tmp_path / f"{name}.png"
        image.save(str(path))
        return str(path)

    return make
