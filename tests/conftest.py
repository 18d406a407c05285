"""One home, one tiny model and one engine for the whole run, so that a graph is converted once."""

import os
import queue
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from engine import offline

offline.seal()

from engine.messages import CancelledJob, Done, Event, Failed, Generate
from engine.service import Service
from engine.settings import GenerateSettings
from tests.tiny_model import write_tiny_model
from tests.tiny_xl import write_tiny_xl


@pytest.fixture(scope="session")
def shared_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """EASEL_HOME for the tests that draw, with the model “tiny” installed; each process of a run converts for all."""
    home = tmp_path_factory.mktemp("home 家 🏠")
    write_tiny_model(home / "models" / "tiny")
    whole_run = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        whole_run = whole_run.parent
    (whole_run / "converted").mkdir(exist_ok=True)
    (home / "cache").mkdir()
    (home / "cache" / "converted").symlink_to(whole_run / "converted", target_is_directory=True)
    before = os.environ.get("EASEL_HOME")
    os.environ["EASEL_HOME"] = str(home)
    yield home
    if before is None:
        del os.environ["EASEL_HOME"]
    else:
        os.environ["EASEL_HOME"] = before


@pytest.fixture(scope="session")
def tiny_model(shared_home: Path) -> Path:
    return shared_home / "models" / "tiny"


@pytest.fixture(scope="session")
def tiny_xl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Stable Diffusion XL model with three blocks, as the true one has; T2I-Adapters add to its middle, too."""
    return write_tiny_xl(tmp_path_factory.mktemp("xl"), (16, 32, 32))


class Engine:
    """The real service with its real worker, and what it told."""

    def __init__(self) -> None:
        self.told: queue.Queue[Event] = queue.Queue()
        self.service = Service(self.told.put)
        self.service.start()

    def ask(self, folder: Path, **settings: object) -> str:
        values = {"prompt": "a red house", "model": "tiny", "seed": 1, "backend": "torch", "precision": "fp32"}
        job = uuid.uuid4().hex[:8]
        self.service.send(
            Generate(job=job, settings=GenerateSettings(**(values | settings)), folder=str(folder))  # pyright: ignore[reportArgumentType]
        )
        return job

    def until(self, wanted: Callable[[Event], bool], seconds: float = 120) -> list[Event]:
        """Every event up to the first that is wanted."""
        seen: list[Event] = []
        while True:
            seen.append(self.told.get(timeout=seconds))
            if wanted(seen[-1]):
                return seen

    def over(self, job: str, seconds: float = 120) -> list[Event]:
        """Every event up to the job's end."""
        return self.until(lambda e: e.job == job and isinstance(e, (Done, Failed, CancelledJob)), seconds)


@pytest.fixture(scope="session")
def _engine(shared_home: Path) -> Iterator[Engine]:
    engine = Engine()
    yield engine
    engine.service.stop()


@pytest.fixture
def engine(_engine: Engine) -> Engine:
    """The shared engine, with nothing left unheard."""
    while not _engine.told.empty():
        _engine.told.get()
    return _engine


@pytest.fixture
def own_engine(shared_home: Path) -> Iterator[Engine]:
    """An engine for a test that harms it."""
    engine = Engine()
    yield engine
    engine.service.stop()
