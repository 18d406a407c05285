"""The engine thread with its real worker: drawing, cancelling, and the worker killed by real signals."""

import os
import signal
import time
from pathlib import Path

import msgspec
import psutil
import pytest
from PIL import Image

from engine.messages import (
    Browse,
    Cancel,
    CancelledJob,
    Done,
    Entries,
    Event,
    Failed,
    Keep,
    Pause,
    Paused,
    Picture,
    Pictures,
    Progress,
    Queued,
    Ready,
    Recent,
    Scanned,
    Started,
    StopAfter,
    WorkerLost,
)
from engine.settings import Preferences
from tests.conftest import Engine


def _worker_of(engine: Engine) -> psutil.Process:
    child = engine.service._child
    assert child is not None
    return psutil.Process(child.process_id)


def _files(folder: Path) -> list[str]:
    return sorted(os.listdir(folder)) if folder.exists() else []


def test_pictures_arrive_whole_and_in_order(engine: Engine, tmp_path: Path) -> None:
    folder = tmp_path / "new folder 图 🐱"
    job = engine.ask(folder, count=2, steps=3)
    events = engine.over(job)
    assert isinstance(events[0], Queued)
    pictures = [event for event in events if isinstance(event, Picture)]
    assert [picture.settings.seed for picture in pictures] == [1, 2]
    assert _files(folder) == sorted(Path(picture.path).name for picture in pictures)
    for picture in pictures:
        with Image.open(picture.path) as image:
            assert image.size == (64, 64)
    steps = [event for event in events if isinstance(event, Progress)]
    assert [(event.picture, event.step) for event in steps] == [(p, s) for p in (1, 2) for s in (1, 2, 3)]
    assert isinstance(events[-1], Done)


def test_a_preview_is_a_picture_of_the_same_size(engine: Engine, tmp_path: Path) -> None:
    job = engine.ask(tmp_path, steps=5)
    engine.until(lambda event: isinstance(event, Progress) and event.job == job and bool(event.preview))
    engine.over(job)


def test_the_same_settings_give_the_same_pixels(engine: Engine, tmp_path: Path) -> None:
    made = []
    for _ in range(2):
        events = engine.over(engine.ask(tmp_path, steps=4, scheduler="Euler a", negative_prompt="blue"))
        (picture,) = [event for event in events if isinstance(event, Picture)]
        with Image.open(picture.path) as image:
            made.append(image.tobytes())
    assert made[0] == made[1]


@pytest.mark.parametrize(
    ("settings", "cause"),
    [
        ({"model": "nothing"}, "no model named"),
        ({"model": "x" * 5000}, "no model named"),
        ({"model": "a\0b"}, "no model named"),
        ({"steps": 0}, "Steps cannot be 0"),
        ({"width": 65}, "Width cannot be 65"),
        ({"prompt": "x" * 200_001}, "200,001 characters"),
        ({"backend": "cuda"}, "backend cuda is not on this machine"),
        ({"backend": "torch", "precision": "int8"}, "cannot do int8"),
    ],
)
def test_a_bad_request_is_handed_back_with_its_reason(
    engine: Engine, tmp_path: Path, settings: dict[str, object], cause: str
) -> None:
    failed = engine.over(engine.ask(tmp_path, **settings))[-1]
    assert isinstance(failed, Failed)
    assert cause in failed.cause
    assert failed.advice
    assert failed.fault == "request"
    assert failed.settings is not None
    assert _files(tmp_path) == []


def test_a_prompt_as_long_as_allowed_is_drawn(engine: Engine, tmp_path: Path) -> None:
    assert isinstance(engine.over(engine.ask(tmp_path, prompt="猫 " * 10_000, steps=1))[-1], Done)


def test_an_empty_prompt_is_drawn(engine: Engine, tmp_path: Path) -> None:
    assert isinstance(engine.over(engine.ask(tmp_path, prompt="", steps=1))[-1], Done)


