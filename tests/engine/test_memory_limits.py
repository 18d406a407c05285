"""The real service and its real worker under real limits of memory: the job is made with less or refused, and the next
one is made."""

import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from PIL import Image

from engine.messages import Done, Event, Failed, Picture, Progress, Started, WorkerLost
from tests.conftest import Engine
from tests.drawing import STARTER

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the limits are Linux's")

MEGABYTE = 10**6


def _worker_of(engine: Engine) -> psutil.Process:
    child = engine.service._child
    assert child is not None
    return psutil.Process(child.process_id)


def _limit(worker: psutil.Process, more: int) -> None:
    """Let it have so many bytes more than it has."""
    worker.rlimit(psutil.RLIMIT_AS, (worker.memory_info().vms + more, psutil.RLIM_INFINITY))


def _made(events: list[Event]) -> tuple[int, int]:
    """The size of the one picture that a job made."""
    assert isinstance(events[-1], Done), events[-1]
    (picture,) = [event for event in events if isinstance(event, Picture)]
    with Image.open(picture.path) as image:
        return image.size


def test_a_job_that_is_too_large_for_the_limit_is_refused_and_the_next_one_made(
    own_engine: Engine, tmp_path: Path
) -> None:
    assert _made(own_engine.over(own_engine.ask(tmp_path, steps=1))) == (64, 64)
    worker = _worker_of(own_engine)
    _limit(worker, 300 * MEGABYTE)
    refused = own_engine.over(own_engine.ask(tmp_path, steps=1, width=2048, height=2048))[-1]
    assert isinstance(refused, Failed)
    assert "GB of memory" in refused.cause
    assert "smaller" in refused.advice
    assert _made(own_engine.over(own_engine.ask(tmp_path, steps=1))) == (64, 64)
    assert _worker_of(own_engine).pid == worker.pid


@pytest.fixture
def group() -> Iterator[Path]:
    """A control group of our own, in which processes may take 200 MB more than they have."""
    own = [line.split(":", 2) for line in Path("/proc/self/cgroup").read_text().splitlines()]
    parents = [
        (Path("/sys/fs/cgroup", controllers, path.lstrip("/")), limit)
        for _, controllers, path in own
        for name, limit in (("memory", "memory.limit_in_bytes"), ("", "memory.max"))
        if controllers == name
    ]
    for parent, limit in parents:
        made = parent / "easel-test"
        try:
            made.mkdir()
        except OSError:
            continue
        try:
            (made / limit).write_text(str(200 * MEGABYTE))
            yield made
        finally:
            made.rmdir()
        return
    pytest.skip("no control group can be made here")


def test_a_worker_that_the_system_kills_for_its_memory_is_told_of_and_the_picture_made_with_less(
    own_engine: Engine, tmp_path: Path, group: Path
) -> None:
    """What a process has when it enters a group is not counted there; decoding wants more than 200 MB."""
    small = {"model": STARTER, "width": 128, "height": 128, "steps": 4, "guidance_scale": 1.0}
    assert _made(own_engine.over(own_engine.ask(tmp_path, **small))) == (128, 128)
    job = own_engine.ask(tmp_path, **small | {"width": 512, "height": 512})
    own_engine.until(lambda event: isinstance(event, Progress))
    (group / "cgroup.procs").write_text(str(_worker_of(own_engine).pid))
    events = own_engine.over(job)
    (lost,) = [event for event in events if isinstance(event, WorkerLost)]
    assert (lost.job, lost.cause, lost.again) == (job, "it ran out of memory or was killed", True)
    assert _made(events) == (512, 512)
    (again,) = [event for event in events if isinstance(event, Started)]
    assert again.notes[:2] == (
        "The engine stopped on this picture, so it is made again with less memory.",
        "The picture is decoded in tiles, because memory is short.",
    )
    assert _made(own_engine.over(own_engine.ask(tmp_path, **small))) == (128, 128)
