"""Union ControlNets against diffusers' own pipeline for them, with one control image and with several."""

from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from diffusers import ControlNetUnionModel
from msgspec import structs
from PIL import Image

from engine.controls import KINDS
from engine.pipelines import Pipelines
from engine.settings import GenerateSettings
from engine.uses import ControlUse
from tests.drawing import difference, drawn
from tests.reference.conftest import Agree, Cell
from tests.tiny_controlnet import write_tiny_controlnet
from tests.tiny_union import write_tiny_union

PLAIN = GenerateSettings(
    prompt="a red house", negative_prompt="blue", seed=7, steps=4, guidance_scale=5.0, width=96, height=64,
    scheduler="DDIM", strength=0.8,
)  # fmt: skip
LEVELS = {"torch": 0, "openvino": 1}
"""Of 255. torch runs the same code on the same numbers; OpenVINO adds up float32 in another order."""
SHOWN = {"one": ("depth",), "two": ("canny", "pose")}


@pytest.fixture(scope="module")
def union(tiny_xl: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_union(tiny_xl, tmp_path_factory.mktemp("nets") / "union")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder, noise = tmp_path_factory.mktemp("pictures"), np.random.default_rng(1)
    for place in range(2):
        lines = 255 * (noise.random((64, 96, 1)) > 0.8).repeat(3, 2).astype(np.uint8)
        Image.fromarray(lines).save(folder / f"{place}.png")
    return [folder / f"{place}.png" for place in range(2)]


@pytest.fixture(scope="module")
def kept() -> dict[str, Pipelines]:
    """The loaded model of each backend."""
    return {}


def _asked(model: Path, union: Path, pictures: list[Path], shown: tuple[str, ...], **more: Any) -> GenerateSettings:
    controls = tuple(
        ControlUse(kind="none", shows=kind, image=str(picture), net=str(union), weight=weight)
        for kind, picture, weight in zip(shown, pictures, (0.9, 0.5), strict=False)
    )
    return structs.replace(PLAIN, model=str(model), controls=controls, **more)


def _theirs(settings: GenerateSettings) -> Image.Image:
    task = "Img2Img" if settings.source else ""
    net: Any = ControlNetUnionModel.from_pretrained(settings.controls[0].net, local_files_only=True)
    kind = getattr(diffusers, f"StableDiffusionXLControlNetUnion{task}Pipeline")
    pipeline: Any = kind.from_pretrained(
        settings.model, local_files_only=True, torch_dtype=torch.float32, controlnet=net.requires_grad_(False)
    )
    pipeline.set_progress_bar_config(disable=True)
    pipeline.unet.requires_grad_(False)  # with gradients torch adds up small layers in another order
    pipeline.scheduler = diffusers.DDIMScheduler.from_config(pipeline.scheduler.config)
    weights = [each.weight for each in settings.controls]
    source = {"image": Image.open(settings.source), "strength": settings.strength} if settings.source else {}
    size = {} if settings.source else {"width": settings.width, "height": settings.height}
    return pipeline(
        prompt=settings.prompt,
        negative_prompt=settings.negative_prompt,
        control_image=[Image.open(each.image) for each in settings.controls],
        control_mode=[KINDS[each.shows].union for each in settings.controls],
        controlnet_conditioning_scale=weights[0] if len(weights) == 1 else weights,
        num_inference_steps=settings.steps,
        guidance_scale=settings.guidance_scale,
        generator=torch.Generator("cpu").manual_seed(settings.seed or 0),
        **size,
        **source,
    ).images[0]


@pytest.mark.parametrize("backend", LEVELS)
@pytest.mark.parametrize("shown", SHOWN)
def test_a_union_is_diffusers_own(
    shown: str, backend: str, tiny_xl: Path, union: Path, pictures: list[Path], kept: dict[str, Pipelines], agree: Agree
) -> None:
    settings = _asked(tiny_xl, union, pictures, SHOWN[shown])
    pipelines = kept.setdefault(backend, Pipelines())
    ours = drawn(settings, backend, "fp32", pipelines)
    agree(ours, _theirs(settings), Cell("sdxl", "text-to-image", f"Union net, {shown}", backend, "fp32"))
    assert difference(ours, drawn(structs.replace(settings, controls=()), backend, "fp32", pipelines)) > 8


def test_in_a_source_too(tiny_xl: Path, union: Path, pictures: list[Path], agree: Agree) -> None:
    settings = _asked(tiny_xl, union, pictures, ("depth",), source=str(pictures[1]))
    agree(drawn(settings), _theirs(settings), Cell("sdxl", "image-to-image", "Union net, depth", "torch", "fp32"))


def test_the_kind_matters_and_a_plain_net_may_stand_beside_it(
    tiny_xl: Path, union: Path, pictures: list[Path], tmp_path: Path, kept: dict[str, Pipelines]
) -> None:
    pipelines = kept.setdefault("torch", Pipelines())
    depth, pose = (drawn(_asked(tiny_xl, union, pictures, (kind,)), pipelines=pipelines) for kind in ("depth", "pose"))
    assert difference(depth, pose) > 0
    beside = _asked(tiny_xl, union, pictures, ("depth",))
    plain = ControlUse(kind="none", image=str(pictures[1]), net=str(write_tiny_controlnet(tiny_xl, tmp_path / "net")))
    both = structs.replace(beside, controls=(*beside.controls, plain))
    assert difference(drawn(both, pipelines=pipelines), depth) > 0
