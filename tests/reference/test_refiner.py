"""Stable Diffusion XL's refiner, as the second expert of an ensemble and by itself, against diffusers' own."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import (
    DPMSolverMultistepScheduler,
    StableDiffusionXLImg2ImgPipeline,
    StableDiffusionXLInpaintPipeline,
    StableDiffusionXLPipeline,
)
from msgspec import structs
from PIL import Image

from engine.errors import BadInput
from engine.expand import expand
from engine.library import index
from engine.pipelines import Pipelines
from engine.settings import GenerateSettings
from tests.drawing import difference, drawn
from tests.reference.conftest import Agree, Cell
from tests.tiny_refiner import write_tiny_refiner
from tests.tiny_xl import write_tiny_xl

LEVELS = {"torch": 0, "openvino": 1}
"""Of 255, as in test_tasks."""


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory, shared_home: Path) -> Path:
    return write_tiny_xl(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def refiner(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_refiner(base, tmp_path_factory.mktemp("refiner"))


@pytest.fixture(scope="module")
def plain(base: Path) -> GenerateSettings:
    return GenerateSettings(
        prompt="a red house", negative_prompt="blue", model=str(base), seed=7, steps=10, guidance_scale=5.0,
        width=96, height=64,
    )  # fmt: skip


def _ready(kind: Any, folder: Path) -> Any:
    pipeline = kind.from_pretrained(folder, local_files_only=True, torch_dtype=torch.float32)
    pipeline.set_progress_bar_config(disable=True)
    pipeline.scheduler = DPMSolverMultistepScheduler.from_config(
        pipeline.scheduler.config, algorithm_type="dpmsolver++", solver_order=2, timestep_spacing="trailing"
    )
    return pipeline


@pytest.mark.parametrize("backend", LEVELS)
def test_two_experts_are_diffusers_own(
    base: Path, refiner: Path, plain: GenerateSettings, backend: str, agree: Agree
) -> None:
    """The two pipelines in a row as diffusers' documentation has them."""
    settings = structs.replace(plain, refiner=str(refiner), refiner_start=0.6)
    ours = drawn(settings, backend)
    shared = {
        "prompt": settings.prompt,
        "negative_prompt": settings.negative_prompt,
        "num_inference_steps": settings.steps,
        "guidance_scale": settings.guidance_scale,
    }
    noise = torch.Generator("cpu").manual_seed(7)
    latents = _ready(StableDiffusionXLPipeline, base)(
        **shared, width=96, height=64, denoising_end=0.6, output_type="latent", generator=noise
    ).images
    theirs = _ready(StableDiffusionXLImg2ImgPipeline, refiner)(**shared, image=latents, denoising_start=0.6).images[0]
    agree(ours, theirs, Cell("sdxl", "text-to-image", "with the refiner", backend, "fp32"))
    assert difference(ours, drawn(plain, backend)) > 8


@pytest.fixture(scope="module")
def from_source(plain: GenerateSettings, refiner: Path, tmp_path_factory: pytest.TempPathFactory) -> GenerateSettings:
    file = tmp_path_factory.mktemp("source") / "source.png"
    Image.fromarray(np.random.default_rng(1).integers(0, 256, (64, 96, 3), np.uint8)).save(file)
    return structs.replace(plain, source=str(file), strength=0.7, refiner=str(refiner), refiner_start=0.6)


def _in_a_row(settings: GenerateSettings, kind: Any, **mask: Image.Image) -> Image.Image:
    """The base model from the source to the refiner's start, and the refiner from there."""
    shared = {
        "prompt": settings.prompt,
        "negative_prompt": settings.negative_prompt,
        "num_inference_steps": settings.steps,
        "guidance_scale": settings.guidance_scale,
        **mask,
    }
    if mask:
        shared |= {"width": 96, "height": 64}
    latents = _ready(kind, Path(settings.model))(
        **shared,
        image=Image.open(settings.source),
        strength=settings.strength,
        denoising_end=settings.refiner_start,
        output_type="latent",
        generator=torch.Generator("cpu").manual_seed(7),
    ).images
    noise = torch.Generator("cpu").manual_seed(7)
    return _ready(kind, Path(settings.refiner))(
        **shared, image=latents, denoising_start=settings.refiner_start, generator=noise
    ).images[0]


