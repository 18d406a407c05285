"""Regions with prompts of their own, against a sampling loop written out with diffusers' parts."""

from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from msgspec import structs
from PIL import Image

from engine.cli import parser
from engine.errors import BadInput
from engine.pipelines import Pipelines
from engine.settings import GenerateSettings
from engine.uses import RegionUse
from tests.drawing import difference, drawn, family_of, foreseen, prepared
from tests.reference.conftest import Agree, Cell
from tests.tiny_flux import write_tiny_flux
from tests.tiny_sd3 import write_tiny_sd3
from tests.tiny_xl import write_tiny_xl

PLAIN = GenerateSettings(
    prompt="a red house", negative_prompt="blue", seed=7, steps=4, guidance_scale=6.0, width=96, height=64,
    strength=0.7, scheduler="DDIM",
)  # fmt: skip
LEFT, RIGHT, ALL, MIDDLE = (0, 48), (48, 96), (0, 96), (28, 60)


@pytest.fixture(scope="module")
def masks(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[int, int], str]:
    """Pictures that are white between two columns."""
    folder = tmp_path_factory.mktemp("masks 区域: a")
    made: dict[tuple[int, int], str] = {}
    for first, last in (LEFT, RIGHT, ALL, MIDDLE):
        pixels = np.zeros((64, 96), np.uint8)
        pixels[:, first:last] = 255
        made[first, last] = str(folder / f"{first}: {last}.png")
        Image.fromarray(pixels).save(made[first, last])
    return made


@pytest.fixture(scope="module", params=["sd1 torch", "xl torch", "sd1 openvino"])
def case(
    request: pytest.FixtureRequest, tiny_model: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, str, Pipelines]:
    family, backend = request.param.split()
    model = write_tiny_xl(tmp_path_factory.mktemp("xl")) if family == "xl" else tiny_model
    return model, backend, Pipelines()


def _use(mask: str, prompt: str, weight: float = 1.0) -> RegionUse:
    return RegionUse(mask=mask, prompt=prompt, weight=weight)


@torch.no_grad()
def _written_out(model: Path, settings: GenerateSettings, shares: list[torch.Tensor]) -> Image.Image:
    """MultiDiffusion's loop: the main prompt's prediction and each region's, by their shares of the latents."""
    family = "StableDiffusionXL" if (model / "text_encoder_2").exists() else "StableDiffusion"
    pipeline: Any = getattr(diffusers, f"{family}Pipeline").from_pretrained(
        model, local_files_only=True, torch_dtype=torch.float32
    )
    steps = diffusers.DDIMScheduler.from_config(pipeline.scheduler.config)
    steps.set_timesteps(settings.steps)
    sizes = torch.tensor([[64.0, 96, 0, 0, 64, 96]])

    def predicted(latents: torch.Tensor, timestep: Any, text: str) -> torch.Tensor:
        words = pipeline.encode_prompt(text, device="cpu", num_images_per_prompt=1, do_classifier_free_guidance=False)
        added = {"text_embeds": words[2], "time_ids": sizes} if len(words) == 4 else None
        return pipeline.unet(latents, timestep, words[0], added_cond_kwargs=added, return_dict=False)[0]

    latents = torch.randn(1, 4, 8, 12, generator=torch.Generator().manual_seed(settings.seed or 0))
    prompts = [*(each.prompt for each in settings.regions), settings.prompt]
    for timestep in steps.timesteps:
        parts = [share * predicted(latents, timestep, text) for share, text in zip(shares, prompts, strict=True)]
        text = torch.stack(parts).sum(dim=0)
        negative = predicted(latents, timestep, settings.negative_prompt)
        guided = negative + settings.guidance_scale * (text - negative)
        latents = steps.step(guided, timestep, latents, return_dict=False)[0]
    pixels = pipeline.vae.decode(latents / pipeline.vae.config.scaling_factor, return_dict=False)[0]
    return pipeline.image_processor.postprocess(pixels)[0]


def test_regions_are_predictions_blended_by_masks(
    case: tuple[Path, str, Pipelines], masks: dict[tuple[int, int], str], agree: Agree
) -> None:
    """The left half by its own prompt, the columns 28 to 60 by another at half its weight, the rest by the main one."""
    model, backend, pipelines = case
    uses = (_use(masks[LEFT], "a green tree"), _use(masks[MIDDLE], "a cat", 0.5))
    left = torch.zeros(1, 1, 8, 12)
    left[..., :6] = 1
    middle = torch.zeros(1, 1, 8, 12)
    middle[..., 3], middle[..., 4:7], middle[..., 7] = 0.25, 0.5, 0.25
    covered = left + middle
    rest = (1 - covered).clamp(min=0)
    shares = [each / (covered + rest) for each in (left, middle, rest)]
    asked = structs.replace(PLAIN, model=str(model), regions=uses)
    ours = drawn(asked, backend, "fp32", pipelines)
    cell = Cell(family_of(model), "text-to-image", "regions", backend, "fp32")
    agree(ours, _written_out(model, asked, shares), cell, 1)
    assert difference(ours, drawn(structs.replace(asked, regions=()), backend, "fp32", pipelines)) > 8


