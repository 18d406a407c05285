"""A service of one's own for as long as a verb runs."""

import queue
from collections.abc import Iterator
from contextlib import contextmanager

from engine import paths
from engine.errors import EaselError
from engine.messages import Event, Ready, WorkerLost
from engine.service import Service

Told = queue.Queue[Event]


@contextmanager
def running() -> Iterator[tuple[Service, Told]]:
    """The service and what it tells; stopped at the end."""
    told: Told = queue.Queue()
    service = Service(told.put)
    service.start()
    try:
        yield service, told
    finally:
        service.stop()


def ready(told: Told) -> Ready:
    """What the machine can do, once the worker says so. Raises EaselError where no worker starts."""
    while True:
        match told.get():
            case Ready() as ready:
                return ready
            case WorkerLost(again=False, cause=cause):
                raise EaselError(f"The engine does not start ({cause}).", f"The log is {paths.home() / 'worker.log'}.")
            case _:
                pass
