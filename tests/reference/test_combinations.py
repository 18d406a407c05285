"""An image prompt together with a ControlNet, perturbed attention and regions, against diffusers where it has them."""

from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from diffusers import ControlNetModel
from msgspec import structs
from PIL import Image
from transformers import CLIPImageProcessorPil, CLIPVisionModelWithProjection

from engine.pipelines import Pipelines
from engine.settings import ControlUse, GenerateSettings, ImagePrompt
from engine.uses import RegionUse
from tests.drawing import difference, drawn, family_of
from tests.reference.conftest import Agree, Cell
from tests.tiny_controlnet import write_tiny_controlnet
from tests.tiny_ip_adapter import write_tiny_image_encoder, write_tiny_ip_adapter

PLAIN = GenerateSettings(
    prompt="a red house", negative_prompt="blue", seed=7, steps=3, guidance_scale=5.0, width=96, height=64,
    scheduler="DDIM",
)  # fmt: skip


@pytest.fixture(scope="module", params=["sd1 torch", "xl torch", "sd1 openvino"])
def case(request: pytest.FixtureRequest, tiny_model: Path, tiny_xl: Path) -> tuple[Path, str, Pipelines]:
    family, backend = request.param.split()
    return tiny_xl if family == "xl" else tiny_model, backend, Pipelines()


@pytest.fixture(scope="module")
def asked(case: tuple[Path, str, Pipelines], tmp_path_factory: pytest.TempPathFactory) -> GenerateSettings:
    """A picture with an image prompt and a ControlNet."""
    model, folder = case[0], tmp_path_factory.mktemp("together 图")
    write_tiny_image_encoder(folder / "ip_adapter" / "encoder")
    write_tiny_ip_adapter(model, folder / "ip_adapter" / "plain.safetensors")
    write_tiny_controlnet(model, folder / "net")
    picture, mask = folder / "picture.png", folder / "mask.png"
    noise = np.random.default_rng(1).integers(0, 256, (8, 12, 3), np.uint8)
    Image.fromarray(noise).resize((96, 64), Image.Resampling.NEAREST).save(picture)
    Image.new("L", (96, 64), 255).save(mask)
    return structs.replace(
        PLAIN,
        model=str(model),
        image_prompts=(ImagePrompt(image=str(picture), adapter="plain", weight=0.8),),
        controls=(ControlUse(kind="none", image=str(picture), net=str(folder / "net"), weight=0.8),),
    )


@pytest.fixture(autouse=True)
def _installed(asked: GenerateSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = _folder(asked)
    monkeypatch.setattr("engine.paths.adapters", lambda kind: (folder / kind, folder / "none"))


def _folder(asked: GenerateSettings) -> Path:
    return Path(asked.image_prompts[0].image).parent


def _theirs(asked: GenerateSettings) -> Image.Image:
    folder, family = _folder(asked), "StableDiffusion"
    family += "XL" if (Path(asked.model) / "text_encoder_2").exists() else ""
    encoder: Any = CLIPVisionModelWithProjection.from_pretrained(folder / "ip_adapter/encoder", local_files_only=True)
    net: Any = ControlNetModel.from_pretrained(folder / "net", local_files_only=True)
    pipeline: Any = getattr(diffusers, f"{family}ControlNetPAGPipeline").from_pretrained(
        asked.model, local_files_only=True, torch_dtype=torch.float32, pag_applied_layers=["mid"],
        controlnet=net.requires_grad_(False), image_encoder=encoder.requires_grad_(False),
        feature_extractor=CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}),
    )  # fmt: skip
    pipeline.set_progress_bar_config(disable=True)
    pipeline.unet.requires_grad_(False)  # with gradients torch adds up small layers in another order
    pipeline.scheduler = diffusers.DDIMScheduler.from_config(pipeline.scheduler.config)
    name = "plain.safetensors"
    pipeline.load_ip_adapter(str(folder), subfolder="ip_adapter", weight_name=name, local_files_only=True)
    pipeline.set_ip_adapter_scale(0.8)
    picture = Image.open(folder / "picture.png")
    return pipeline(
        prompt=asked.prompt, negative_prompt=asked.negative_prompt, image=picture, ip_adapter_image=picture,
        controlnet_conditioning_scale=0.8, num_inference_steps=asked.steps, guidance_scale=asked.guidance_scale,
        pag_scale=asked.pag_scale, generator=torch.Generator("cpu").manual_seed(asked.seed or 0),
        width=asked.width, height=asked.height,
    ).images[0]  # fmt: skip


def test_a_controlnet_and_perturbed_attention_beside_an_image_prompt(
    case: tuple[Path, str, Pipelines], asked: GenerateSettings, agree: Agree
) -> None:
    """Their ControlNet sees three examples at once, ours two: a rounding may turn."""
    model, backend, pipelines = case
    asked = structs.replace(asked, pag_scale=3.0)
    ours = drawn(asked, backend, "fp32", pipelines)
    cell = Cell(family_of(model), "text-to-image", "image prompt, ControlNet, PAG", backend, "fp32")
    agree(ours, _theirs(asked), cell, 1)
    for less in ({"image_prompts": ()}, {"controls": ()}, {"pag_scale": 0.0}):
        assert difference(ours, drawn(structs.replace(asked, **less), backend, "fp32", pipelines)) > 4


def test_every_region_sees_the_image_prompt(case: tuple[Path, str, Pipelines], asked: GenerateSettings) -> None:
    _, backend, pipelines = case
    asked = structs.replace(asked, controls=(), pag_scale=2.0)
    everywhere = RegionUse(mask=str(_folder(asked) / "mask.png"), prompt="a tree")
    one, other = (
        drawn(structs.replace(asked, **more), backend, "fp32", pipelines)
        for more in ({"regions": (everywhere,)}, {"prompt": "a tree"})
    )
    assert difference(one, other) <= 1
    assert (
        difference(one, drawn(structs.replace(asked, prompt="a tree", image_prompts=()), backend, "fp32", pipelines))
        > 4
    )
