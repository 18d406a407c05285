"""The library's threads: asked as the window asks, with real files, a real catalogue and a real conversion."""

import os
import queue
import shutil
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from engine import paths
from engine.librarian import Librarian
from engine.library.catalogue import Catalogue, Found, Place, Stamp
from engine.library.opened_weights import Source, put
from engine.library.opened_weights import home as opened_home
from engine.messages import (
    Browse,
    CancelledJob,
    Convert,
    Converting,
    Describe,
    Discard,
    Done,
    Entries,
    Entry,
    Event,
    Failed,
    Forget,
    Pause,
    Scanned,
    TakeIn,
)
from tests.engine import test_intake
from tests.weights import weights

SEPIA = paths.STARTER.parent / "lora" / "easel-sepia.safetensors"
home, trash = test_intake.home, test_intake.trash


class Asked:
    """A librarian, and what it tells."""

    def __init__(self) -> None:
        self.told: queue.Queue[Event] = queue.Queue()
        self.known: dict[str, Entry] = {}
        self.librarian = Librarian(self.told.put)

    def until(self, wanted: Callable[[Event], bool], seconds: float = 280) -> Event:
        """The first such event; what entries are said to be is kept on the way."""
        deadline = time.monotonic() + seconds
        while True:
            event = self.told.get(timeout=max(0.01, deadline - time.monotonic()))
            if isinstance(event, Entries):
                self.known = {entry.path: entry for entry in event.entries}
            if isinstance(event, Scanned):
                self.known |= {entry.path: entry for entry in event.changed}
                self.known = {path: entry for path, entry in self.known.items() if path not in event.gone}
            if wanted(event):
                return event

    def over(self, job: str) -> Event:
        return self.until(lambda event: event.job == job and isinstance(event, (Done, Failed, CancelledJob)))

    def scanned(self) -> None:
        self.until(lambda event: isinstance(event, Scanned) and event.done)


@pytest.fixture
def asked() -> Iterator[Asked]:
    made = Asked()
    yield made
    made.librarian.stop()


def test_it_answers_at_once_and_then_looks_around(asked: Asked, home: Path) -> None:
    asked.librarian.send(Browse(job="b"))
    first = asked.until(lambda event: isinstance(event, Entries))
    assert isinstance(first, Entries)
    assert first.entries == ()
    asked.scanned()
    assert asked.known[str(SEPIA)].sort == "lora"
    asked.until(lambda _: bool(asked.known[str(SEPIA)].sha256))


def test_a_file_comes_in_is_described_and_goes(
    asked: Asked, home: Path, tmp_path: Path, trash: Callable[[], list[str]]
) -> None:
    file = Path(shutil.copy(SEPIA, tmp_path / "brown 棕.safetensors"))
    asked.librarian.send(Browse(job="b"))
    asked.scanned()
    asked.librarian.send(TakeIn(job="t", paths=(str(file),), how="move"))
    assert isinstance(asked.over("t"), Done)
    there = str(home / "lora" / file.name)
    asked.until(lambda _: there in asked.known)
    asked.librarian.send(Describe(job="d", path=there, tags=("old",), starred=True, sort="vae"))
    assert isinstance(asked.over("d"), Done)
    assert (asked.known[there].tags, asked.known[there].starred, asked.known[there].sort) == (("old",), True, "vae")
    asked.librarian.send(Discard(job="x", path=there))
    assert isinstance(asked.over("x"), Done)
    assert there not in asked.known
    assert trash() == [file.name]


def test_bad_wishes_are_told_with_their_job(asked: Asked, tmp_path: Path) -> None:
    page = tmp_path / "page.safetensors"
    page.write_text("<html>")
    asked.librarian.send(TakeIn(job="t", paths=(str(page), "/nowhere/x.pt")))
    failed = asked.over("t")
    assert isinstance(failed, Failed)
    assert "1 more stayed where they were" in failed.cause
    asked.librarian.send(Discard(job="x", path=str(page)))
    assert isinstance(failed := asked.over("x"), Failed)
    assert "not in the library" in failed.cause
    assert page.exists()
    asked.librarian.send(Describe(job="d", path=str(page), notes="x"))
    assert isinstance(asked.over("d"), Failed)