def test_regions_with_the_main_prompt_change_nothing(
    case: tuple[Path, str, Pipelines], masks: dict[tuple[int, int], str]
) -> None:
    model, backend, pipelines = case
    asked = structs.replace(PLAIN, model=str(model), prompt="[a red house:a tree:0.5]")
    plain = drawn(asked, backend, "fp32", pipelines)
    for covering in ((ALL, ALL), (LEFT, RIGHT), (MIDDLE,)):
        uses = tuple(_use(masks[each], asked.prompt) for each in covering)
        assert difference(drawn(structs.replace(asked, regions=uses), backend, "fp32", pipelines), plain) <= 1
    nothing = (_use(masks[ALL], "another", 0.0),)
    assert difference(drawn(structs.replace(asked, regions=nothing), backend, "fp32", pipelines), plain) <= 1


def test_a_region_that_is_everything_is_the_main_prompt(
    case: tuple[Path, str, Pipelines], masks: dict[tuple[int, int], str]
) -> None:
    """Also without guidance, with perturbed attention, and from a source."""
    model, backend, pipelines = case
    long = "a tree " * 40  # more chunks than the main prompt has
    for more in ({}, {"guidance_scale": 1.0}, {"pag_scale": 2.0}, {"source": masks[LEFT], "guidance_rescale": 0.5}):
        asked = structs.replace(PLAIN, model=str(model), negative_prompt="", **more)
        other = drawn(structs.replace(asked, prompt="a tree"), backend, "fp32", pipelines)
        region = structs.replace(asked, regions=(_use(masks[ALL], "a tree"),))
        assert difference(drawn(region, backend, "fp32", pipelines), other) <= 1
    drawn(structs.replace(PLAIN, model=str(model), regions=(_use(masks[ALL], long),)), backend, "fp32", pipelines)


def test_a_region_changes_its_own_part(tiny_model: Path, masks: dict[tuple[int, int], str]) -> None:
    """In one step nothing else; what comes of it later is the model's."""
    asked = structs.replace(PLAIN, model=str(tiny_model), steps=1)
    plain, changed = (
        foreseen(structs.replace(asked, regions=uses))[0] for uses in ((), (_use(masks[LEFT], "a green tree"),))
    )
    apart = (plain - changed).abs().amax(dim=(0, 1, 2))
    assert (apart[:6] > 1e-3).all()
    assert (apart[6:] < 1e-5).all()


def test_drawn_again_larger_each_region_stays_where_it_is(tiny_model: Path, masks: dict[tuple[int, int], str]) -> None:
    asked = structs.replace(PLAIN, model=str(tiny_model), hires_scale=2.0, regions=(_use(masks[LEFT], "a tree"),))
    assert drawn(asked).size == (192, 128)


def test_stable_diffusion_3_has_regions_and_the_rest_of_guidance(
    tmp_path: Path, masks: dict[tuple[int, int], str]
) -> None:
    model, pipelines = write_tiny_sd3(tmp_path / "sd3"), Pipelines()

    def made(**more: Any) -> Image.Image:
        return drawn(structs.replace(PLAIN, model=str(model), **more), pipelines=pipelines)

    plain, other = made(), made(prompt="a tree")
    assert difference(made(regions=(_use(masks[LEFT], PLAIN.prompt),)), plain) <= 1
    assert difference(made(regions=(_use(masks[ALL], "a tree"),)), other) <= 1
    assert difference(made(guidance_start=1.0), made(guidance_scale=1.0)) <= 1
    assert difference(made(guidance_rescale=0.7), plain) > 4
    with pytest.raises(BadInput, match="need a model with a U-Net"):
        made(pag_scale=2.0)


def test_flux_says_that_it_has_none_of_it(tmp_path: Path, masks: dict[tuple[int, int], str]) -> None:
    asked = structs.replace(PLAIN, model=str(write_tiny_flux(tmp_path / "flux")), regions=(_use(masks[ALL], "a tree"),))
    with pytest.raises(BadInput, match="no other guidance than the usual one"):
        drawn(asked)


@pytest.mark.parametrize(
    ("more", "cause"),
    [
        ({"mask": "none.png"}, "There is no file"),
        ({"prompt": "<lora:x:1>"}, "calls the LoRA “x”"),
        ({"width": 64}, "is 96 x 64 pixels, the picture 64 x 64"),
        ({"inpaint_area": "only masked"}, "only the masked part"),
    ],
)
def test_what_does_not_fit_is_refused(
    more: dict[str, Any], cause: str, tiny_model: Path, masks: dict[tuple[int, int], str]
) -> None:
    use = RegionUse(
        **({"mask": masks[LEFT], "prompt": "a tree"} | {k: more[k] for k in ("mask", "prompt") if k in more})
    )
    others = {key: value for key, value in more.items() if key not in ("mask", "prompt")}
    if "inpaint_area" in others:
        others |= {"source": masks[LEFT], "mask": masks[RIGHT]}
    with pytest.raises(BadInput, match=cause):
        prepared(structs.replace(PLAIN, model=str(tiny_model), regions=(use,), **others))


def test_a_region_on_the_command_line(masks: dict[tuple[int, int], str]) -> None:
    from engine.cli import _settings  # pyright: ignore[reportPrivateUsage]

    typed = parser().parse_args(["generate", "x", "--region", f"{masks[LEFT]}:(a tree:1.2), {{a|b}}"])
    assert _settings(typed).regions == (_use(masks[LEFT], "(a tree:1.2), {a|b}"),)
    for wrong in ("none.png:x", "x", ":x", "a" * 5000 + ":x"):
        with pytest.raises(BadInput, match="names no file"):
            _settings(parser().parse_args(["generate", "x", "--region", wrong]))