def test_a_folder_that_is_a_file_is_told(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    failed = engine.over(engine.ask(tmp_path / "file"))[-1]
    assert isinstance(failed, Failed)
    assert "cannot write in the folder" in failed.cause


def test_cancel_stops_within_a_step_and_keeps_what_is_finished(engine: Engine, tmp_path: Path) -> None:
    job = engine.ask(tmp_path, count=50, steps=150)
    engine.until(lambda event: isinstance(event, Progress) and event.picture == 2 and event.step == 5)
    engine.service.send(Cancel(job=job))
    events = engine.over(job)
    assert isinstance(events[-1], CancelledJob)
    assert not any(isinstance(event, Picture) for event in events)
    assert len(_files(tmp_path)) == 1


def test_a_waiting_job_can_be_cancelled(engine: Engine, tmp_path: Path) -> None:
    first = engine.ask(tmp_path, count=3, steps=100)
    second = engine.ask(tmp_path, steps=100)
    engine.service.send(Cancel(job=second))
    cancelled = engine.over(second)[-1]
    assert isinstance(cancelled, CancelledJob)
    assert cancelled.settings is not None
    engine.service.send(Cancel(job=first))
    engine.over(first)


def _drawn(events: list[Event]) -> list[bytes]:
    pictures = []
    for event in events:
        if isinstance(event, Picture):
            with Image.open(event.path) as image:
                pictures.append(image.tobytes())
    return pictures


@pytest.mark.parametrize(("backend", "scheduler"), [("torch", "Euler a"), ("openvino", "DPM++ 2M trailing")])
def test_a_pause_in_the_middle_leaves_the_picture_as_it_is(
    engine: Engine, tmp_path: Path, backend: str, scheduler: str
) -> None:
    settings = {"backend": backend, "scheduler": scheduler, "steps": 150, "count": 2}
    plain = engine.over(engine.ask(tmp_path, **settings))
    assert isinstance(plain[-1], Done), plain[-1]
    began = time.monotonic()
    job = engine.ask(tmp_path, **settings)
    engine.until(lambda event: isinstance(event, Progress) and event.step == 4)
    engine.service.send(Pause(job=job, on=True))
    before = engine.until(lambda event: isinstance(event, Paused))
    assert before[-1] == Paused(job=job)
    time.sleep(1.5)
    assert engine.told.empty()
    engine.service.send(Pause(job=job, on=False))
    events = engine.over(job)
    assert isinstance(events[-1], Done)
    assert [event for event in events if isinstance(event, Paused)] == [Paused(job=job, on=False)]
    steps = [(event.picture, event.step) for event in (*before, *events) if isinstance(event, Progress)]
    assert steps == [(picture, step) for picture in (1, 2) for step in range(1, 151)][4:]
    assert _drawn(events) == _drawn(plain)
    drawing = sum(event.seconds for event in (*before, *events) if isinstance(event, Picture))
    assert drawing < time.monotonic() - began - 1.5


def test_a_held_job_is_cancelled_at_once(engine: Engine, tmp_path: Path) -> None:
    job = engine.ask(tmp_path, steps=150)
    engine.until(lambda event: isinstance(event, Progress))
    engine.service.send(Pause(job=job, on=True))
    engine.until(lambda event: isinstance(event, Paused))
    began = time.monotonic()
    engine.service.send(Cancel(job=job))
    assert isinstance(engine.over(job)[-1], CancelledJob)
    assert time.monotonic() - began < 2
    assert isinstance(engine.over(engine.ask(tmp_path, steps=1))[-1], Done)


def test_a_waiting_job_can_be_held_and_begins_no_step(engine: Engine, tmp_path: Path) -> None:
    first, second = engine.ask(tmp_path, steps=150), engine.ask(tmp_path, steps=3)
    engine.service.send(Pause(job=second, on=True))
    assert isinstance(engine.over(first)[-1], Done)
    told = engine.until(lambda event: isinstance(event, Paused))
    assert not any(isinstance(event, Progress) for event in told)
    engine.service.send(Pause(job=second, on=False))
    assert isinstance(engine.over(second)[-1], Done)


def test_a_held_job_stays_held_when_its_worker_dies(own_engine: Engine, tmp_path: Path) -> None:
    job = own_engine.ask(tmp_path, steps=150)
    own_engine.until(lambda event: isinstance(event, Progress))
    own_engine.service.send(Pause(job=job, on=True))
    own_engine.until(lambda event: isinstance(event, Paused))
    _worker_of(own_engine).kill()
    own_engine.until(lambda event: isinstance(event, Paused))
    assert own_engine.told.empty()
    own_engine.service.send(Pause(job=job, on=False))
    assert isinstance(own_engine.over(job)[-1], Done)


def test_a_job_can_end_after_the_picture_that_is_being_made(engine: Engine, tmp_path: Path) -> None:
    whole = _drawn(engine.over(engine.ask(tmp_path, count=4, steps=50, seed=11)))
    job = engine.ask(tmp_path, count=4, steps=50, seed=11)
    engine.until(lambda event: isinstance(event, Progress) and event.picture == 2)
    engine.service.send(StopAfter(job=job))
    events = engine.over(job)
    assert len(_drawn(events)) == 1
    ended = events[-1]
    assert isinstance(ended, CancelledJob)
    assert ended.settings is not None
    assert (ended.undone, ended.settings.count, ended.settings.seed) == (2, 2, 13)
    rest = engine.ask(tmp_path, **msgspec.structs.asdict(ended.settings))
    assert _drawn(engine.over(rest)) == whole[2:]


def test_a_job_that_makes_its_last_picture_is_done(engine: Engine, tmp_path: Path) -> None:
    job = engine.ask(tmp_path, count=2, steps=100)
    engine.until(lambda event: isinstance(event, Progress) and event.picture == 2)
    engine.service.send(StopAfter(job=job))
    assert isinstance(engine.over(job)[-1], Done)


def test_the_library_the_recent_pictures_and_the_preferences(engine: Engine, shared_home: Path) -> None:
    engine.service.send(Keep(value=Preferences(theme="dark")))
    engine.service.send(Browse(job="l"))
    told = engine.until(lambda event: isinstance(event, Scanned) and event.done)
    assert any(isinstance(event, Entries) for event in told)
    named = {entry.name for event in told if isinstance(event, Entries) for entry in event.entries}
    named |= {entry.name for event in told if isinstance(event, Scanned) for entry in event.changed}
    assert {"Easel Starter", "tiny"} <= named
    engine.service.send(Recent(job="r", count=3))
    assert isinstance(engine.until(lambda event: isinstance(event, Pictures))[-1], Pictures)
    assert '"dark"' in (shared_home / "preferences.json").read_text()


def test_a_killed_worker_is_replaced_and_the_picture_made(own_engine: Engine, tmp_path: Path) -> None:
    job = own_engine.ask(tmp_path, steps=150, count=2)
    own_engine.until(lambda event: isinstance(event, Progress) and event.step > 3)
    _worker_of(own_engine).kill()
    events = own_engine.over(job)
    (lost,) = [event for event in events if isinstance(event, WorkerLost)]
    assert (lost.job, lost.again) == (job, True)
    assert isinstance(events[-1], Done)
    assert len(_files(tmp_path)) == 2


def test_after_three_deaths_the_request_is_handed_back_and_a_new_one_is_tried(
    own_engine: Engine, tmp_path: Path
) -> None:
    job = own_engine.ask(tmp_path, steps=150, count=100)
    for _ in range(3):
        own_engine.until(lambda event: isinstance(event, Started))
        os.kill(_worker_of(own_engine).pid, signal.SIGSEGV)
    events = own_engine.over(job)
    failed = events[-1]
    assert isinstance(failed, Failed)
    assert failed.settings is not None
    assert failed.settings.count == 100
    assert [event.again for event in events if isinstance(event, WorkerLost)] == [False]
    assert isinstance(own_engine.over(own_engine.ask(tmp_path, steps=1))[-1], Done)


def test_a_worker_that_hangs_is_killed_when_it_does_not_obey(
    own_engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.service.GRACE_SECONDS", 0.5)
    job = own_engine.ask(tmp_path, steps=150, count=10)
    own_engine.until(lambda event: isinstance(event, Progress))
    _worker_of(own_engine).suspend()
    own_engine.service.send(Cancel(job=job))
    assert isinstance(own_engine.over(job)[-1], CancelledJob)
    own_engine.until(lambda event: isinstance(event, Ready))


def test_an_error_nobody_foresaw_hands_the_request_back_and_the_next_one_runs(
    own_engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> Path:
        raise LookupError

    with monkeypatch.context() as patch:
        patch.setattr("engine.paths.publish", broken)
        job = own_engine.ask(tmp_path, steps=1, count=2)
        failed = own_engine.over(job)[-1]
    assert isinstance(failed, Failed)
    assert failed.settings is not None
    assert "LookupError" in failed.cause
    assert isinstance(own_engine.over(own_engine.ask(tmp_path, steps=1))[-1], Done)


def test_the_worker_ends_with_its_engine(own_engine: Engine) -> None:
    own_engine.until(lambda event: isinstance(event, Ready))
    worker = _worker_of(own_engine)
    assert worker.is_running()
    child = own_engine.service._child
    assert child is not None
    assert child._process.stdin is not None
    child._process.stdin.close()  # what the end of the window's process does
    deadline = time.monotonic() + 10
    while worker.is_running() and worker.status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_half_pictures_of_a_dead_program_are_removed_and_those_of_a_living_one_kept(
    engine: Engine, tmp_path: Path
) -> None:
    dead, living = tmp_path / ".easel-99999999-1.png.part", tmp_path / f".easel-{os.getppid()}-1.png.part"
    dead.write_bytes(b"half")
    living.write_bytes(b"half")
    engine.over(engine.ask(tmp_path, steps=1))
    assert not dead.exists()
    assert living.exists()


def test_a_folder_that_vanishes_midway_is_told_and_the_next_job_runs(engine: Engine, tmp_path: Path) -> None:
    folder = tmp_path / "gone"
    job = engine.ask(folder, steps=100, count=5)
    engine.until(lambda event: isinstance(event, Progress) and event.job == job)
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    failed = engine.over(job)[-1]
    assert isinstance(failed, Failed)
    assert failed.settings is not None
    assert isinstance(engine.over(engine.ask(tmp_path, steps=1))[-1], Done)
