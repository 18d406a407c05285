import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from desktop import app
from desktop.create.invitation import EXAMPLES
from desktop.main_window import MainWindow
from desktop.state import State
from engine import keeping
from engine.errors import EaselError
from engine.messages import Failed
from engine.settings import GenerateSettings, Preferences

ROOT = Path(app.__file__).parents[1]
HEAVY = ("torch", "diffusers", "transformers", "openvino", "nncf", "numpy")
WITH_A_DEAF_ENGINE = """
import sys
from desktop import app, engine_link
class Deaf:
    def __init__(self, tell): pass
    def start(self): print("engine started", file=sys.stderr, flush=True)
    def send(self, request): pass
    def stop(self): print("engine stopped", file=sys.stderr, flush=True)
sys.modules["engine.service"] = type(sys)("engine.service")
sys.modules["engine.service"].Service = Deaf
sys.exit(app.run(["easel"]))
"""


def test_nothing_heavy_is_imported_before_the_window_shows() -> None:
    code = f"import sys, desktop.app; print([name for name in {HEAVY} if name in sys.modules])"
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT for another process")
def test_shows_the_window_then_starts_the_engine_and_ends_on_ctrl_c(tmp_path: Path) -> None:
    environment = os.environ | {"EASEL_TRACE_START": "1", "EASEL_HOME": str(tmp_path)}
    with subprocess.Popen(
        [sys.executable, "-c", WITH_A_DEAF_ENGINE], cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True
    ) as ran:
        assert ran.stderr is not None
        lines = [ran.stderr.readline() for _ in range(2)]
        ran.send_signal(signal.SIGINT)
        lines += ran.stderr.readlines()
    assert ran.returncode == 0
    (seen,) = [line for line in lines if line.startswith("window visible ")]
    assert 0 < float(seen.split()[-1]) < 60
    assert "engine started\n" in lines
    assert lines[-1] == "engine stopped\n"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems always have a screen")
def test_says_so_where_there_is_no_screen(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(EaselError) as caught:
        app.run(["easel"])
    assert str(caught.value) == "There is no screen to open a window on. Use “easel generate PROMPT” instead."
    assert caught.value.exit_code == 1


def test_begins_with_an_example_the_first_time() -> None:
    assert app.remembered().settings.prompt == EXAMPLES[0]


def test_begins_with_what_was_being_typed() -> None:
    keeping.keep(GenerateSettings(prompt="half a senten", steps=12))
    keeping.keep(Preferences(theme="dark"))
    now = app.remembered()
    assert now.settings == GenerateSettings(prompt="half a senten", steps=12)
    assert now.preferences == Preferences(theme="dark")


def test_an_error_in_the_window_is_told_and_ends_nothing(
    qtbot: QtBot, window: MainWindow, state: State, caplog: pytest.LogCaptureFixture
) -> None:
    with app.guarded(state):
        sys.excepthook(ValueError, ValueError("x"), None)
    assert "Something in Easel went wrong (ValueError)." in window.create_screen.panel.notice.text()
    assert [record.levelname for record in caplog.records] == ["ERROR"]


def test_a_known_error_keeps_its_sentences(window: MainWindow, state: State) -> None:
    with app.guarded(state):
        sys.excepthook(EaselError, EaselError("No room.", "Make some.", "steps"), None)
    assert state.now.trouble == Failed(cause="No room.", advice="Make some.", where="steps")
    assert window.create_screen.panel.notice.isVisible()
