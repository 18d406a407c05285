import time
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec import structs
from PySide6.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from PySide6.QtGui import QDragEnterEvent, QDropEvent, QGuiApplication
from PySide6.QtWidgets import QApplication, QFileDialog, QMenu, QMessageBox, QToolButton, QWidget
from pytestqt.qtbot import QtBot

from desktop import words
from desktop.main_window import MainWindow
from desktop.models import sentences
from desktop.models.cards import ENTRY
from desktop.models.screen import Screen
from desktop.state import Sieve, State
from desktop.widgets.notice import Notice
from engine.library.guess import KINDS
from engine.messages import (
    Browse,
    Cancel,
    Convert,
    Converting,
    Describe,
    Discard,
    Done,
    Entries,
    Entry,
    Failed,
    Forget,
    Hindrance,
    Keep,
    Pause,
    Preparing,
    Scanned,
    TakeIn,
)
from engine.settings import GenerateSettings
from tests.desktop.conftest import Listener
from tests.desktop.test_main_window import cut_off, describe

SD1 = Entry(path="/models/Deliberate v3.safetensors", name="Deliberate v3", sort="checkpoint", family="sd1",
            size_bytes=2_132_625_894, rests_on="Its text is read in 768 numbers.", sha256="6ce0161689b3" + "0" * 52,
            tags=("people",), twins=("/disk/copy.safetensors",))  # fmt: skip
LORA = Entry(path="/models/ink.safetensors", name="Ink", sort="lora", family="sdxl", size_bytes=144 * 10**6,
             trigger_words=("ink wash",), questions=(("prediction", ("epsilon", "v-prediction")),))  # fmt: skip
TORN = Entry(path="/models/torn.safetensors", name="torn", sort="checkpoint", state="broken", notes="from the fair",
             trouble="The file ends too early. Download it again.")  # fmt: skip
AWAY = Entry(path="/disk/away.safetensors", name="away", sort="vae", family="sd1", state="missing",
             trouble="The drive “/disk” is not there. Plug it in.")  # fmt: skip
FOUR = (SD1, LORA, TORN, AWAY)


@pytest.fixture
def screen(window: MainWindow, state: State) -> Screen:
    """The screen with four entries."""
    state.set("screen", "models")
    state.take(Entries(entries=FOUR))
    return window.models_screen


def shown(screen: Screen) -> list[str]:
    model = screen.cards.model()
    return [model.index(row, 0).data(ENTRY).name for row in range(model.rowCount())]


def choose(qtbot: QtBot, screen: Screen, name: str) -> None:
    """Click a card."""
    index = screen.cards.model().index(shown(screen).index(name), 0)
    place = screen.cards.visualRect(index).center()
    qtbot.mouseClick(screen.cards.viewport(), Qt.MouseButton.LeftButton, pos=place)


def press(button: QWidget, qtbot: QtBot) -> None:
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)


def test_the_library_is_asked_for_when_it_is_looked_at(qtbot: QtBot, window: MainWindow, listener: Listener) -> None:
    qtbot.keyClick(window, Qt.Key.Key_2, Qt.KeyboardModifier.ControlModifier)
    assert window._screens.currentWidget() is window.models_screen
    assert len(listener.of(Browse)) == 1  # at the start
    assert window.models_screen.filters.search.hasFocus()
    assert window.models_screen.bar._found.text().startswith("3 files")
    qtbot.keyClick(window, Qt.Key.Key_1, Qt.KeyboardModifier.ControlModifier)
    assert window._screens.currentWidget() is window.create_screen
    assert window.create_screen.panel.prompt.hasFocus()


def test_an_empty_library_says_what_to_do(window: MainWindow, state: State) -> None:
    state.set("screen", "models")
    state.take(Entries(entries=()))
    welcome = window.models_screen.welcome
    assert welcome.isVisible()
    assert welcome.title.text() == "Your models will appear here"
    assert welcome._files.isVisible()


def test_typing_finds_names_tags_words_notes_and_folders(qtbot: QtBot, screen: Screen) -> None:
    assert shown(screen) == ["away", "Deliberate v3", "Ink", "torn"]
    for typed, found in (
        ("DELIB", ["Deliberate v3"]), ("people", ["Deliberate v3"]), ("wash ink", ["Ink"]), ("fair", ["torn"]),
        ("/disk", ["away"]), ("zebra", []),
    ):  # fmt: skip
        screen.filters.search.clear()
        qtbot.keyClicks(screen.filters.search, typed)
        assert shown(screen) == found
    assert screen.welcome.title.text() == "Nothing is like that"
    press(screen.welcome._clear, qtbot)
    assert len(shown(screen)) == 4
    assert screen.filters.search.text() == ""


