"""Our pictures against those of the plain diffusers pipeline, which nobody here wrote."""

import math
from pathlib import Path

import diffusers
import numpy as np
import pytest
import torch
from diffusers import StableDiffusionPipeline
from msgspec import structs
from PIL import Image

from engine.pipelines import Pipelines
from engine.schedulers import SCHEDULERS
from engine.settings import GenerateSettings
from engine.tasks.draw import draw
from tests.drawing import difference, drawn, prepared

SOME = GenerateSettings(
    model="tiny",
    prompt="a red house 猫",
    negative_prompt="blue",
    seed=11,
    steps=6,
    width=96,
    height=64,
    guidance_scale=5.0,
)


def _theirs(folder: Path, settings: GenerateSettings) -> Image.Image:
    pipeline = StableDiffusionPipeline.from_pretrained(folder, local_files_only=True, torch_dtype=torch.float32)
    chosen = SCHEDULERS[settings.scheduler]
    kind = getattr(diffusers, chosen.diffusers_class)
    pipeline.scheduler = kind.from_config(pipeline.scheduler.config, **chosen.options)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline(
        settings.prompt,
        negative_prompt=settings.negative_prompt,
        num_inference_steps=settings.steps,
        guidance_scale=settings.guidance_scale,
        width=settings.width,
        height=settings.height,
        generator=torch.Generator("cpu").manual_seed(settings.seed or 0),
    ).images[0]


def psnr(one: Image.Image, other: Image.Image) -> float:
    """Peak signal to noise ratio in dB of two 8-bit pictures."""
    error = np.square(np.asarray(one, np.float64) - np.asarray(other, np.float64)).mean()
    return math.inf if error == 0 else 10 * math.log10(255**2 / error)


@pytest.fixture(scope="module")
def pipelines() -> Pipelines:
    return Pipelines()


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_torch_is_the_plain_pipeline_bit_for_bit(tiny_model: Path, pipelines: Pipelines, scheduler: str) -> None:
    settings = structs.replace(SOME, scheduler=scheduler)
    ours = drawn(settings, pipelines=pipelines)
    assert ours.tobytes() == _theirs(tiny_model, settings).tobytes()


@pytest.mark.parametrize("scheduler", ["DPM++ 2M trailing", "Euler a", "PNDM"])
def test_openvino_fp32_is_torch_within_one_level(tiny_model: Path, scheduler: str) -> None:
    """One of 255 levels: float32 sums in another order differ in the sixth digit, which can turn a rounding."""
    settings = structs.replace(SOME, scheduler=scheduler)
    ours = drawn(settings, "openvino")
    assert difference(ours, _theirs(tiny_model, settings)) <= 1


def test_tiles_on_openvino_are_tiles_on_torch(tiny_model: Path) -> None:
    """diffusers' own tiling runs around our graph; the same tolerance."""
    made = []
    for backend in ("openvino", "torch"):
        ready = prepared(structs.replace(SOME, steps=1, width=128, height=96, scheduler="DDIM"), backend)
        ready.pipeline.vae.enable_tiling()
        made.append(draw(ready, lambda *_: None).image)
    assert difference(*made) <= 1
