"""T2I-Adapters against diffusers' own pipelines for them, in every task, with LoRAs and ControlNets beside them."""

from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from diffusers import MultiAdapter, T2IAdapter
from msgspec import structs
from PIL import Image

from engine.pipelines import Pipelines
from engine.settings import ControlUse, GenerateSettings
from tests.drawing import difference, drawn, family_of
from tests.reference.conftest import Agree, Cell
from tests.tiny_t2i_adapter import write_tiny_t2i_adapter

SIZE = (128, 64)
PLAIN = GenerateSettings(
    prompt="a red house", negative_prompt="blue", seed=7, steps=5, guidance_scale=5.0, width=128, height=64,
    scheduler="DDIM",
)  # fmt: skip
LEVELS = {"torch": 0, "openvino": 1}
"""Of 255. torch runs the same code on the same numbers; OpenVINO adds up float32 in another order."""


@pytest.fixture(scope="module", params=["sd1", "sdxl"])
def model(request: pytest.FixtureRequest, tiny_model: Path, tiny_xl: Path) -> Path:
    """A tiny model of the family."""
    return tiny_xl if request.param == "sdxl" else tiny_model


@pytest.fixture(scope="module")
def adapters(model: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two, the second one for pictures without colours."""
    folder = tmp_path_factory.mktemp("adapters 适配")
    is_xl = (model / "text_encoder_2").exists()
    channels, kind = ((16, 32, 32, 32), "full_adapter_xl") if is_xl else ((16, 32), "full_adapter")
    return [
        write_tiny_t2i_adapter(folder / f"sketch {place}", channels, kind, seed=place, colours=colours)
        for place, colours in enumerate((3, 1))
    ]


@pytest.fixture(scope="module")
def kept() -> dict[tuple[str, str, Path], Pipelines]:
    """The loaded model of each backend and precision."""
    return {}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("pictures")
    noise = np.random.default_rng(1)
    for place in range(2):
        shapes = noise.integers(0, 256, (8, 16, 3), np.uint8)
        Image.fromarray(shapes).resize(SIZE, Image.Resampling.NEAREST).save(folder / f"{place}.png")
    return [folder / f"{place}.png" for place in range(2)]


def _asked(model: Path, adapters: list[Path], pictures: list[Path], **use: Any) -> GenerateSettings:
    weights = (0.8, 0.5)
    controls = tuple(
        ControlUse(**({"kind": "none", "image": str(picture), "net": str(adapter), "weight": weight} | use))
        for adapter, picture, weight in zip(adapters, pictures, weights, strict=False)
    )
    return structs.replace(PLAIN, model=str(model), controls=controls)


def _theirs(settings: GenerateSettings, **arguments: Any) -> Image.Image:
    is_xl = (Path(settings.model) / "text_encoder_2").exists()
    kind = diffusers.StableDiffusionXLAdapterPipeline if is_xl else diffusers.StableDiffusionAdapterPipeline
    loaded: list[Any] = [T2IAdapter.from_pretrained(each.net, local_files_only=True) for each in settings.controls]
    images = [
        Image.open(each.image).convert("L" if adapter.config.in_channels == 1 else "RGB")
        for each, adapter in zip(settings.controls, loaded, strict=True)
    ]
    weights = [each.weight for each in settings.controls]
    one = len(loaded) == 1
    pipeline: Any = kind.from_pretrained(
        settings.model, local_files_only=True, torch_dtype=torch.float32,
        adapter=loaded[0] if one else MultiAdapter(loaded),
    )  # fmt: skip
    pipeline.set_progress_bar_config(disable=True)
    pipeline.unet.requires_grad_(False)  # with gradients torch adds up small layers in another order
    pipeline.scheduler = diffusers.DDIMScheduler.from_config(pipeline.scheduler.config)
    return pipeline(
        prompt=settings.prompt,
        negative_prompt=settings.negative_prompt,
        num_inference_steps=settings.steps,
        guidance_scale=settings.guidance_scale,
        generator=torch.Generator("cpu").manual_seed(settings.seed or 0),
        width=settings.width,
        height=settings.height,
        image=images[0] if one else images,
        adapter_conditioning_scale=weights[0] if one else weights,
        **arguments,
    ).images[0]


@pytest.mark.parametrize("backend", LEVELS)
@pytest.mark.parametrize("count", [1, 2])
def test_adapters_are_diffusers_own(
    count: int,
    backend: str,
    model: Path,
    adapters: list[Path],
    pictures: list[Path],
    kept: dict[tuple[str, str, Path], Pipelines],
    agree: Agree,
) -> None:
    settings = _asked(model, adapters[:count], pictures)
    pipelines = kept.setdefault((backend, "fp32", model), Pipelines())
    ours = drawn(settings, backend, "fp32", pipelines)
    cell = Cell(family_of(model), "text-to-image", f"T2I-Adapter, {count}", backend, "fp32")
    agree(ours, _theirs(settings), cell)
    plain = drawn(structs.replace(settings, controls=()), backend, "fp32", pipelines)
    assert difference(ours, plain) > 8, "and it changes the picture"


def test_an_adapter_stops_where_it_is_told(model: Path, adapters: list[Path], pictures: list[Path]) -> None:
    """diffusers has this share of the steps for XL alone."""
    settings = _asked(model, adapters[:1], pictures, end=0.6)
    early, whole = drawn(settings), drawn(_asked(model, adapters[:1], pictures))
    assert difference(early, whole) > 0
    if (model / "text_encoder_2").exists():
        assert difference(early, _theirs(settings, adapter_conditioning_factor=0.6)) == 0
