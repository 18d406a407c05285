"""Filling Create's lists and the Models screen with 10,000 entries, and typing: the longest stall of the window."""

import json
import os
import sys
import tempfile
import time

ENTRIES = 10_000
TICK_MS = 2
WORDS = "watercolour 77"


def entries() -> tuple:
    """As a large library has them."""
    from engine.messages import Entry

    kinds = ("checkpoint", "lora", "lora", "embedding", "controlnet", "vae")
    families = ("sd1", "sdxl", "sd2", "flux")
    return tuple(
        Entry(
            path=f"/models/{number % 97}/anna's watercolour number {number}.safetensors",
            name=f"watercolour number {number}",
            sort=kinds[number % 6],
            family=families[number % 4],
            size_bytes=10**6 * (number % 5000),
            rests_on="The tensor “model.diffusion_model.input_blocks.0.0.weight” is 320 x 4 x 3 x 3.",
            trigger_words=("soft light", "paper"),
            tags=("landscape",),
            starred=number % 50 == 0,
        )
        for number in range(ENTRIES)
    )


def main() -> int:
    """Print the figures as one JSON object."""
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    os.environ["EASEL_HOME"] = tempfile.mkdtemp(prefix="easel-bench-")
    from PySide6.QtCore import Qt, QTimer
    from PySide6.QtTest import QTest
    from PySide6.QtWidgets import QApplication

    from desktop.app import open_window
    from desktop.engine_link import EngineLink
    from desktop.state import Now, State
    from engine.messages import Entries, Scanned
    from engine.settings import Preferences
    from tests.desktop.conftest import Listener

    application = QApplication(sys.argv)
    application.setStyle("Fusion")
    state, link = State(Now(preferences=Preferences(theme="light", language="en"))), EngineLink(Listener())
    window = open_window(state, link)
    QTest.qWait(500)
    every, gaps, last = entries(), [0.0], time.monotonic()

    def tick() -> None:
        nonlocal last
        now = time.monotonic()
        gaps.append((now - last) * 1000 - TICK_MS)
        last = now

    def longest() -> float:
        found, gaps[:] = max(gaps), [0.0]
        return found

    ticking = QTimer(timerType=Qt.TimerType.PreciseTimer, interval=TICK_MS)
    ticking.timeout.connect(tick)
    ticking.start()
    figures: dict[str, float] = {}
    QTest.qWait(200)
    longest()
    models = window.create_screen.panel.models
    state.take(Entries(entries=every))
    QTest.qWait(300)
    figures["models on Create's list"] = models.count()
    figures["longest stall on filling Create's lists, ms"] = longest()
    models.showPopup()
    QTest.qWait(300)
    figures["longest stall on opening its list of models, ms"] = longest()
    models.hidePopup()
    for letter in "<lora:wat":
        QTest.keyClick(window.create_screen.panel.prompt, letter)
        QTest.qWait(30)
    figures["longest stall on completing a LoRA's name, ms"] = longest()
    window.create_screen.panel.prompt.completion.popup().hide()
    state.take(Entries(entries=()))
    QTest.qWait(200)
    longest()
    state.set("screen", "models")
    QTest.qWait(300)
    figures["longest stall on opening it empty, ms"] = longest()
    state.take(Entries(entries=every))
    QTest.qWait(1000)
    figures["longest stall on 10,000 entries, ms"] = longest()
    strokes: list[float] = []
    for letter in WORDS:
        begun = time.monotonic()
        QTest.keyClick(window.models_screen.filters.search, letter)
        application.processEvents()
        strokes.append((time.monotonic() - begun) * 1000)
        QTest.qWait(100)
    figures["slowest key in the search, painted, ms"] = max(strokes)
    figures["longest stall on typing, ms"] = longest()
    for number in range(20):
        state.take(Scanned(changed=every[number * 50 : number * 50 + 50], files=number))
        QTest.qWait(30)
    figures["longest stall on changes of a scan, ms"] = longest()
    bar = window.models_screen.cards.verticalScrollBar()
    window.models_screen.filters.search.clear()
    QTest.qWait(200)
    longest()
    for part in range(60):
        bar.setValue(bar.maximum() * part // 60)
        QTest.qWait(16)
    figures["longest stall on scrolling, ms"] = longest()
    window.close()
    link.stop()
    print(json.dumps({name: round(value, 1) for name, value in figures.items()}, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