def test_kind_family_and_state_sift(qtbot: QtBot, screen: Screen, state: State) -> None:
    filters = screen.filters
    assert [filters.kinds.itemText(place) for place in range(filters.kinds.count())] == [
        "All kinds", "Model", "LoRA", "VAE",
    ]  # fmt: skip
    for choice, named, found in (
        (filters.kinds, "Model", ["Deliberate v3", "torn"]),
        (filters.standings, "Broken", ["torn"]),
        (filters.standings, "Ready", ["Deliberate v3"]),
        (filters.standings, "All states", ["Deliberate v3", "torn"]),
        (filters.families, "Stable Diffusion 1.x", ["Deliberate v3"]),
    ):
        choice.setFocus()
        choice.setCurrentIndex(choice.findText(named))
        choice.activated.emit(choice.currentIndex())
        assert shown(screen) == found
    assert screen.bar._found.text().startswith("1 of 4 shown")
    state.set("sieve", Sieve(standing="asks"))
    assert shown(screen) == ["Ink"]


def test_a_card_tells_everything(qtbot: QtBot, screen: Screen, state: State) -> None:
    choose(qtbot, screen, "Deliberate v3")
    details = screen.details
    assert state.now.entry == SD1.path
    assert details._name.text() == "Deliberate v3"
    assert details._what.text() == "Model · Stable Diffusion 1.x"
    assert details._rests_on.text().replace("\u200b", "") == SD1.rests_on
    assert details._facts._lines["Hash"][1].text() == "6ce0161689"
    assert details._facts._lines["The same as"][1].text() == "/disk/copy.safetensors"
    press(details._facts._copy_button, qtbot)
    assert QGuiApplication.clipboard().text() == SD1.sha256
    spoken = screen.cards.currentIndex().data(Qt.ItemDataRole.AccessibleTextRole)
    assert spoken == "Deliberate v3, Model · Stable Diffusion 1.x, 2.1 GB"


def test_what_is_broken_says_what_and_what_to_do(qtbot: QtBot, screen: Screen) -> None:
    choose(qtbot, screen, "torn")
    assert screen.details._notice.text() == f"Broken {TORN.trouble}"
    assert not screen.details.use.isVisible()
    choose(qtbot, screen, "away")
    assert screen.details._notice.text() == f"Missing {AWAY.trouble}"
    assert not screen.details.reveal.isEnabled()
    choose(qtbot, screen, "Ink")
    assert not screen.details._notice.isVisible()


def test_a_model_that_is_a_pickle_is_used_and_says_how(qtbot: QtBot, screen: Screen, state: State) -> None:
    state.take(Scanned(changed=(structs.replace(SD1, path="/models/old.ckpt", name="old", is_pickle=True),), done=True))
    choose(qtbot, screen, "old")
    assert screen.details._notice.text().startswith("This is a model in a file of PyTorch's. Nothing in it is run")
    press(screen.details.use, qtbot)
    assert (state.now.settings.model, state.now.screen) == ("old", "create")
    assert [each.value for each in state.now.models if each.entry.is_pickle] == ["old"]
    state.set("screen", "models")
    choose(qtbot, screen, "Deliberate v3")
    assert not screen.details._notice.isVisible()
    assert screen.details.use.isVisible()


def test_the_arrow_keys_go_from_card_to_card(qtbot: QtBot, screen: Screen, state: State) -> None:
    choose(qtbot, screen, "away")
    qtbot.keyClick(screen.cards, Qt.Key.Key_Right)
    assert state.now.entry == SD1.path


def test_a_question_is_answered_once(qtbot: QtBot, screen: Screen, state: State, listener: Listener) -> None:
    choose(qtbot, screen, "Ink")
    (asked,) = screen.details.questions.findChildren(type(screen.details.kinds))
    assert asked.accessibleName() == "prediction"
    asked.setFocus()
    qtbot.keyClick(asked, Qt.Key.Key_Down)
    (said,) = listener.of(Describe)
    assert (said.path, said.answers) == (LORA.path, (("prediction", "epsilon"),))
    assert said.job in state.now.errands
    state.take(Scanned(changed=(structs.replace(LORA, questions=()),), done=True))
    state.take(Done(job=said.job))
    assert not screen.details.questions.isVisible()
    assert state.now.errands == {}


