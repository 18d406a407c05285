"""A model whose configuration makes no sense is told by the file that says it."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.components import Component, load, scheduler, tokenizer
from engine.errors import BadInput
from engine.schedulers import SCHEDULERS

CLASSES = {"unet": "UNet2DConditionModel", "vae": "AutoencoderKL", "text_encoder": "CLIPTextModel"}


@pytest.fixture
def model(tiny_model: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_model, tmp_path / "my model 模型"))


def _change(path: Path, **values: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


@pytest.mark.parametrize(
    ("part", "values"),
    [
        ("unet", {"attention_head_dim": 0}),
        ("unet", {"down_block_types": ["Nothing"]}),
        ("unet", {"act_fn": "none"}),
        ("unet", {"block_out_channels": [16, "x"]}),
        ("unet", {"layers_per_block": 100_000_000}),
        ("vae", {"scaling_factor": "x"}),
        ("text_encoder", {"hidden_size": "a"}),
    ],
)
def test_of_a_part(model: Path, part: str, values: dict[str, object]) -> None:
    _change(model / part / "config.json", **values)
    with pytest.raises(BadInput, match=rf"{part}/config\.json"):
        load(Component(part, CLASSES[part], model / part))


@pytest.mark.parametrize("values", [{"beta_schedule": "none"}, {"num_train_timesteps": "x"}])
def test_of_the_scheduler(model: Path, values: dict[str, object]) -> None:
    _change(model / "scheduler" / "scheduler_config.json", **values)
    with pytest.raises(BadInput, match=r"scheduler/scheduler_config\.json"):
        scheduler(model / "scheduler", SCHEDULERS["Euler"])


@pytest.mark.parametrize(
    ("name", "spoil"),
    [
        ("vocab.json", lambda _: "{}"),
        ("vocab.json", lambda _: "no words"),
        ("vocab.json", lambda text: text.replace("1", '"one"', 1)),
        ("merges.txt", lambda text: f"{text}\nfoo bar\n"),
    ],
)
def test_of_the_tokenizer(model: Path, name: str, spoil: Callable[[str], str]) -> None:
    file = model / "tokenizer" / name
    file.write_text(spoil(file.read_text(encoding="utf-8")), encoding="utf-8")
    with pytest.raises(BadInput, match=rf"tokenizer/{name}"):
        tokenizer(model / "tokenizer")
