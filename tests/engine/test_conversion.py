"""Converting a model for OpenVINO: once, whole or not at all, and gone with the one who asked."""

import shutil
import time
from pathlib import Path

import psutil
import pytest

from engine.backends.openvino import converted
from engine.errors import Cancelled, EaselError
from engine.library import index
from engine.paths import cache
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
    assert list(cache("converted").iterdir()) == []
