"""What is asked for and changes nothing is told, in one sentence for each reason; what takes effect is not."""

from pathlib import Path

import pytest

from engine.errors import BadInput
from engine.library import adapters
from engine.messages import ModelCard
from engine.settings import GenerateSettings
from engine.tasks.left_aside import begun_by_base, is_refined, left_aside
from engine.uses import ControlUse, Extension, ImagePrompt, LoraUse, RegionUse

CARD = ModelCard(name="m", path="", family="sdxl")
USES = {
    "loras": (LoraUse(name="a"),),
    "controls": (ControlUse(kind="none", image="c.png"),),
    "image_prompts": (ImagePrompt(image="p.png"),),
    "regions": (RegionUse(mask="r.png"),),
}


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"strength": 0.3}, ["There is no source picture: “Denoising strength” is left aside."]),
        ({"source": "s", "inpaint_area": "only masked"}, ["There is no mask: “Inpaint area” is left aside."]),
        ({"source": "s", "mask": "m", "hires_scale": 2.0}, ["What is masked is drawn once: “Enlarge” is left aside."]),
        (
            {"source": "s", "upscale_factor": 2.0, "hires_scale": 2.0, "refiner": "r"},
            ["What is upscaled is drawn once, by one model: “Enlarge” and “Refiner” are left aside."],
        ),
        (
            {"source": "s", "upscale_factor": 2.0, "strength": 0.0, **USES},
            [
                "So little of the source may change that nothing is drawn: "
                "LoRAs, controls, image prompts and regions are left aside."
            ],
        ),
        (
            {"source": "s", "upscale_factor": 2.0, "strength": 0.0, "prompt": "a <lora:b:1>"},
            ["So little of the source may change that nothing is drawn: LoRAs are left aside."],
        ),
        (
            {"guidance_scale": 1.0, "guidance_rescale": 0.7, "negative_prompt": "blue"},
            ["A guidance scale of 1 guides nothing: “Negative prompt” and “Guidance rescale” are left aside."],
        ),
        (
            {"refiner": "r", "refiner_start": 1.0},
            ["So few steps, or so late a start, leave none for a second model: “Refiner” is left aside."],
        ),
        (
            {"refiner": "r", "steps": 1},
            ["So few steps, or so late a start, leave none for a second model: “Refiner” is left aside."],
        ),
        (
            {"refiner": "r", "source": "s", "strength": 0.1, "loras": USES["loras"]},
            ["The refiner alone draws where so little may change: LoRAs are left aside."],
        ),
        ({"upscaler": "4x"}, ["Nothing is enlarged: “Upscaler” is left aside."]),
    ],
)
def test_each_is_told(asked: dict[str, object], said: list[str]) -> None:
    assert list(left_aside(GenerateSettings(**asked), CARD)) == said  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"negative_prompt": "blue", "guidance_rescale": 0.7, "refiner": "r", "hires_scale": 2.0, "upscaler": "4x"},
        {"source": "s", "strength": 0.3, "refiner": "r", "variation_strength": 0.5, "hires_scale": 1.5, **USES},
        {"source": "s", "extend": Extension(8), "strength": 0.3, "mask_feather": 3, "inpaint_area": "only masked"},
        {"source": "s", "upscale_factor": 2.0, "strength": 0.4, "upscaler": "4x", **USES},
        {"guidance_scale": 1.0, "pag_scale": 3.0, "guidance_end": 0.5},
    ],
)
def test_what_takes_effect_is_not(asked: dict[str, object]) -> None:
    assert left_aside(GenerateSettings(**asked), CARD) == ()  # pyright: ignore[reportArgumentType]


def test_what_a_family_does_without_is_left_to_it() -> None:
    flux = ModelCard(name="f", path="", family="flux")
    assert left_aside(GenerateSettings(guidance_scale=1.0, negative_prompt="blue"), flux) == ()


def test_the_refiners_steps_are_a_share_of_all() -> None:
    from_source = GenerateSettings(source="s", steps=20, strength=0.5, refiner_start=0.8)
    assert (begun_by_base(GenerateSettings(steps=20)), begun_by_base(from_source)) == (16, 6)
    assert is_refined(GenerateSettings(source="s", strength=0.2))
    assert not is_refined(GenerateSettings(source="s", strength=0.0))


def test_a_lora_is_not_called_in_the_negative_prompt(shared_home: Path) -> None:
    for call in ("<lora:nobody:1>", "ugly, <lora:nobody>"):
        with pytest.raises(BadInput, match="negative prompt calls the LoRA “nobody”") as refused:
            adapters.needed(GenerateSettings(negative_prompt=call), CARD)
        assert refused.value.where == "negative_prompt"
