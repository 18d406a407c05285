"""Waits that cannot be interrupted, on threads of their own: told while they last, and left alone when called off."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Generic, TypeVar

Report = Callable[[str, float], None]
"""Says what is being prepared and how much of it is done, 0 to 1; raises Cancelled to stop it."""
TICK_SECONDS = 0.2
"""How often a wait is told, and so how late a cancel is seen."""
UNTOLD_SECONDS = 0.5
"""A shorter wait is not worth a word."""
ALMOST = 0.95
"""What is said to be done of work that takes longer than expected."""

T = TypeVar("T")


def _untold(_what: str, _done: float) -> None:
    """Nobody listens."""


_reporter: ContextVar[Report] = ContextVar("reporter", default=_untold)


@contextmanager
def told_to(report: Report) -> Iterator[None]:
    """Inside, waits are told to `report`, which raises Cancelled to end them."""
    before = _reporter.set(report)
    try:
        yield
    finally:
        _reporter.reset(before)


def paced(report: Report) -> Report:
    """The same, told at most once in so many seconds however often it is called."""
    last = -TICK_SECONDS

    def told(what: str, done: float) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= TICK_SECONDS:
            last = now
            report(what, done)

    return told


def told(what: str, done: float) -> None:
    """Tell whoever listens, a Report itself: for what is reached by ways that hand none down."""
    _reporter.get()(what, done)


class Wait(Generic[T]):
    """Work begun on a thread of its own. Who was called off leaves it; it may be waited for again later."""

    def __init__(self, work: "Callable[[Wait[T]], T]") -> None:
        """Begin; `work` is given this object, to say what it expects."""
        self.expected_seconds = 1.0
        """From the beginning to the end, as far as is known by now."""
        self._began = time.monotonic()
        thread = ThreadPoolExecutor(1)
        self._future = thread.submit(work, self)
        thread.shutdown(wait=False)

    @property
    def is_over(self) -> bool:
        """Whether the work has ended, well or not."""
        return self._future.done()

    def result(self, what: str) -> T:
        """What the work gives, or raises. `what` is told meanwhile, and how much is done by the time expected."""
        report = _reporter.get()
        while not wait([self._future], timeout=TICK_SECONDS).done:
            waited = time.monotonic() - self._began
            if waited > UNTOLD_SECONDS:
                report(what, min(ALMOST, waited / self.expected_seconds))
        return self._future.result()
