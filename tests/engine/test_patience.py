"""Long waits: told while they last, called off within a second, and nothing broken behind."""

import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import openvino
import psutil
import pytest
import torch
from openvino import opset13

from engine.backends import on_torch
from engine.backends.openvino import compiled, converted, graphs
from engine.backends.openvino.graphs import Graph
from engine.components import Component
from engine.errors import Cancelled
from engine.library import index
from engine.messages import Cancel, CancelledJob, Done, Preparing
from engine.patience import Wait, told_to
from engine.pipelines import components_of
from engine.upscalers.graph import Graph as Enlarger
from tests.conftest import Engine
from tests.drawing import STARTER

PATIENCE = 6.0
"""Seconds within which a cancel is obeyed on a machine with much else to do; by itself it takes a fifth of one."""

Told = list[tuple[str, float]]


def _cancelling(after: float, told: Told) -> Callable[[str, float], None]:
    began = time.monotonic()

    def report(what: str, done: float) -> None:
        told.append((what, done))
        if time.monotonic() - began >= after:
            raise Cancelled

    return report


def test_a_short_wait_is_not_told() -> None:
    told: Told = []
    with told_to(_cancelling(0, told)):
        assert Wait(lambda wait: 7).result("Nothing") == 7
    assert told == []


def test_a_long_wait_is_told_by_the_time_expected() -> None:
    def work(wait: Wait[int]) -> int:
        wait.expected_seconds = 1.0
        time.sleep(1.5)
        return 7

    told: Told = []
    with told_to(_cancelling(9, told)):
        assert Wait(work).result("Working") == 7
    done = [each for _, each in told]
    assert done == sorted(done)
    assert 0.5 < done[0] < 0.9
    assert done[-1] == 0.95


def test_what_fails_is_raised_where_it_is_waited_for() -> None:
    def work(wait: Wait[int]) -> int:
        raise MemoryError

    with pytest.raises(MemoryError):
        Wait(work).result("Working")


@pytest.fixture
def graph(tiny_model: Path) -> Graph:
    parts = [Component("vae", "AutoencoderKL", tiny_model / "vae")]
    return Graph(converted.ensure(parts, "fp32", lambda what, done: None) / "vae_decoder.xml", "fp32")


def test_a_compile_is_called_off_within_a_second_and_serves_the_next(
    graph: Graph, monkeypatch: pytest.MonkeyPatch
) -> None:
    compile_it, begun, gate = graphs._compiled, [], threading.Event()

    def slow(*given: object) -> object:
        begun.append(given)
        gate.wait(20)
        return compile_it(*given)  # pyright: ignore[reportArgumentType]

    monkeypatch.setattr(graphs, "_compiled", slow)
    latents = np.zeros((1, 4, 8, 8), np.float32)
    told: Told = []
    at = time.monotonic()
    with told_to(_cancelling(0, told)), pytest.raises(Cancelled):
        graph(latents=latents)
    assert time.monotonic() - at < PATIENCE
    assert [what for what, _ in told] == ["Compiling the model"]
    gate.set()
    (pixels,) = graph(latents=latents)
    assert pixels.shape == (1, 3, 64, 64)
    assert len(begun) == 1, "the one that was begun is waited for"


def test_loading_on_torch_is_told_and_stops_between_two_weights(tiny_model: Path) -> None:
    told: Told = []
    parts = components_of(index.find("tiny"))
    with pytest.raises(Cancelled):
        on_torch.place(parts, "cpu", "fp32", _cancelling(0, told))
    ((what, done),) = told
    assert what == "Loading the model"
    assert done < 0.9


def test_a_conversion_that_says_nothing_is_called_off_within_a_second(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EASEL_HOME", str(tmp_path / "home"))
    own = Path(shutil.copytree(tiny_model, tmp_path / "own"))
    told: Told = []
    at: list[float] = []

    def report(what: str, done: float) -> None:
        told.append((what, done))
        if len(told) == 4:  # the child imports its libraries; it has said nothing yet
            at.append(time.monotonic())
            raise Cancelled

    with pytest.raises(Cancelled):
        converted.ensure(components_of(index.find(str(own))), "fp32", report)
    assert time.monotonic() - at[0] < PATIENCE
    assert not any("--convert" in " ".join(child.cmdline()) for child in psutil.Process().children())


def test_the_pace_of_a_large_graph_is_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EASEL_HOME", str(tmp_path))
    small, large = tmp_path / "small.xml", tmp_path / "large.xml"
    small.with_suffix(".bin").write_bytes(bytes(1000))
    with large.with_suffix(".bin").open("wb") as file:
        file.truncate(10**9)
    compiled.home().mkdir(parents=True)
    before = compiled.expected_seconds(large, "compile")
    compiled.remember(small, "compile", 100.0)
    assert compiled.expected_seconds(large, "compile") == before
    compiled.remember(large, "compile", 30.0)
    assert compiled.expected_seconds(large, "compile") == pytest.approx(31)
    assert compiled.expected_seconds(large, "read") < 31
    (compiled.home() / "pace.json").write_text("spoiled")
    assert compiled.expected_seconds(large, "compile") == before


def test_the_worker_is_called_off_while_it_compiles_and_draws_on(own_engine: Engine, tmp_path: Path) -> None:
    """The starter at a size of its own, which takes seconds to compile on the machines that run this."""
    large = {"model": STARTER, "backend": "openvino", "width": 704, "height": 640, "steps": 2}
    assert isinstance(own_engine.over(own_engine.ask(tmp_path, model=STARTER, backend="openvino", steps=1))[-1], Done)
    child = own_engine.service._child
    assert child is not None
    job = own_engine.ask(tmp_path, **large)
    events = own_engine.until(
        lambda event: isinstance(event, (Preparing, Done)) and event.job == job and "Loading" not in str(event)
    )
    if isinstance(events[-1], Done):
        pytest.skip("this machine compiles too fast to be called off")
    assert isinstance(events[-1], Preparing)
    assert events[-1].what == "Compiling the model"
    at = time.monotonic()
    own_engine.service.send(Cancel(job=job))
    assert isinstance(own_engine.over(job)[-1], CancelledJob)
    assert time.monotonic() - at < PATIENCE
    assert isinstance(own_engine.over(own_engine.ask(tmp_path, model=STARTER, backend="openvino", steps=1))[-1], Done)
    assert own_engine.service._child is child, "the same worker"


def test_an_upscaler_that_is_being_prepared_is_told_and_called_off() -> None:
    def slow(shape: tuple[int, ...]) -> openvino.Model:
        time.sleep(1.5)
        pixels = opset13.parameter(shape, np.float32)
        return openvino.Model([opset13.relu(pixels)], [pixels])

    enlarger, pixels = Enlarger(slow, "fp32"), torch.rand(1, 3, 8, 8)
    told: Told = []
    with told_to(_cancelling(0, told)), pytest.raises(Cancelled):
        enlarger(pixels)
    assert told[0][0] == "Preparing the upscaler"
    assert torch.equal(enlarger(pixels), pixels)
