"""Parts or layers of a model that take turns on a device: the same pictures, whatever was drawn before."""

from pathlib import Path

import accelerate
import msgspec
import numpy as np
import pytest
import torch
from PIL import Image

from engine.backends.choice import choose, devices
from engine.library import adapters, index
from engine.memory import Plan
from engine.messages import Draw
from engine.pipelines import Pipelines
from engine.settings import ControlUse, GenerateSettings, ImagePrompt
from engine.tasks.draw import draw, prepare
from tests.tiny_ip_adapter import write_tiny_image_encoder, write_tiny_ip_adapter
from tests.tiny_sd3 import write_tiny_sd3
from tests.tiny_transformer_nets import write_tiny_transformer_net

SOME = GenerateSettings(model="tiny", prompt="a red house", seed=3, steps=2, width=96, height=64, scheduler="DDIM")


@pytest.fixture(autouse=True)
def _one_name_for_a_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """The processor stands in for a card where there is none; but accelerate's “cpu:0” is not “cpu” to torch."""
    plain = accelerate.cpu_offload
    if not torch.cuda.is_available():
        monkeypatch.setattr("accelerate.cpu_offload", lambda model, _, **how: plain(model, torch.device("cpu"), **how))


@pytest.fixture
def asked(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[GenerateSettings]:
    """A picture from its prompt, one with an image prompt, one drawn again in windows, and the first again."""
    write_tiny_image_encoder(tmp_path / "ip_adapter" / "encoder")
    adapter = write_tiny_ip_adapter(tiny_model, tmp_path / "ip_adapter" / "plain.safetensors")
    monkeypatch.setattr("engine.paths.adapters", lambda kind: (tmp_path / kind, tmp_path / "none"))
    picture = tmp_path / "picture.png"
    Image.fromarray(np.random.default_rng(1).integers(0, 256, (64, 96, 3), np.uint8)).save(picture)
    changes = (
        {},
        {"image_prompts": (ImagePrompt(image=str(picture), adapter=str(adapter)),)},
        {"source": str(picture), "upscale_factor": 2.0, "strength": 0.9},
        {},
    )
    return [msgspec.structs.replace(SOME, **change) for change in changes]


@pytest.mark.parametrize("offload", ["model", "sequential"])
def test_what_takes_turns_draws_the_same(asked: list[GenerateSettings], offload: str) -> None:
    _check_turns(asked, offload)


def test_a_net_that_takes_weights_of_its_model_as_it_is_loaded(shared_home: Path, tmp_path: Path) -> None:
    """Twice: the second time the model's layers have taken turns."""
    model = write_tiny_sd3(tmp_path / "sd3", with_t5=False)
    net = write_tiny_transformer_net(model, tmp_path / "net", "sd3 large")
    picture = tmp_path / "picture.png"
    Image.new("RGB", (96, 64), "white").save(picture)
    use = ControlUse(kind="none", image=str(picture), net=str(net))
    settings = msgspec.structs.replace(SOME, model=str(model), steps=1, scheduler="Euler", controls=(use,))
    _check_turns([settings, settings], "sequential")


def _check_turns(asked: list[GenerateSettings], offload: str) -> None:
    device = choose(devices(), "cuda" if torch.cuda.is_available() else "torch", "fp32")
    turns = msgspec.structs.replace(device, offload=offload)
    pipelines = {plan: Pipelines() for plan in (Plan(device), Plan(turns))}
    for settings in asked:
        card = index.find(settings.model)
        order = Draw(settings=settings, model=card, adapters=adapters.needed(settings, card), part="")
        one, other = (
            draw(prepare(each, order, plan, lambda *_: None), lambda *_: None).image for plan, each in pipelines.items()
        )
        assert one.tobytes() == other.tobytes(), settings
