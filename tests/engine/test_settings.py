import math

import msgspec
import pytest

from engine.errors import BadInput
from engine.settings import ControlUse, GenerateSettings, LoraUse, checked, fields, parsed
from engine.uses import MAX_PROMPT, RegionUse


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("steps", 0),
        ("steps", 1_000_000),
        ("steps", True),
        ("steps", "20"),
        ("steps", 20.0),
        ("seed", -1),
        ("seed", 2**53),
        ("guidance_scale", math.nan),
        ("guidance_scale", math.inf),
        ("guidance_scale", None),
        ("width", 63),
        ("height", 4096),
        ("scheduler", "Oiler"),
        ("precision", "int4"),
        ("backend", "vulkan"),
        ("count", 0),
        ("prompt", "x" * (MAX_PROMPT + 1)),
        ("prompt", "half a letter \ud83d"),
    ],
)
def test_a_wrong_value_is_refused_by_its_name_in_two_sentences(name: str, value: object) -> None:
    with pytest.raises(BadInput) as refused:
        checked(msgspec.structs.replace(GenerateSettings(), **{name: value}))
    assert refused.value.where == name
    assert refused.value.cause.endswith(".")
    assert refused.value.advice
    assert len(str(refused.value)) < 600


def test_the_defaults_are_allowed() -> None:
    assert checked(GenerateSettings()) == GenerateSettings()


def test_an_empty_prompt_and_every_script_are_allowed() -> None:
    for prompt in ("", "一只红色的猫 🐱", "שלום", "a\nb"):
        assert checked(GenerateSettings(prompt=prompt)).prompt == prompt


def test_every_limit_itself_is_allowed() -> None:
    plain = GenerateSettings(source="picture.png")
    for field in fields():
        if field.type in (int, float) and math.isfinite(field.setting.high):
            for limit in (field.setting.low, field.setting.high):
                checked(msgspec.structs.replace(plain, **{field.name: field.type(limit)}))


def test_a_misspelt_scheduler_is_answered_with_the_nearest() -> None:
    with pytest.raises(BadInput, match="Did you mean “Euler a”"):
        checked(GenerateSettings(scheduler="Eular a"))


def test_text_that_is_no_number_is_refused_with_the_range() -> None:
    steps = next(field for field in fields() if field.name == "steps")
    with pytest.raises(BadInput, match="Steps cannot be many. Use a whole number from 1 to 150."):
        parsed(steps, "many")


@pytest.mark.parametrize(
    ("values", "cause"),
    [
        ({"mask": "m.png"}, "There is a mask, but no source"),
        ({"loras": (LoraUse(name="x", weight=float("inf")),)}, "LoRA “x” cannot be inf"),
        ({"loras": (LoraUse(name="x", weight=float("nan")),)}, "LoRA “x” cannot be nan"),
        ({"loras": (LoraUse(name="x", text_encoder_weight=11.0),)}, "LoRA “x” cannot be 11"),
        ({"loras": (LoraUse(name="x", blocks=(1.0, float("nan"))),)}, "LoRA “x” cannot be nan"),
        ({"loras": (LoraUse(name="x"),) * 1000}, "1000 adapters are too many"),
        ({"regions": (RegionUse(mask="m.png", weight=1.5),)}, "weight of a region cannot be 1.5"),
        ({"regions": (RegionUse(mask="m.png", prompt="\ud800"),)}, "not text"),
        ({"guidance_start": 0.6, "guidance_end": 0.5}, "Guidance cannot go from 0.6 to 0.5"),
        ({"source": "a.png", "upscale_factor": 2.0, "seamless": "sideways"}, "drawn in windows"),
        ({"controls": (ControlUse(kind="canny", image="c.png", weight=-1.0),)}, "control “canny” cannot be -1"),
        ({"controls": (ControlUse(kind="canny", image="c.png", start=0.5, end=0.5),)}, "cannot steer from 0.5 to 0.5"),
    ],
)
def test_adapters_that_cannot_be_are_refused(values: dict[str, object], cause: str) -> None:
    with pytest.raises(BadInput, match=cause):
        checked(GenerateSettings(**values))  # pyright: ignore[reportArgumentType]


def test_what_is_given_says_the_task() -> None:
    given = ({}, {"source": "a.png"}, {"source": "a.png", "mask": "m.png"})
    assert [GenerateSettings(**each).task for each in given] == ["text-to-image", "image-to-image", "inpaint"]


def test_settings_survive_json_whole() -> None:
    settings = GenerateSettings(
        prompt='"quotes", 猫\n',
        seed=2**53 - 1,
        width=512,
        guidance_scale=7.25,
        loras=(LoraUse(name="风格", weight=0.5),),
        controls=(ControlUse(kind="canny", image="图.png"),),
        regions=(RegionUse(mask="左.png", prompt="猫", template="{猫|狗}"),),
    )
    assert msgspec.json.decode(msgspec.json.encode(settings), type=GenerateSettings) == settings