def test_the_guess_is_overruled_and_taken_back(qtbot: QtBot, screen: Screen, listener: Listener) -> None:
    choose(qtbot, screen, "Deliberate v3")
    kinds, families = screen.details.kinds, screen.details.families
    kinds.setCurrentIndex(kinds.findText("LoRA"))
    kinds.activated.emit(kinds.currentIndex())
    families.setCurrentIndex(families.findText("Stable Diffusion XL"))
    families.activated.emit(families.currentIndex())
    kinds.setCurrentIndex(kinds.findText("As recognised"))
    kinds.activated.emit(kinds.currentIndex())
    assert [(said.sort, said.family) for said in listener.of(Describe)] == [("lora", None), (None, "sdxl"), ("", None)]


def test_what_is_said_of_an_entry_is_told_once(qtbot: QtBot, screen: Screen, listener: Listener) -> None:
    choose(qtbot, screen, "Ink")
    own = screen.details.own
    own.tags.setFocus()
    qtbot.keyClicks(own.tags, "wet,  dry ,wet")
    qtbot.keyClick(own.tags, Qt.Key.Key_Return)
    own.notes.setFocus()
    qtbot.keyClicks(own.notes, "for skies")
    choose(qtbot, screen, "torn")
    first, second = listener.of(Describe)
    assert (first.path, first.tags, first.notes) == (LORA.path, ("wet", "dry"), None)
    assert (second.path, second.tags, second.notes) == (LORA.path, None, "for skies")
    assert own.notes.toPlainText() == "from the fair"


def test_a_star_goes_first(qtbot: QtBot, screen: Screen, state: State, listener: Listener) -> None:
    choose(qtbot, screen, "torn")
    press(screen.details.star, qtbot)
    assert listener.of(Describe)[0].starred is True
    state.take(Scanned(changed=(structs.replace(TORN, starred=True),), done=True))
    assert shown(screen)[0] == "torn"
    assert screen.details.star.accessibleName() == "Take the star away"
    assert screen.cards.currentIndex().data(ENTRY).name == "torn"


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        (SD1, {"model": "Deliberate v3"}),
        (LORA, {"prompt": "a red house on a meadow at sunset, <lora:ink:1>, ink wash"}),
        (structs.replace(LORA, sort="embedding"), {"prompt": "a red house on a meadow at sunset, ink"}),
        (structs.replace(LORA, sort="vae"), {"vae": LORA.path}),
        (structs.replace(LORA, sort="upscaler"), {"upscaler": LORA.path}),
    ],
)
def test_use_changes_what_is_drawn_with(
    qtbot: QtBot, window: MainWindow, state: State, entry: Entry, expected: dict[str, str]
) -> None:
    state.set("screen", "models")
    state.take(Entries(entries=(entry,)))
    choose(qtbot, window.models_screen, entry.name)
    press(window.models_screen.details.use, qtbot)
    assert {name: getattr(state.now.settings, name) for name in expected} == expected
    assert window.create_screen.isVisible()


def test_deleting_asks_first(qtbot: QtBot, screen: Screen, state: State, listener: Listener) -> None:
    def answer(words: str) -> None:
        (box,) = screen.findChildren(QMessageBox)
        (button,) = [each for each in box.buttons() if each.text() == words]
        qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
        qtbot.waitUntil(lambda: not screen.findChildren(QMessageBox))

    choose(qtbot, screen, "torn")
    press(screen.details.discard, qtbot)
    answer("Keep it")
    assert listener.of(Discard) == []
    qtbot.keyClick(screen.cards, Qt.Key.Key_Delete)
    answer("Into the trash")
    assert [said.path for said in listener.of(Discard)] == [TORN.path]
    state.take(Scanned(gone=(TORN.path,), done=True))
    assert shown(screen) == ["away", "Deliberate v3", "Ink"]
    assert screen.details._stack.currentIndex() == 0


def test_files_dropped_anywhere_are_taken_in(qtbot: QtBot, screen: Screen, listener: Listener, tmp_path: Path) -> None:
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(tmp_path / "模型.safetensors")), QUrl("https://example.org/x")])
    common = Qt.DropAction.CopyAction, data, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    entered = QDragEnterEvent(QPoint(200, 200), *common)
    QApplication.sendEvent(screen, entered)
    assert entered.isAccepted()
    QApplication.sendEvent(screen, QDropEvent(QPointF(200, 200), *common))
    choose_way(qtbot, screen, "Use where it lies")
    (asked,) = listener.of(TakeIn)
    assert (asked.paths, asked.how) == ((str(tmp_path / "模型.safetensors"),), "use")


