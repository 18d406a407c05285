import math

import msgspec
import pytest

from engine.errors import BadInput
from engine.settings import GenerateSettings, checked, fields, parsed


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
        ("prompt", "x" * 100_000),
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
    for field in fields():
        if field.type in (int, float) and math.isfinite(field.setting.high):
            for limit in (field.setting.low, field.setting.high):
                checked(msgspec.structs.replace(GenerateSettings(), **{field.name: field.type(limit)}))


def test_a_misspelt_scheduler_is_answered_with_the_nearest() -> None:
    with pytest.raises(BadInput, match="Did you mean “Euler a”"):
        checked(GenerateSettings(scheduler="Eular a"))


def test_text_that_is_no_number_is_refused_with_the_range() -> None:
    steps = next(field for field in fields() if field.name == "steps")
    with pytest.raises(BadInput, match="Steps cannot be many. Use a whole number from 1 to 150."):
        parsed(steps, "many")


def test_settings_survive_json_whole() -> None:
    settings = GenerateSettings(prompt='"quotes", 猫\n', seed=2**53 - 1, width=512, guidance_scale=7.25)
    assert msgspec.json.decode(msgspec.json.encode(settings), type=GenerateSettings) == settings
