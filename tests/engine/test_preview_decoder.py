"""The tiny decoder beside a model: the same as diffusers' own, and refused in words where it cannot be trusted."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import AutoencoderTiny
from PIL import Image
from safetensors.torch import load_file, save_file

from engine.backends.choice import choose, devices
from engine.errors import BadInput
from engine.library import index
from engine.messages import Done, Picture, Progress, Started
from engine.pipelines import Pipelines
from engine.preview_decoder import load_preview_decoder
from engine.settings import GenerateSettings
from engine.tasks.preview import decoded
from tests.conftest import Engine
from tests.drawing import foreseen
from tests.tiny_model import write_tiny_preview

WEIGHTS = "diffusion_pytorch_model.safetensors"
NOTE = "The model's preview decoder cannot be used; previews come from the full one."


BFLOAT16_LEVELS = 4
"""Of 255: previews may be decoded in bfloat16, which keeps eight bits; 1 was measured with random weights."""


@pytest.fixture
def model(tiny_model: Path, tmp_path: Path) -> Path:
    """A copy of the tiny model, without a preview decoder."""
    return Path(shutil.copytree(tiny_model, tmp_path / "model 模型"))


def _reference(folder: Path) -> AutoencoderTiny:
    return AutoencoderTiny.from_pretrained(folder, local_files_only=True, torch_dtype=torch.float32)


def _pixels(decoder: AutoencoderTiny, latents: torch.Tensor) -> np.ndarray:
    """As a person with plain diffusers would: the pipeline's latents in, -1 to 1 out."""
    with torch.no_grad():
        seen = decoder.decode(latents.float()).sample[0].permute(1, 2, 0)
    return (seen / 2 + 0.5).clamp(0, 1).mul(255).round().to(torch.uint8).numpy()


def _drawn(
    pipelines: Pipelines, model: Path, backend: str, precision: str = "fp32", **settings: object
) -> list[torch.Tensor]:
    """The foreseen latents of each step."""
    values = {"prompt": "a red house", "seed": 1, "steps": 4, "width": 64, "height": 64, "model": str(model)} | settings
    return foreseen(GenerateSettings(**values), backend, precision, pipelines)  # pyright: ignore[reportArgumentType]


def _changed(**values: object) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        config = json.loads((folder / "config.json").read_text("utf-8"))
        (folder / "config.json").write_text(json.dumps(config | values), "utf-8")

    return change