def choose_way(qtbot: QtBot, screen: Screen, words: str) -> None:
    qtbot.waitUntil(lambda: bool(screen.findChildren(QMenu, "ways")))
    (menu,) = screen.findChildren(QMenu, "ways")
    (action,) = [each for each in menu.actions() if each.text() == words]
    menu.setActiveAction(action)
    qtbot.keyClick(menu, Qt.Key.Key_Return)


def test_the_button_takes_in_too(
    qtbot: QtBot, screen: Screen, state: State, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: "/other/ComfyUI")
    screen.filters.folder_asked.emit()
    choose_way(qtbot, screen, "Move into Easel's folder")
    (asked,) = listener.of(TakeIn)
    assert (asked.paths, asked.how) == (("/other/ComfyUI",), "move")
    state.take(Preparing(job=asked.job, what="Taking in “x”", done=0.25))
    assert screen.bar.doing.text() == "Taking in “x”: 25 %"
    assert not screen.bar.pause.isVisible()
    press(screen.bar.cancel, qtbot)
    assert [each.job for each in listener.of(Cancel)] == [asked.job]
    state.take(Failed(job=asked.job, cause="It is a web page.", advice="Download the file itself.", fault="request"))
    assert screen.notice.text() == "It is a web page. Download the file itself."
    assert not screen.bar.progress.isVisible()
    assert state.now.trouble is None


def test_a_conversion_is_held_and_called_off(qtbot: QtBot, screen: Screen, state: State, listener: Listener) -> None:
    choose(qtbot, screen, "Deliberate v3")
    (action,) = [each for each in screen.details._precisions.actions() if each.text() == "int8"]
    assert listener.of(Convert) == []
    action.trigger()
    (asked,) = listener.of(Convert)
    assert (asked.path, asked.precision) == (SD1.path, "int8")
    going = Converting(job=asked.job, path=SD1.path, precision="int8", what="Converting “x”", done=0.5, seconds_left=75)
    state.take(going)
    assert screen.bar.doing.text() == "Converting “x”: 50 %, 1 min 15 s left"
    press(screen.bar.pause, qtbot)
    state.take(structs.replace(going, paused=True))
    assert screen.bar.doing.text() == "Converting “x”: 50 %, paused"
    assert screen.bar.pause.text() == "Go on"
    press(screen.bar.pause, qtbot)
    assert [each.on for each in listener.of(Pause)] == [True, False]
    press(screen.bar.cancel, qtbot)
    assert [each.job for each in listener.of(Cancel)] == [asked.job]


def test_ten_thousand_entries_and_only_those_in_sight_are_decoded(
    qtbot: QtBot, window: MainWindow, state: State, picture: Callable[..., str]
) -> None:
    face = picture("face", "#00ff00", side=300)
    many = tuple(
        structs.replace(
            LORA, path=f"/m/{number:05}", name=f"lora {number:05}", preview=face if number < 2 else f"/{number}"
        )
        for number in range(10_000)
    )
    state.set("screen", "models")
    state.take(Entries(entries=many))
    screen = window.models_screen
    qtbot.waitUntil(lambda: screen.cards._cards._small.get(face) is not None)
    assert 2 < len(screen.cards._cards._small) < 100
    begun = time.thread_time()
    qtbot.keyClicks(screen.filters.search, "777")
    assert shown(screen)[0] == "lora 00777"
    assert len(shown(screen)) == 19
    assert time.thread_time() - begun < 0.3  # three keys; 25 ms on a machine with nothing else to do
    screen.filters.search.clear()
    screen.cards.verticalScrollBar().setValue(screen.cards.verticalScrollBar().maximum())
    qtbot.wait(50)
    assert len(screen.cards._cards._small) < 200


@pytest.mark.parametrize(("width", "columns"), [(1080, 3), (1280, 4), (1920, 7)])
def test_the_cards_fill_the_line(qtbot: QtBot, window: MainWindow, state: State, width: int, columns: int) -> None:
    window.resize(width, 700)
    state.set("screen", "models")
    state.take(Entries(entries=tuple(structs.replace(LORA, path=f"/m/{number}") for number in range(20))))
    qtbot.wait(100)
    cards = window.models_screen.cards
    places = [cards.visualRect(cards.model().index(row, 0)) for row in range(columns + 1)]
    assert len({place.top() for place in places[:columns]}) == 1
    assert places[columns].top() > places[0].top()
    assert cards.viewport().width() - places[columns - 1].right() < 24


