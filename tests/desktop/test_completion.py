"""Names of LoRAs and embeddings complete themselves while a prompt is typed."""

from collections.abc import Iterator

import pytest
from msgspec import structs
from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from desktop.create.prompt_edit import PromptEdit
from desktop.main_window import MainWindow
from desktop.state import State
from engine.messages import Cancel, Entry, Scanned
from tests.desktop.conftest import Listener

INK = Entry(path="/m/Lora/ink wash.safetensors", name="Ink", sort="lora", family="sd1")
OTHERS = (
    structs.replace(INK, path="/m/Lora/水墨 ink.safetensors"),
    structs.replace(INK, path="/m/a/last.safetensors", name="last"),
    structs.replace(INK, path="/m/b/last.safetensors", name="last"),
    structs.replace(INK, path="/m/inkXL.safetensors", family="sdxl"),
    structs.replace(INK, path="/m/inkless.safetensors", state="missing"),
    Entry(path="/m/embeddings/easynegative.pt", name="easynegative", sort="embedding", family="sd1"),
)


@pytest.fixture
def prompt(window: MainWindow, state: State) -> Iterator[PromptEdit]:
    state.take(Scanned(changed=(INK, *OTHERS), done=True))
    edit = window.create_screen.panel.prompt
    edit.selectAll()
    yield edit
    edit.completion.popup().hide()


def offered(edit: PromptEdit) -> list[str]:
    model = edit.completion.popup().model()
    is_open = edit.completion.popup().isVisible()
    return [model.index(row, 0).data() for row in range(model.rowCount())] if is_open else []


def test_a_lora_of_the_models_family_is_completed_with_its_weight(
    qtbot: QtBot, prompt: PromptEdit, state: State
) -> None:
    prompt.insertPlainText("a house 🏠 ")  # which no key is for
    qtbot.keyClicks(prompt, "<lora:INK")
    assert offered(prompt) == ["ink wash", "水墨 ink"]
    qtbot.keyClick(prompt.completion.popup(), Qt.Key.Key_Down)
    qtbot.keyClick(prompt.completion.popup(), Qt.Key.Key_Return)
    assert state.now.settings.prompt == "a house 🏠 <lora:水墨 ink:1>"
    assert offered(prompt) == []
    qtbot.keyClicks(prompt, ", <lora:last")
    assert offered(prompt) == ["a/last", "b/last"]
    qtbot.keyClick(prompt.completion.popup(), Qt.Key.Key_Tab)
    assert state.now.settings.prompt.endswith(", <lora:a/last:1>")


def test_a_call_that_is_closed_keeps_its_weight(qtbot: QtBot, prompt: PromptEdit, state: State) -> None:
    qtbot.keyClicks(prompt, "<lora::0.7>")
    for _ in ":0.7>":
        qtbot.keyClick(prompt, Qt.Key.Key_Left)
    qtbot.keyClicks(prompt, "wa")
    qtbot.keyClick(prompt.completion.popup(), Qt.Key.Key_Return)
    assert state.now.settings.prompt == "<lora:ink wash:0.7>"


def test_an_embedding_is_offered_and_enter_stays_the_texts(qtbot: QtBot, prompt: PromptEdit, state: State) -> None:
    qtbot.keyClicks(prompt, "blurry, (ea")
    assert offered(prompt) == ["easynegative"]
    qtbot.keyClick(prompt.completion.popup(), Qt.Key.Key_Down)
    qtbot.keyClick(prompt.completion.popup(), Qt.Key.Key_Return)
    assert state.now.settings.prompt == "blurry, (easynegative"
    qtbot.keyClicks(prompt, ") ea")
    qtbot.keyClick(prompt.completion.popup(), Qt.Key.Key_Return)
    assert state.now.settings.prompt == "blurry, (easynegative) ea\n"


def test_escape_closes_the_list_and_cancels_nothing(
    qtbot: QtBot, prompt: PromptEdit, state: State, listener: Listener
) -> None:
    state.asked("job")
    qtbot.keyClicks(prompt, "<lora:i")
    assert offered(prompt)
    qtbot.keyClick(prompt.completion.popup(), Qt.Key.Key_Escape)
    assert offered(prompt) == []
    assert listener.of(Cancel) == []


def test_what_comes_and_goes_is_completed_so(qtbot: QtBot, prompt: PromptEdit, state: State) -> None:
    state.set("model", "away")  # a model of another family
    qtbot.keyClicks(prompt, "<lora:ink")
    assert offered(prompt) == ["inkXL"]
    state.take(Scanned(gone=("/m/inkXL.safetensors",), done=True))
    qtbot.keyClick(prompt, Qt.Key.Key_Backspace)
    assert offered(prompt) == []
