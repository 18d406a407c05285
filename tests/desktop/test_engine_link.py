import threading

from pytestqt.qtbot import QtBot

from desktop.engine_link import EngineLink
from engine.messages import Browse, Done, Keep, Recent
from engine.settings import GenerateSettings, Preferences
from tests.desktop.conftest import Listener


def test_what_is_sent_before_the_start_is_not_lost(listener: Listener) -> None:
    link = EngineLink(listener)
    link.send(Browse())
    assert listener.heard == []
    link.start()
    link.start()
    link.send(Recent())
    assert listener.heard == [Browse(), Recent()]
    link.stop()
    assert not listener.runs


def test_drafts_are_written_once_it_is_quiet(qtbot: QtBot, listener: Listener) -> None:
    link = EngineLink(listener)
    link.start()
    for prompt in ("a", "ab", "abc"):
        link.keep(GenerateSettings(prompt=prompt))
    link.keep(Preferences(theme="dark"))
    assert listener.heard == []
    qtbot.waitUntil(lambda: len(listener.heard) == 2)
    assert listener.heard == [
        Keep(value=GenerateSettings(prompt="abc")),
        Keep(value=Preferences(theme="dark")),
    ]


def test_the_last_draft_is_written_at_the_end(listener: Listener) -> None:
    link = EngineLink(listener)
    link.start()
    link.keep(GenerateSettings(prompt="a"))
    link.stop()
    assert listener.heard == [Keep(value=GenerateSettings(prompt="a"))]


def test_events_arrive_on_the_windows_thread(qtbot: QtBot, listener: Listener) -> None:
    link = EngineLink(listener)
    came: list[tuple[object, threading.Thread]] = []

    with qtbot.waitSignal(link.told):
        link.told.connect(lambda event: came.append((event, threading.current_thread())))
        engine = threading.Thread(target=link._tell, args=[Done(job="a")])
        engine.start()
        engine.join()
    qtbot.waitUntil(lambda: bool(came))
    assert came[0] == (Done(job="a"), threading.main_thread())