@pytest.mark.skipif(sys.platform == "win32", reason="links need a right there")
def test_a_folder_is_used_where_it_lies_and_watched(
    asked: Asked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.librarian.WATCH_SECONDS", 0.1)
    folder = tmp_path / "other"
    folder.mkdir()
    asked.librarian.send(TakeIn(job="t", paths=(str(folder),), how="use"))
    asked.over("t")
    asked.scanned()
    shutil.copy(SEPIA, folder / "new.safetensors")
    asked.until(lambda _: str(folder / "new.safetensors") in asked.known)
    (folder / "new.safetensors").unlink()
    asked.until(lambda _: str(folder / "new.safetensors") not in asked.known)


def test_a_folder_that_was_added_can_be_used_no_more(asked: Asked, tmp_path: Path) -> None:
    folder = tmp_path / "loras 猫"
    folder.mkdir()
    shutil.copy(SEPIA, folder / "ink.safetensors")
    asked.librarian.send(TakeIn(job="t", paths=(str(folder),), how="use"))
    asked.over("t")
    asked.until(lambda event: isinstance(event, Scanned) and event.done and event.folders == (str(folder),))
    assert str(folder / "ink.safetensors") in asked.known
    asked.librarian.send(Forget(job="f", path=str(folder)))
    asked.over("f")
    asked.until(lambda event: isinstance(event, Scanned) and event.done and event.folders == ())
    assert str(folder / "ink.safetensors") not in asked.known
    assert (folder / "ink.safetensors").is_file()


def test_a_conversion_is_held_called_off_and_taken_up_again(asked: Asked, home: Path, tiny_model: Path) -> None:
    model = str(shutil.copytree(tiny_model, home / "models" / "tiny"))
    asked.librarian.send(Browse(job="b"))
    asked.scanned()
    for job in "cd":
        asked.librarian.send(Convert(job=job, path=model, precision="fp32"))
    asked.until(lambda event: isinstance(event, Converting) and event.job == "c" and event.done > 0)
    asked.librarian.send(Pause(on=True))
    asked.until(lambda event: isinstance(event, Converting) and event.paused)
    assert asked.librarian._conversion is not None
    process = psutil.Process(asked.librarian._conversion._process.pid)
    held = [process, *process.children(recursive=True)]
    deadline = time.monotonic() + 10  # a busy system stops a process when it comes to it
    while [each.status() for each in held] != [psutil.STATUS_STOPPED] * 2:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    asked.librarian.send(Pause(on=False))
    asked.until(lambda event: isinstance(event, Converting) and not event.paused)
    (part,) = (each for each in paths.cache("converted").glob("*.part") if (each / "source.json").exists())
    made = {each.name: each.stat().st_mtime_ns for each in part.glob("text_encoder.*")}
    assert asked.librarian.cancel("c")
    assert isinstance(asked.over("c"), CancelledJob)
    psutil.wait_procs(held, timeout=10)
    assert not any(each.is_running() and each.status() != psutil.STATUS_ZOMBIE for each in held)
    assert isinstance(asked.over("d"), Done)
    asked.until(lambda _: asked.known[model].converted == ("bf16", "fp32"))
    (folder,) = filter(Path.is_dir, paths.cache("converted").iterdir())
    assert made.keys() == {"text_encoder.xml", "text_encoder.bin", "text_encoder.finished"}
    assert {each.name: each.stat().st_mtime_ns for each in folder.glob("text_encoder.*")} == {
        name: when for name, when in made.items() if name != "text_encoder.finished"
    }
    assert asked.librarian.cancel("c") is False


def test_what_cannot_be_converted_is_told(asked: Asked, tmp_path: Path) -> None:
    asked.librarian.send(Convert(job="c", path=str(tmp_path / "none"), precision="int8"))
    failed = asked.over("c")
    assert isinstance(failed, Failed)
    assert "no model named" in failed.cause


@pytest.mark.skipif(sys.platform == "win32", reason="links need a right there")
def test_what_keeps_a_folder_from_being_looked_through_is_told_by_the_folder(
    asked: Asked, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.librarian.WATCH_SECONDS", 0.1)
    circle = tmp_path / "models 模型"
    circle.symlink_to(circle)
    catalogue = Catalogue()
    catalogue.add_root(circle)
    catalogue.close()
    asked.librarian.send(Browse(job="b"))
    told = asked.until(lambda event: isinstance(event, Scanned) and event.done)
    assert isinstance(told, Scanned)
    (why,) = told.hindrances
    assert why.where == str(circle)
    assert why.cause.startswith(f"The folder “{circle}” cannot be read: ")
    again = asked.until(lambda event: isinstance(event, Scanned) and bool(event.changed))  # a hash was counted
    assert isinstance(again, Scanned)
    assert again.hindrances == (why,)
    circle.unlink()
    circle.mkdir()
    asked.until(lambda event: isinstance(event, Scanned) and event.done and not event.hindrances)


def test_a_library_that_cannot_be_written_is_told_once_it_is_met_and_goes_on_later(
    asked: Asked, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.librarian.WATCH_SECONDS", 0.1)
    monkeypatch.setattr("engine.library.database.PATIENCE_SECONDS", 0.1)
    Catalogue().close()
    with sqlite3.connect(home / "library.sqlite", isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        asked.librarian.send(Browse(job="b"))
        assert isinstance(asked.over("b"), Done)
        told = asked.until(lambda event: isinstance(event, Scanned) and bool(event.hindrances))
        assert isinstance(told, Scanned)
        assert (told.hindrances[0].where, told.done) == (str(home / "library.sqlite"), True)
        assert "cannot be used now" in told.hindrances[0].cause
        other.execute("ROLLBACK")
    other.close()
    asked.until(lambda event: isinstance(event, Scanned) and event.done and not event.hindrances)
    assert str(SEPIA) in asked.known


def test_a_library_that_cannot_be_opened_is_told_and_lists_what_it_has_once_it_can_be(
    asked: Asked, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.librarian.WATCH_SECONDS", 0.1)
    home.write_text("no folder")
    asked.librarian.send(Browse(job="b"))
    assert isinstance(asked.over("b"), Failed)
    asked.until(lambda event: isinstance(event, Scanned) and bool(event.hindrances))
    home.unlink()
    asked.until(lambda event: isinstance(event, Entries) and str(SEPIA) in asked.known)


def test_what_was_made_of_files_that_are_gone_is_swept_away(asked: Asked, home: Path, tmp_path: Path) -> None:
    def made_of(name: str, file: Path) -> Path:
        put(opened_home() / name, Source(str(file), {}), lambda _: None)
        return opened_home() / name

    there = tmp_path / "there.safetensors"
    there.write_bytes(b"x")
    kept = [
        made_of("a", there),
        made_of("b", tmp_path / "drive" / "away.safetensors"),
        made_of("c", tmp_path / "known.safetensors"),
    ]
    gone = [made_of("d", tmp_path / "gone.safetensors"), made_of("e", tmp_path / "gone.safetensors")]
    half, making = (opened_home() / f"f.{owner}.part" for owner in (99999999, os.getpid()))
    for folder in (half, making):
        folder.mkdir()
    catalogue = Catalogue()
    missing = Entry(path=str(tmp_path / "known.safetensors"), name="known", state="missing", trouble="Plug it in.")
    place = Place(str(tmp_path), str(tmp_path / "drive"), "/")
    catalogue.add_root(tmp_path / "drive")
    catalogue.put([Found(missing, place, Stamp(1, -1, 0, 0, 1))])
    catalogue.close()
    asked.librarian.send(Browse(job="b"))
    asked.scanned()
    asked.until(lambda event: isinstance(event, Scanned) and bool(event.changed))  # what follows a scan is done
    assert [folder.exists() for folder in (*kept, making)] == [True] * 4
    assert [folder.exists() for folder in (*gone, half)] == [False] * 3


def test_a_file_that_goes_takes_what_was_made_of_it_along(
    asked: Asked, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.librarian.WATCH_SECONDS", 0.1)
    file = weights(home / "models" / "a.safetensors")
    put(opened_home() / "a", Source(str(file), {}), lambda _: None)
    asked.librarian.send(Browse(job="b"))
    asked.scanned()
    assert (opened_home() / "a").exists()
    file.unlink()
    asked.until(lambda event: isinstance(event, Scanned) and str(file) in event.gone)
    asked.librarian.stop()
    assert not (opened_home() / "a").exists()


def test_no_hashes_are_counted_while_something_is_drawn(home: Path) -> None:
    told: queue.Queue[Event] = queue.Queue()
    librarian = Librarian(told.put, is_drawing=lambda: True)
    librarian.send(Browse())
    events: list[Event] = []
    while not (events and isinstance(events[-1], Scanned) and events[-1].done):
        events.append(told.get(timeout=60))
    time.sleep(0.2)
    librarian.stop()
    assert told.empty()
    assert not any(entry.sha256 for event in events if isinstance(event, Scanned) for entry in event.changed)
