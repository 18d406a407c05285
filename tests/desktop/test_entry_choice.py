"""What the Create screen lets people choose from: what the library has, as it comes and goes."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec import structs
from PySide6.QtCore import QEvent, QPoint, Qt
from PySide6.QtGui import QHelpEvent
from PySide6.QtWidgets import QApplication, QToolTip
from pytestqt.qtbot import QtBot

from desktop.app import open_window
from desktop.create.entry_choice import EntryChoice
from desktop.engine_link import EngineLink
from desktop.main_window import MainWindow
from desktop.state import Now, State
from engine.librarian import Librarian
from engine.library.catalogue import Catalogue
from engine.messages import Browse, Entries, Entry, Event, Failed, Generate, Request, Scanned
from engine.paths import STARTER
from engine.settings import GenerateSettings, Preferences
from tests.desktop.conftest import LIBRARY, Listener
from tests.weights import EMBEDDING, look, weights

XL = Entry(path="/m/checkpoints/Juggernaut.safetensors", name="Juggernaut XL", sort="checkpoint", family="sdxl")
DUP = Entry(path="/m/checkpoints/dup.safetensors", name="dup", sort="checkpoint", family="sd1")
REFINER = Entry(path="/m/r.safetensors", name="finisher", sort="checkpoint", family="sdxl-refiner")
VAE = Entry(path="/m/vae/ema.safetensors", name="ema", sort="vae")


@pytest.fixture
def models(window: MainWindow) -> EntryChoice:
    return window.create_screen.panel.models


def rows(choice: EntryChoice) -> list[str]:
    return [choice.itemText(row) for row in range(choice.count())]


def row_place(choice: EntryChoice, row: int) -> QPoint:
    return choice.view().visualRect(choice.model().index(row, 0)).center()


def test_what_draws_is_offered_and_what_is_away_says_why(qtbot: QtBot, models: EntryChoice) -> None:
    assert rows(models) == ["Easel Starter", "away · Missing"]  # and nothing that is broken
    assert models.currentText() == "Easel Starter"
    models.showPopup()
    assert not models.model().flags(models.model().index(1, 0)) & Qt.ItemFlag.ItemIsEnabled
    place = row_place(models, 1)
    QApplication.sendEvent(models.view().viewport(), QHelpEvent(QEvent.Type.ToolTip, place, models.mapToGlobal(place)))
    qtbot.waitUntil(QToolTip.isVisible)
    assert QToolTip.text() == "The drive “/disk” is not there. Plug it in."
    models.hidePopup()
    QToolTip.hideText()
    qtbot.waitUntil(lambda: not QToolTip.isVisible())


def test_it_is_chosen_by_click_and_by_key(qtbot: QtBot, models: EntryChoice, state: State, listener: Listener,
                                          window: MainWindow) -> None:  # fmt: skip
    twin = structs.replace(DUP, path="/a1111/Stable-diffusion/dup.safetensors")
    state.take(Scanned(changed=(XL, DUP, twin), done=True))
    assert rows(models) == [
        "Easel Starter", "away · Missing", "dup · checkpoints", "dup · Stable-diffusion", "Juggernaut XL"
    ]  # fmt: skip
    models.showPopup()
    qtbot.mouseClick(models.view().viewport(), Qt.MouseButton.LeftButton, pos=row_place(models, 3))
    assert state.now.settings.model == "Stable-diffusion/dup"
    assert models.currentText() == "dup · Stable-diffusion"
    models.setFocus()
    qtbot.keyClick(models, Qt.Key.Key_Down)
    assert state.now.settings.model == "Juggernaut"
    qtbot.keyClicks(models, "dup")
    assert state.now.settings.model == "checkpoints/dup"
    window.create_screen.generate()
    assert listener.of(Generate)[0].settings.model == "checkpoints/dup"


def test_files_come_and_go_without_a_restart(models: EntryChoice, state: State) -> None:
    state.take(Scanned(changed=(XL,), files=1))
    state.set("model", "Juggernaut")
    assert models.currentText() == "Juggernaut XL"
    state.take(Scanned(changed=(structs.replace(XL, state="missing", trouble="Plug it in."),), done=True))
    assert models.currentText() == "Juggernaut XL · Missing"
    state.take(Scanned(changed=(XL,), done=True))
    assert models.currentText() == "Juggernaut XL"
    state.take(Scanned(gone=(XL.path,), done=True))
    assert rows(models) == ["Easel Starter", "away · Missing", "Juggernaut"]
    assert models.itemData(2, Qt.ItemDataRole.ToolTipRole) == "This model is not here any more."
    state.take(Scanned(changed=(structs.replace(XL, sha256="0" * 64),), done=True))
    assert models.currentText() == "Juggernaut XL"


def test_counting_hashes_leaves_the_lists_alone(models: EntryChoice, state: State) -> None:
    state.take(Scanned(changed=(XL,), done=True))
    before = state.now.models
    state.take(Scanned(changed=(structs.replace(XL, sha256="0" * 64, twins=("/x",)),), done=True))
    assert state.now.models is before


def test_what_an_old_picture_calls_a_model_is_found(models: EntryChoice, state: State) -> None:
    state.take(Scanned(changed=(XL, DUP, structs.replace(DUP, path="/b/dup.sft")), done=True))
    for name, shown in (
        ("Juggernaut", "Juggernaut XL"), ("juggernaut.safetensors", "Juggernaut XL"), ("Juggernaut XL",) * 2,
        (XL.path, "Juggernaut XL"), ("/elsewhere/My own.safetensors", "My own"), ("dup", "dup"),
    ):  # fmt: skip
        state.set("model", name)
        assert models.currentText() == shown
    assert models.itemData(models.currentIndex(), Qt.ItemDataRole.ToolTipRole).startswith("Several have this name")


def test_before_the_library_has_spoken_the_choice_stands(qtbot: QtBot, state: State, listener: Listener) -> None:
    state.set("settings", GenerateSettings(model="Juggernaut"))
    link = EngineLink(listener)
    window = open_window(state, link)
    qtbot.addWidget(window)
    models = window.create_screen.panel.models
    assert rows(models) == ["Juggernaut"]
    assert models.model().flags(models.model().index(0, 0)) & Qt.ItemFlag.ItemIsEnabled
    state.take(Entries(entries=(XL,)))
    assert rows(models) == ["Juggernaut XL"]
    window.close()


def test_refiners_and_autoencoders_that_fit_are_offered(window: MainWindow, state: State) -> None:
    panel = window.create_screen.panel
    other = structs.replace(VAE, path="/m/vae/flux.safetensors", name="flux", family="flux")
    state.take(Scanned(changed=(XL, REFINER, VAE, other), done=True))
    assert rows(panel.refiners) == ["None"]
    assert rows(panel.vaes) == ["The model's own", "ema"]
    state.set("model", "Juggernaut")
    assert rows(panel.refiners) == ["None", "away · Missing", "finisher", "Juggernaut XL"]
    panel.refiners.setCurrentIndex(2)
    panel.refiners.activated.emit(2)
    panel.vaes.setCurrentIndex(1)
    panel.vaes.activated.emit(1)
    assert (state.now.settings.refiner, state.now.settings.vae) == ("r", "ema")
    panel.vaes.setCurrentIndex(0)
    panel.vaes.activated.emit(0)
    assert state.now.settings.vae == ""


def test_a_failure_to_list_shows_on_the_models_screen(window: MainWindow, state: State, listener: Listener) -> None:
    job = listener.of(Browse)[0].job
    state.sent(job)
    state.take(Failed(job=job, cause="Easel's list of models cannot be used now.", advice="Free some space."))
    assert state.now.trouble is None
    assert not window.create_screen.panel.notice.isVisible()
    state.set("screen", "models")
    assert "cannot be used now" in window.models_screen.notice.text()


class Desk:
    """Stands in for the service: the real library, and nobody who draws."""

    def __init__(self) -> None:
        self.tell = lambda event: None
        self.librarian = Librarian(self._told)

    def _told(self, event: Event) -> None:
        self.tell(event)

    def start(self) -> None:
        """There is nothing to start."""

    def send(self, request: Request) -> None:
        if isinstance(request, Browse):
            self.librarian.send(request)

    def stop(self) -> None:
        self.librarian.stop()


@pytest.fixture
def opened(qtbot: QtBot) -> Iterator[tuple[MainWindow, State]]:
    """A window over the real library."""
    desk = Desk()
    state, link = State(Now(preferences=Preferences(theme="light", language="en"))), EngineLink(desk)
    desk.tell = link.told.emit
    window = open_window(state, link)
    qtbot.addWidget(window)
    yield window, state
    window.close()
    link.stop()


def test_a_warm_start_lists_what_was_known_before_any_folder_is_looked_into(
    qtbot: QtBot, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    monkeypatch.setenv("EASEL_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("engine.librarian.WATCH_SECONDS", 0.1)
    folder = tmp_path / "other program 画"
    (folder / "mine 我的").parent.mkdir(parents=True)
    (folder / "mine 我的").symlink_to(tiny_model)
    catalogue = Catalogue()
    catalogue.add_root(folder)
    look(catalogue)
    catalogue.close()
    may_look = threading.Event()
    monkeypatch.setattr("engine.library.walk.listing", _waiting(may_look))
    window, _ = request.getfixturevalue("opened")
    models = window.create_screen.panel.models
    try:
        qtbot.waitUntil(lambda: rows(models) == ["mine 我的", "Easel Starter"])  # that comes last is not known yet
        assert models.currentText() == "Easel Starter"
        assert models.itemData(1, Qt.ItemDataRole.ToolTipRole) == "Easel Starter"
    finally:
        may_look.set()
    qtbot.waitUntil(lambda: rows(models) == ["Easel Starter", "mine 我的"])
    (folder / "second").symlink_to(tiny_model.parent / tiny_model.name)
    weights(folder / "word.safetensors", EMBEDDING)
    (folder / "mine 我的").rename(folder / "renamed")
    qtbot.waitUntil(lambda: rows(models) == ["Easel Starter", "renamed"], timeout=20_000)


def _waiting(may_look: threading.Event):
    from engine.library.walk import listing

    def wait(folder: str):
        may_look.wait(20)
        return listing(folder)

    return wait


def test_ten_thousand_models_are_listed_at_once(window: MainWindow, state: State) -> None:
    many = tuple(
        structs.replace(XL, path=f"/m/{number % 97}/model number {number}.safetensors", name=f"model number {number}")
        for number in range(10_000)
    )
    begun = time.thread_time()
    state.take(Entries(entries=(*LIBRARY.entries, *many)))
    models = window.create_screen.panel.models
    assert models.count() == 10_002
    models.showPopup()
    models.hidePopup()
    assert time.thread_time() - begun < 0.5  # on an idle machine a fifth of it
    assert state.now.entries[str(STARTER)].name == "Easel Starter"