def test_what_takes_long_is_said_in_the_window_s_language() -> None:
    words.use("zh_Hans")
    going = Converting(path="", precision="int8", what="Converting “{a} “b””", done=0.5)
    assert sentences.doing(going) == "正在转换“{a} “b””：50%"
    words.use("en")
    assert sentences.doing(going) == "Converting “{a} “b””: 50 %"


def test_every_kind_has_a_name() -> None:
    assert list(sentences.KINDS) == list(KINDS)


@pytest.mark.parametrize("language", ["en", "zh_Hans", "zh_Hant"])
def test_nothing_is_cut_off(qtbot: QtBot, window: MainWindow, state: State, language: str) -> None:
    state.set("language", language)
    state.set("screen", "models")
    qtbot.wait(50)
    long = structs.replace(LORA, name="a very long name " * 10, rests_on="model.diffusion_model." * 12, path="/x" * 200)
    state.take(Entries(entries=(long, TORN)))
    state.take(Scanned(files=9_999))
    state.set("entry", long.path)
    state.sent("c")
    state.take(Converting(job="c", path="", precision="int8", what="Converting “x” " * 5, done=0.1, seconds_left=9999))
    state.set("errand_trouble", Failed(cause="Something is wrong. " * 9, advice="Do this or that. " * 5))
    for size in ((1280, 800), (1080, 600)):
        window.resize(*size)
        qtbot.wait(60)
        assert window.size().toTuple() == size
        assert [describe(widget) for widget in cut_off(window)] == []


def test_every_control_has_a_name(qtbot: QtBot, screen: Screen) -> None:
    choose(qtbot, screen, "Ink")
    for widget in screen.findChildren(QWidget):
        if widget.isVisible() and widget.focusPolicy() != Qt.FocusPolicy.NoFocus:
            name = widget.accessibleName() or getattr(widget, "text", str)()
            assert name or widget.objectName().startswith("qt_"), f"{type(widget).__name__} {widget.objectName()}"


def test_what_is_looked_at_outlives_another_language(qtbot: QtBot, screen: Screen, state: State, window: MainWindow,
                                                     listener: Listener) -> None:  # fmt: skip
    qtbot.keyClicks(screen.filters.search, "in")
    choose(qtbot, screen, "Ink")
    state.set("language", "zh_Hans")
    qtbot.waitUntil(lambda: window.models_screen is not screen and window.models_screen.isVisible())
    new = window.models_screen
    assert new.filters.search.text() == "in"
    assert new.details._name.text() == "Ink"
    assert new.details.kinds.accessibleName() == "类型"
    assert all(request.value != GenerateSettings() for request in listener.of(Keep))


def test_what_stands_in_the_way_of_a_look_is_told_by_its_folder_here_alone(
    qtbot: QtBot, screen: Screen, state: State, window: MainWindow
) -> None:
    met = tuple(
        Hindrance(where=f"/nas/{number}", cause=f"The folder “/nas/{number}” cannot be read: permission denied.",
                  advice="Allow reading it.")
        for number in range(5)
    )  # fmt: skip

    def told() -> list[str]:
        return [each.text() for each in screen.hindrances.findChildren(Notice) if each.isVisible()]

    state.take(Scanned(done=True, hindrances=met))
    assert told() == [
        f"{met[0].cause} Allow reading it.", f"{met[1].cause} Allow reading it.",
        f"{met[2].cause} Allow reading it. It is so with 2 more.",
    ]  # fmt: skip
    assert [describe(widget) for widget in cut_off(window)] == []
    close = screen.hindrances.findChildren(QToolButton)[0]
    press(close, qtbot)
    state.take(Scanned(files=3, done=False))  # a look that goes on says nothing of it yet
    assert told()[0] == f"{met[1].cause} Allow reading it."
    state.take(Scanned(done=True, hindrances=met[:1]))
    assert told() == []
    state.take(Scanned(done=True))
    state.take(Scanned(done=True, hindrances=met[:1]))
    assert len(told()) == 1  # it has come again
    assert state.now.trouble is None
    assert not window.create_screen.panel.notice.isVisible()


def test_a_folder_can_be_used_no_more(window: MainWindow, state: State, listener: Listener) -> None:
    filters = window.models_screen.filters
    assert not filters.folders.menuAction().isVisible()
    state.set("screen", "models")
    state.take(Scanned(done=True, folders=("/loras & 模型",)))
    (folder,) = filters.folders.actions()
    folder.trigger()
    assert [each.path for each in listener.of(Forget)] == ["/loras & 模型"]
    state.take(Scanned(done=True))
    assert not filters.folders.menuAction().isVisible()