@pytest.mark.parametrize("backend", LEVELS)
def test_two_experts_draw_a_source_anew(from_source: GenerateSettings, backend: str, agree: Agree) -> None:
    ours, theirs = drawn(from_source, backend), _in_a_row(from_source, StableDiffusionXLImg2ImgPipeline)
    agree(ours, theirs, Cell("sdxl", "image-to-image", "with the refiner", backend, "fp32"))


def test_two_experts_draw_what_is_masked(from_source: GenerateSettings, tmp_path: Path, agree: Agree) -> None:
    mask = Image.fromarray(np.pad(np.full((32, 40), 255, np.uint8), ((16, 16), (24, 32))))
    mask.save(tmp_path / "mask.png")
    ours = drawn(structs.replace(from_source, mask=str(tmp_path / "mask.png"), mask_feather=0))
    theirs = _in_a_row(from_source, StableDiffusionXLInpaintPipeline, mask_image=mask)
    whole = Image.composite(theirs, Image.open(from_source.source), mask)
    agree(ours, whole, Cell("sdxl", "inpaint", "with the refiner", "torch", "fp32"))


def test_what_may_change_little_is_the_refiners_alone(from_source: GenerateSettings, refiner: Path) -> None:
    both, alone = (
        drawn(structs.replace(from_source, strength=0.3, **changed))
        for changed in ({}, {"model": str(refiner), "refiner": ""})
    )
    assert difference(both, alone) == 0


@pytest.mark.parametrize("backend", LEVELS)
def test_alone_it_draws_a_source_anew(
    refiner: Path, plain: GenerateSettings, backend: str, tmp_path: Path, agree: Agree
) -> None:
    source = Image.fromarray(np.random.default_rng(1).integers(0, 256, (64, 96, 3), np.uint8))
    source.save(tmp_path / "source.png")
    settings = structs.replace(plain, model=str(refiner), source=str(tmp_path / "source.png"), strength=0.5)
    theirs = _ready(StableDiffusionXLImg2ImgPipeline, refiner)(
        prompt=settings.prompt,
        negative_prompt=settings.negative_prompt,
        num_inference_steps=settings.steps,
        guidance_scale=settings.guidance_scale,
        image=source,
        strength=0.5,
        generator=torch.Generator("cpu").manual_seed(7),
    ).images[0]
    agree(drawn(settings, backend), theirs, Cell("sdxl-refiner", "image-to-image", "prompt", backend, "fp32"))


def test_a_prompt_that_changes_does_so_where_it_says(refiner: Path, plain: GenerateSettings) -> None:
    """Half of the steps are the base model's: it reads the first word, the refiner the second."""
    pipelines = Pipelines()
    both = structs.replace(plain, refiner=str(refiner), refiner_start=0.5)
    first, second, changing = (
        drawn(structs.replace(both, prompt=prompt), pipelines=pipelines)
        for prompt in ("a red house", "a blue cat", "[a red house:a blue cat:0.5]")
    )
    assert difference(changing, first) > 0
    assert difference(changing, second) > 0
    late = structs.replace(both, prompt="[a red house:a blue cat:1.0]")
    assert difference(drawn(late, pipelines=pipelines), first) == 0


def test_it_is_stopped_and_told_of(refiner: Path, plain: GenerateSettings) -> None:
    from engine.tasks.draw import draw
    from tests.drawing import prepared

    heard: list[tuple[int, int]] = []
    ready = prepared(structs.replace(plain, refiner=str(refiner)), pipelines=Pipelines())
    draw(ready, lambda step, of, _: heard.append((step, of)))
    assert heard == [(step, 10) for step in range(1, 11)]


def test_what_does_not_fit_is_said(base: Path, refiner: Path, plain: GenerateSettings, tiny_model: Path) -> None:
    with pytest.raises(BadInput, match="draws only from a source"):
        expand(plain, index.find(str(refiner)))
    with pytest.raises(BadInput) as refused:
        index.refiner("tiny", index.find(str(base)))
    assert refused.value.where == "refiner"
    with pytest.raises(BadInput):
        index.refiner(str(refiner), index.find("tiny"))
    assert index.refiner("", index.find("tiny")) is None
