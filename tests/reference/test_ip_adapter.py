"""IP-Adapters, plain and plus, one and several, against diffusers' own `load_ip_adapter`."""

from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from msgspec import structs
from PIL import Image
from transformers import CLIPImageProcessorPil, CLIPVisionModelWithProjection

from engine.pipelines import Pipelines
from engine.settings import GenerateSettings, ImagePrompt
from tests.drawing import difference, drawn, family_of
from tests.reference.conftest import Agree, Cell
from tests.tiny_ip_adapter import write_tiny_image_encoder, write_tiny_ip_adapter

PLAIN = GenerateSettings(
    prompt="a red house", negative_prompt="blue", seed=7, steps=4, guidance_scale=5.0, width=96, height=64,
    scheduler="DDIM",
)  # fmt: skip
LEVELS = {"torch": 0, "openvino": 1}
"""Of 255. torch runs the same code on the same numbers; OpenVINO adds up float32 in another order."""
FILES = {"one": ("plain",), "plus": ("plus",), "two": ("plain", "plus")}
WEIGHTS = (0.8, 0.6)


@pytest.fixture(scope="module", params=["sd1", "sdxl"])
def model(request: pytest.FixtureRequest, tiny_model: Path, tiny_xl: Path) -> Path:
    """A tiny model of the family."""
    return tiny_xl if request.param == "sdxl" else tiny_model


@pytest.fixture(scope="module")
def folder(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where adapters lie: two of them, and their encoder."""
    root = tmp_path_factory.mktemp("adapters 图")
    write_tiny_image_encoder(root / "ip_adapter" / "image encoder")
    write_tiny_ip_adapter(model, root / "ip_adapter" / "plain.safetensors")
    write_tiny_ip_adapter(model, root / "ip_adapter" / "plus.safetensors", plus=True, seed=8)
    return root


@pytest.fixture(autouse=True)
def _installed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.paths.adapters", lambda kind: (folder / kind, folder / "none"))


@pytest.fixture(scope="module")
def kept() -> dict[tuple[str, str, Path], Pipelines]:
    """The loaded model of each backend and precision."""
    return {}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    root, noise = tmp_path_factory.mktemp("pictures"), np.random.default_rng(1)
    for place in range(2):
        Image.fromarray(noise.integers(0, 256, (40, 56, 3), np.uint8)).save(root / f"{place}.png")
    return [root / f"{place}.png" for place in range(2)]


def _asked(model: Path, names: tuple[str, ...], pictures: list[Path], **more: Any) -> GenerateSettings:
    prompts = tuple(
        ImagePrompt(image=str(picture), adapter=name, weight=weight)
        for name, picture, weight in zip(names, pictures, WEIGHTS, strict=False)
    )
    return structs.replace(PLAIN, model=str(model), image_prompts=prompts, **more)


def _theirs(settings: GenerateSettings, folder: Path, **arguments: Any) -> Image.Image:
    xl = "XL" if (Path(settings.model) / "text_encoder_2").exists() else ""
    task = "Img2Img" if "image" in arguments else ""
    kind = getattr(diffusers, f"StableDiffusion{xl}{task}Pipeline")
    encoder: Any = CLIPVisionModelWithProjection.from_pretrained(
        folder / "ip_adapter" / "image encoder", local_files_only=True
    )
    size = {"height": 32, "width": 32}
    pipeline: Any = kind.from_pretrained(
        settings.model, local_files_only=True, torch_dtype=torch.float32, image_encoder=encoder.requires_grad_(False),
        feature_extractor=CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size=size),
    )  # fmt: skip
    pipeline.set_progress_bar_config(disable=True)
    pipeline.unet.requires_grad_(False)  # with gradients torch adds up small layers in another order
    pipeline.scheduler = diffusers.DDIMScheduler.from_config(pipeline.scheduler.config)
    names = [f"{each.adapter}.safetensors" for each in settings.image_prompts]
    pipeline.load_ip_adapter(str(folder), subfolder="ip_adapter", weight_name=names, local_files_only=True)
    pipeline.set_ip_adapter_scale([each.weight for each in settings.image_prompts])
    size = {} if task else {"width": settings.width, "height": settings.height}
    return pipeline(
        prompt=settings.prompt,
        negative_prompt=settings.negative_prompt,
        num_inference_steps=settings.steps,
        guidance_scale=settings.guidance_scale,
        generator=torch.Generator("cpu").manual_seed(settings.seed or 0),
        ip_adapter_image=[Image.open(each.image) for each in settings.image_prompts],
        **size,
        **arguments,
    ).images[0]


@pytest.mark.parametrize("backend", LEVELS)
@pytest.mark.parametrize("names", FILES)
def test_an_image_prompt_is_diffusers_own(
    names: str,
    backend: str,
    model: Path,
    folder: Path,
    pictures: list[Path],
    kept: dict[tuple[str, str, Path], Pipelines],
    agree: Agree,
) -> None:
    settings = _asked(model, FILES[names], pictures)
    pipelines = kept.setdefault((backend, "fp32", model), Pipelines())
    ours = drawn(settings, backend, "fp32", pipelines)
    cell = Cell(family_of(model), "text-to-image", f"image prompt, {names}", backend, "fp32")
    agree(ours, _theirs(settings, folder), cell)
    assert difference(ours, drawn(structs.replace(settings, image_prompts=()), backend, "fp32", pipelines)) > 8


@pytest.mark.parametrize("backend", LEVELS)
def test_it_is_gone_when_it_is_not_asked_for(
    backend: str, model: Path, pictures: list[Path], kept: dict[tuple[str, str, Path], Pipelines]
) -> None:
    pipelines = kept.setdefault((backend, "fp32", model), Pipelines())
    drawn(_asked(model, ("plain",), pictures), backend, "fp32", pipelines)
    plain = structs.replace(PLAIN, model=str(model))
    assert drawn(plain, backend, "fp32", pipelines).tobytes() == drawn(plain, backend, "fp32").tobytes()