def _cut(folder: Path) -> None:
    whole = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(whole[: len(whole) // 2])


def _longer(folder: Path) -> None:
    with (folder / WEIGHTS).open("ab") as file:
        file.write(bytes(16))


def _not_a_number(folder: Path) -> None:
    state = load_file(folder / WEIGHTS)
    state["decoder.layers.0.weight"][0] = torch.nan
    save_file(state, folder / WEIGHTS)


def _too_much(folder: Path) -> None:
    save_file({"decoder.layers.0.weight": torch.zeros(65 * 2**20, dtype=torch.uint8)}, folder / WEIGHTS)


BROKEN = {
    "no config": lambda folder: (folder / "config.json").unlink(),
    "no weights": lambda folder: (folder / WEIGHTS).unlink(),
    "config that is no JSON": lambda folder: (folder / "config.json").write_text("{"),
    "another class": _changed(_class_name="AutoencoderKL"),
    "no class": _changed(_class_name=None),
    "a million blocks": _changed(num_decoder_blocks=[10**6] * 4),
    "a million channels": _changed(decoder_block_out_channels=[10**6] * 4),
    "one list shorter": _changed(decoder_block_out_channels=[8] * 3),
    "words for numbers": _changed(latent_channels="4"),
    "an unknown activation": _changed(act_fn="__import__"),
    "a scale of none": _changed(scaling_factor=float("nan")),
    "other widths than the weights": _changed(decoder_block_out_channels=[16] * 4),
    "weights cut off": _cut,
    "weights with a tail": _longer,
    "weights that are no numbers": _not_a_number,
    "weights far too large": _too_much,
}


@pytest.mark.parametrize(
    "settings", [{}, {"act_fn": "silu", "upsample_fn": "bilinear"}, {"num_decoder_blocks": (2, 0, 1, 3)}]
)
def test_it_decodes_as_diffusers_does_bit_for_bit(model: Path, settings: dict[str, object]) -> None:
    folder = write_tiny_preview(model, **settings)
    latents = torch.randn(1, 4, 9, 7, generator=torch.Generator().manual_seed(2))
    ours = load_preview_decoder(folder, 4, 8)
    assert ours.dtype == torch.float32
    with torch.no_grad():
        assert torch.equal(ours.decode(latents).sample, _reference(folder).decode(latents).sample)


@pytest.mark.parametrize("harm", BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_one_is_refused_with_its_reason(model: Path, harm: Callable[[Path], None]) -> None:
    folder = write_tiny_preview(model)
    harm(folder)
    with pytest.raises(BadInput) as refused:
        load_preview_decoder(folder, 4, 8)
    assert refused.value.advice


@pytest.mark.parametrize(("channels", "pixels", "why"), [(16, 8, "reads 4 channels"), (4, 16, "another size")])
def test_one_for_other_latents_is_refused(model: Path, channels: int, pixels: int, why: str) -> None:
    with pytest.raises(BadInput, match=why):
        load_preview_decoder(write_tiny_preview(model), channels, pixels)


def test_tiles_fit_together_at_every_scale(model: Path) -> None:
    """diffusers' tiling on its own takes 8 pixels a latent for granted."""
    levels = dict.fromkeys(("encoder_block_out_channels", "decoder_block_out_channels"), (8,) * 3)
    counts = dict.fromkeys(("num_encoder_blocks", "num_decoder_blocks"), (1,) * 3)
    decoder = load_preview_decoder(write_tiny_preview(model, **levels, **counts), 4, 4)
    latents = torch.randn(1, 4, 150, 140, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        whole = decoder.decode(latents).sample
        decoder.enable_tiling()
        tiled = decoder.decode(latents).sample
    assert tiled.shape == whole.shape == (1, 3, 600, 560)
    assert (tiled - whole).abs().mean() < 0.02 * whole.std()


@pytest.mark.parametrize(("backend", "precision"), [("torch", "fp32"), ("torch", "bf16"), ("openvino", "fp32")])
def test_previews_come_from_it_and_the_picture_from_the_vae(model: Path, backend: str, precision: str) -> None:
    pipelines = Pipelines()
    _drawn(pipelines, model, backend, precision)
    vae = pipelines.vae
    assert pipelines.preview_decoder is vae
    assert pipelines.notes == ()
    folder = write_tiny_preview(model)
    seen = _drawn(pipelines, model, backend, precision)
    assert isinstance(pipelines.preview_decoder, AutoencoderTiny)
    assert type(pipelines.vae) is type(vae)
    assert pipelines.notes == ()
    for latents in seen:
        pipeline = pipelines.pipeline("text-to-image", "DDIM", None)
        ours = np.asarray(decoded(pipeline, pipelines.preview_decoder, latents))
        difference = np.abs(ours.astype(np.int16) - _pixels(_reference(folder), latents))
        assert difference.max() <= BFLOAT16_LEVELS


def test_without_one_previews_come_from_the_vae_as_diffusers_decodes(model: Path) -> None:
    pipelines = Pipelines()
    latents = _drawn(pipelines, model, "torch")[-1]
    pipeline = pipelines.pipeline("text-to-image", "DDIM", None)
    with torch.no_grad():
        pixels = pipeline.vae.decode(latents / pipeline.vae.config.scaling_factor).sample
    theirs = pipeline.image_processor.postprocess(pixels)[0]
    assert decoded(pipeline, pipelines.preview_decoder, latents).tobytes() == theirs.tobytes()


def test_a_changed_one_is_loaded_again(model: Path) -> None:
    folder = write_tiny_preview(model)
    card, device = index.find(str(model)), choose(devices(), "torch", "fp32")
    pipelines = Pipelines()
    pipelines.load(card, device, lambda what, done: None)
    assert pipelines.holds(card, device)
    _cut(folder)
    assert not pipelines.holds(card, device)
    pipelines.load(card, device, lambda what, done: None)
    assert pipelines.notes == (NOTE,)
    assert pipelines.preview_decoder is pipelines.vae
    shutil.rmtree(folder)
    assert not pipelines.holds(card, device)
    pipelines.let_go()
    assert pipelines.notes == ()


def test_the_worker_shows_every_picture_to_be_by_it(engine: Engine, model: Path, tmp_path: Path) -> None:
    folder = write_tiny_preview(model)
    events = engine.over(engine.ask(tmp_path / "pictures", model=str(model), steps=6, width=64, height=64))
    assert isinstance(events[-1], Done)
    foreseen = _drawn(Pipelines(), model, "torch", steps=6)
    shown = {event.step: event.preview for event in events if isinstance(event, Progress) and event.preview}
    assert shown
    for step, path in shown.items():
        with Image.open(path) as preview:
            difference = np.asarray(preview, np.int16) - _pixels(_reference(folder), foreseen[step - 1])
        assert np.abs(difference).max() <= BFLOAT16_LEVELS


def test_the_picture_is_the_same_with_it_without_it_and_with_a_broken_one(
    engine: Engine, model: Path, tmp_path: Path
) -> None:
    """And the broken one is spoken of once, not with every picture."""
    made, notes = [], []

    def draw() -> None:
        events = engine.over(engine.ask(tmp_path / "pictures", model=str(model), steps=4, count=2))
        assert isinstance(events[-1], Done)
        notes.append([event.notes for event in events if isinstance(event, Started)])
        for event in events:
            if isinstance(event, Picture):
                with Image.open(event.path) as image:
                    made.append(image.tobytes())
        assert any(isinstance(event, Progress) and event.preview for event in events)

    draw()
    folder = write_tiny_preview(model)
    draw()
    _cut(folder)
    draw()
    draw()
    assert made == made[:2] * 4
    assert notes == [[(), ()], [(), ()], [(NOTE,), ()], [(), ()]]
