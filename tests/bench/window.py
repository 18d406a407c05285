"""One run of the real window for the benchmark: Generate at once, stalls counted, closed when the picture shows."""

import json
import sys
import time

import psutil

from engine import offline

BORN = psutil.Process().create_time()
TICK_MS = 2


def main() -> int:
    """Print the figures of this run as one JSON object."""
    offline.seal()
    from PySide6.QtCore import Qt, QTimer
    from PySide6.QtWidgets import QApplication, QStyleFactory

    from desktop.app import open_window, remembered
    from desktop.engine_link import EngineLink
    from desktop.state import State
    from engine.child import peak_memory_bytes
    from engine.messages import Event, Failed, Picture, Progress

    application = QApplication(sys.argv)
    application.setStyle(QStyleFactory.create("Fusion"))
    state, link = State(remembered()), EngineLink()
    window = open_window(state, link)
    figures: dict[str, float] = {}
    gaps: list[float] = []
    last = time.monotonic()

    def tick() -> None:
        nonlocal last
        now = time.monotonic()
        if "seconds to first step" in figures:
            gaps.append((now - last) * 1000 - TICK_MS)
        last = now

    def seen() -> None:
        figures["seconds to window visible"] = time.time() - BORN
        QTimer.singleShot(0, window.create_screen.generate)

    def told(event: Event) -> None:
        if isinstance(event, Progress) and event.step == 1:
            figures["seconds to first step"] = time.time() - BORN
        elif isinstance(event, Picture):
            figures["seconds to first picture"] = time.time() - BORN
            figures["worker peak MB"] = event.peak_memory_bytes / 1e6
            QTimer.singleShot(300, application.quit)  # the strip and the large picture are drawn meanwhile
        elif isinstance(event, Failed):
            print(event.cause, event.advice, file=sys.stderr)
            application.exit(1)

    window.painted.connect(seen, Qt.ConnectionType.SingleShotConnection)
    link.told.connect(told, Qt.ConnectionType.QueuedConnection)
    ticking = QTimer(timerType=Qt.TimerType.PreciseTimer, interval=TICK_MS)
    ticking.timeout.connect(tick)
    ticking.start()
    code = application.exec()
    window.close()
    link.stop()
    gaps.sort()
    figures["longest stall ms"] = gaps[-1]
    figures["p99 stall ms"] = gaps[int(len(gaps) * 0.99)]
    figures["window peak MB"] = peak_memory_bytes() / 1e6
    print(json.dumps(figures))
    return code


if __name__ == "__main__":
    sys.exit(main())
