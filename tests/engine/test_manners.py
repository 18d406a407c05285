"""What a process takes of the computer: seen from outside in real ones."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from engine import keeping, manners
from engine.messages import Done, Keep, Picture, Progress, Ready
from engine.settings import Preferences
from tests.conftest import Engine

CORES = psutil.cpu_count() or 1
PROGRAM = """
import json, sys
from engine.manners import Manners, confine, keep_to, openvino_options
asked, folder = json.loads(sys.argv[1])
if asked is not None:
    keep_to(Manners(asked, False))
import numpy, openvino, psutil, torch
from openvino import opset13 as ops
seen = ops.parameter([1, 8], numpy.float32)
model = openvino.Model([ops.matmul(seen, ops.constant(numpy.ones((8, 8), numpy.float32)), False, False)], [seen])
compiled = openvino.Core().compile_model(model, "CPU", {"CACHE_DIR": folder} | openvino_options())
used, cached = compiled.get_property("INFERENCE_NUM_THREADS"), compiled.get_property("LOADED_FROM_CACHE")
confine()
print(json.dumps([torch.get_num_threads(), used, cached, len(psutil.Process().cpu_affinity())]))
"""


def _seen(cores: int | None, folder: Path) -> list:
    """Threads of torch, threads of a graph, whether it came from the cache, and the processors once confined."""
    command = [sys.executable, "-c", PROGRAM, json.dumps([cores, str(folder)])]
    root = Path(manners.__file__).parents[1]
    return json.loads(subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout)


@pytest.fixture
def preferences(shared_home: Path) -> Iterator[None]:
    """Those of the home that all share are put back."""
    yield
    keeping.keep(Preferences())


def test_libraries_keep_to_the_cores_even_with_a_graph_compiled_for_others(tmp_path: Path) -> None:
    assert _seen(0, tmp_path)[2] is False
    assert _seen(1, tmp_path) == [1, 1, True, 1]


def test_more_cores_than_there_are_is_all_of_them(tmp_path: Path) -> None:
    assert _seen(1000, tmp_path)[1] == CORES


def test_a_worker_is_replaced_once_it_is_free_and_draws_the_same(
    own_engine: Engine, tmp_path: Path, preferences: None
) -> None:
    own_engine.until(lambda event: isinstance(event, Ready))
    first = _worker(own_engine)
    job = own_engine.ask(tmp_path, steps=40)
    own_engine.until(lambda event: isinstance(event, Progress))
    own_engine.service.send(Keep(value=Preferences(low_priority="on", cores=1)))
    events = own_engine.over(job)
    assert isinstance(events[-1], Done)
    own_engine.until(lambda event: isinstance(event, Ready))
    second = _worker(own_engine)
    assert not first.is_running() or first.status() == psutil.STATUS_ZOMBIE
    assert second.nice() == max(manners.LOW_NICE, psutil.Process().nice())
    again = own_engine.over(own_engine.ask(tmp_path, steps=40))
    assert isinstance(again[-1], Done)
    assert _pixels(again) == _pixels(events)


def test_other_preferences_leave_the_worker(own_engine: Engine, preferences: None) -> None:
    own_engine.until(lambda event: isinstance(event, Ready))
    worker = _worker(own_engine)
    own_engine.service.send(Keep(value=Preferences(theme="dark")))
    own_engine.service.send(Keep(value=Preferences(low_priority="on")))
    own_engine.until(lambda event: isinstance(event, Ready))
    assert _worker(own_engine) != worker
    assert own_engine.told.empty()


def _worker(engine: Engine) -> psutil.Process:
    child = engine.service._child
    assert child is not None
    return psutil.Process(child.process_id)


def _pixels(events: list) -> bytes:
    from PIL import Image

    (path,) = [event.path for event in events if isinstance(event, Picture)]
    with Image.open(path) as image:
        return image.tobytes()
