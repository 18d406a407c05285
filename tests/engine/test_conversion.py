"""Converting a model for OpenVINO: once, whole or not at all, and gone with the one who asked."""

import shutil
import threading
import time
from pathlib import Path
from typing import Any

import openvino as library
import psutil
import pytest
import torch

from engine.backends import on_torch, openvino
from engine.backends.openvino import converted
from engine.components import Delta, load
from engine.errors import Cancelled, EaselError
from engine.library import index
from engine.paths import cache
from engine.patience import Report
from engine.pipelines import components_of


@pytest.fixture
def fresh(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model of which nothing is converted yet, in a home of its own."""
    monkeypatch.setenv("EASEL_HOME", str(tmp_path / "home"))
    return Path(shutil.copytree(tiny_model, tmp_path / "model 模型"))


def test_a_model_is_converted_once(fresh: Path) -> None:
    components = components_of(index.find(str(fresh)))
    told: list[float] = []
    folder = converted.ensure(components, "fp32", lambda what, done: told.append(done))
    assert sorted(path.name for path in folder.glob("*.xml")) == [
        "text_encoder.xml",
        "unet.xml",
        "vae_decoder.xml",
        "vae_encoder.xml",
    ]
    assert told == sorted(told)
    assert told[-1] == 1.0
    told.clear()
    assert converted.ensure(components, "bf16", lambda what, done: told.append(done)) == folder
    assert told == []


def test_a_model_that_changed_is_another(fresh: Path) -> None:
    components = components_of(index.find(str(fresh)))
    before = converted.fingerprint(components)
    weights = fresh / "unet" / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes())
    assert converted.fingerprint(components) != before


def test_a_cancel_ends_the_process_and_leaves_no_half_graph(fresh: Path) -> None:
    components = components_of(index.find(str(fresh)))

    def cancel(what: str, done: float) -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        converted.ensure(components, "fp32", cancel)
    deadline = time.monotonic() + 10
    while any("--convert" in " ".join(child.cmdline()) for child in psutil.Process().children()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert not converted.ensure(components, "fp32", lambda what, done: None).name.endswith(".part")
    assert list(cache("converted").glob("*.part")) == []


def test_weights_that_do_not_fit_are_told_in_one_sentence(fresh: Path) -> None:
    config = fresh / "unet" / "config.json"
    config.write_text(config.read_text().replace('"layers_per_block": 1', '"layers_per_block": 2'))
    with pytest.raises(EaselError, match="weights of the model's unet do not fit") as refused:
        converted.ensure(components_of(index.find(str(fresh))), "fp32", lambda what, done: None)
    assert "could not be converted" in refused.value.cause
    assert [each for each in cache("converted").iterdir() if each.suffix != ".lock"] == []


def test_too_little_room_on_the_disk_is_told_before_anything_is_made(
    fresh: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    components = components_of(index.find(str(fresh)))
    full = shutil.disk_usage(fresh)._replace(free=10**8)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: full)
    with pytest.raises(EaselError, match=r"up to 0\.3 GB on the disk, and 0\.1 GB is free") as told:
        converted.ensure(components, "fp32", lambda what, done: None)
    assert "Free some space" in told.value.advice
    assert [each for each in cache("converted").iterdir() if each.suffix != ".lock"] == []


def test_a_disk_that_became_full_meanwhile_is_told(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The child ends with whatever its libraries make of it, here with another error."""
    config = fresh / "unet" / "config.json"
    config.write_text(config.read_text().replace('"layers_per_block": 1', '"layers_per_block": 2'))
    components = components_of(index.find(str(fresh)))
    usage = shutil.disk_usage(fresh)
    found = iter((usage._replace(free=10**12), usage._replace(free=0)))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: next(found))
    with pytest.raises(EaselError, match="disk became full"):
        converted.ensure(components, "fp32", lambda what, done: None)


def test_two_at_once_make_the_graphs_once(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    components = components_of(index.find(str(fresh)))
    runs: list[str] = []

    def slow(conversion: converted.Conversion, report: Report) -> None:
        runs.append(conversion.target)
        time.sleep(1.0)
        Path(conversion.target).mkdir()

    monkeypatch.setattr(converted, "_run", slow)
    said: list[str] = []
    other = threading.Thread(target=converted.ensure, args=(components, "fp32", lambda what, done: None))
    other.start()
    while not runs:
        time.sleep(0.01)
    converted.ensure(components, "fp32", lambda what, done: said.append(what))
    other.join()
    assert len(runs) == 1
    assert any("another window" in each for each in said)


@pytest.mark.parametrize(("taken", "since", "least", "most"), [(0, 9, 0, 0), (10, 5, 0.74, 0.76), (10, 999, 0.9, 0.99)])
def test_progress_goes_on_between_two_words(taken: float, since: float, least: float, most: float) -> None:
    assert least <= converted._foreseen(0.5 if taken else 0.0, taken, since) <= most


@torch.no_grad()
def test_int8_of_the_weights_alone(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nearer to float32 than with the activations, on its own beside them, and a LoRA's change arrives."""
    monkeypatch.setenv(converted.INT8, "weights")
    component = next(each for each in components_of(index.find(str(fresh))) if each.part == "unet")
    shell = openvino.place([component], "int8", lambda what, done: None)["unet"]
    assert [path.name.partition("-")[2] for path in cache("converted").iterdir() if path.is_dir()] == ["int8-weights"]
    module: Any = load(component)
    graph = library.Core().read_model(next(cache("converted").glob("*/unet.xml")))
    kinds = [node.get_type_name() for node in graph.get_ops()]
    assert "FakeQuantize" not in kinds
    whole = {str(node.get_element_type()) for node in graph.get_ops() if node.get_friendly_name().endswith(".weight")}
    assert "<Type: 'int8_t'>" in whole
    torch.manual_seed(7)
    seen = {"sample": torch.randn(1, 4, 8, 8), "encoder_hidden_states": torch.randn(1, 77, 768), "timestep": 500.0}

    def apart() -> float:
        return float((shell(**seen).sample - module(**seen).sample).square().mean().sqrt())

    before = module(**seen).sample
    assert apart() < 0.03 * float(before.square().mean().sqrt())
    path = "mid_block.attentions.0.transformer_blocks.0.ff.net.2"
    change = torch.randn(module.get_parameter(f"{path}.weight").shape) * 0.5
    deltas = [Delta("unet", path, lambda weight: weight + change)]
    openvino.merge(shell, component, deltas)
    on_torch.merge(module, component, deltas)
    assert float((module(**seen).sample - before).square().mean().sqrt()) > 4 * apart()
