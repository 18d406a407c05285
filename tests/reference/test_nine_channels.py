"""Models made for inpainting, without a mask: everything is masked, as a person with diffusers would call them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import DPMSolverMultistepScheduler, StableDiffusionInpaintPipeline, StableDiffusionXLInpaintPipeline
from msgspec import structs
from PIL import Image

from engine.errors import BadInput
from engine.pipelines import Pipelines
from engine.settings import GenerateSettings
from tests.drawing import difference, drawn
from tests.reference.conftest import Agree, Cell
from tests.tiny_model import write_tiny_model
from tests.tiny_refiner import write_tiny_refiner
from tests.tiny_xl import write_tiny_xl

SIZE = (96, 64)
BACKENDS = ("torch", "openvino")
PLAIN = GenerateSettings(
    prompt="a red house", negative_prompt="blue", seed=7, steps=5, guidance_scale=5.0, width=96, height=64
)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory, shared_home: Path) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("nine"), "sd1-inpaint")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("source 图") / "source.png"
    Image.fromarray(np.random.default_rng(1).integers(0, 256, (64, 96, 3), np.uint8)).save(file)
    return file


@pytest.fixture(scope="module")
def kept() -> dict[str, Pipelines]:
    """The loaded model of each backend."""
    return {}


def _theirs(model: Path, source: Image.Image, strength: float, kind: Any = StableDiffusionInpaintPipeline) -> Any:
    """Drawn by diffusers over all of the source."""
    pipeline = kind.from_pretrained(model, local_files_only=True, torch_dtype=torch.float32)
    pipeline.set_progress_bar_config(disable=True)
    pipeline.scheduler = DPMSolverMultistepScheduler.from_config(
        pipeline.scheduler.config, algorithm_type="dpmsolver++", solver_order=2, timestep_spacing="trailing"
    )
    return pipeline(
        prompt=PLAIN.prompt,
        negative_prompt=PLAIN.negative_prompt,
        image=source,
        mask_image=Image.new("L", source.size, 255),
        width=source.width,
        height=source.height,
        strength=strength,
        num_inference_steps=PLAIN.steps,
        guidance_scale=PLAIN.guidance_scale,
        generator=torch.Generator("cpu").manual_seed(7),
    ).images[0]


@pytest.mark.parametrize("backend", BACKENDS)
def test_words_alone_are_drawn_over_an_empty_picture(
    model: Path, backend: str, kept: dict[str, Pipelines], agree: Agree
) -> None:
    ours = drawn(structs.replace(PLAIN, model=str(model)), backend, "fp32", kept.setdefault(backend, Pipelines()))
    cell = Cell("sd1", "text-to-image", "nine channels", backend, "fp32")
    agree(ours, _theirs(model, Image.new("RGB", SIZE), 1.0), cell)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_source_is_drawn_over(
    model: Path, source: Path, backend: str, kept: dict[str, Pipelines], agree: Agree
) -> None:
    settings = structs.replace(PLAIN, model=str(model), source=str(source), strength=0.6)
    ours = drawn(settings, backend, "fp32", kept.setdefault(backend, Pipelines()))
    agree(
        ours, _theirs(model, Image.open(source), 0.6), Cell("sd1", "image-to-image", "nine channels", backend, "fp32")
    )


def test_what_is_enlarged_is_drawn_over(model: Path, source: Path, kept: dict[str, Pipelines]) -> None:
    pipelines = kept.setdefault("torch", Pipelines())
    settings = structs.replace(PLAIN, model=str(model), hires_scale=1.5, hires_strength=0.6)
    small = drawn(structs.replace(settings, hires_scale=1.0), pipelines=pipelines)
    theirs = _theirs(model, small.resize((144, 96), Image.Resampling.LANCZOS), 0.6)
    assert difference(drawn(settings, pipelines=pipelines), theirs) == 0
    asked = structs.replace(PLAIN, model=str(model), source=str(source), strength=0.5)
    upscaled = structs.replace(asked, upscale_factor=2.0, width=192, height=128)
    assert drawn(upscaled, pipelines=pipelines).size == (192, 128)


def test_xl_of_nine_channels_draws_alike(tmp_path: Path, shared_home: Path) -> None:
    model = write_tiny_xl(tmp_path, in_channels=9)
    theirs = _theirs(model, Image.new("RGB", SIZE), 1.0, StableDiffusionXLInpaintPipeline)
    assert difference(drawn(structs.replace(PLAIN, model=str(model))), theirs) == 0


def test_it_begins_for_a_refiner_and_is_none(tmp_path: Path, shared_home: Path) -> None:
    model = write_tiny_xl(tmp_path / "nine", in_channels=9)
    settings = structs.replace(PLAIN, model=str(model), steps=10)
    refiner = write_tiny_refiner(model, tmp_path / "refiner")
    finished = drawn(structs.replace(settings, refiner=str(refiner), refiner_start=0.4))
    assert difference(finished, drawn(settings)) > 8
    with pytest.raises(BadInput, match="made for inpainting"):
        drawn(structs.replace(settings, refiner=str(model)))
