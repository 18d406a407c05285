"""Models and LoRAs made for few steps are known by the names that they are published under."""

import pytest

from engine.errors import BadInput
from engine.expand import expand
from engine.few_steps import KINDS, recognised
from engine.messages import ModelCard
from engine.schedulers import SCHEDULERS
from engine.settings import GenerateSettings, LoraUse, checked

CARD = ModelCard(name="A model", path="/nowhere", family="sdxl", native_size=1024)


@pytest.mark.parametrize(
    ("name", "scheduler", "steps", "guidance"),
    [
        ("lcm-lora-sdv1-5", "LCM", 4, 1),
        ("LCM_Dreamshaper_v7", "LCM", 4, 1),
        ("sdxl_lightning_4step_lora", "Euler trailing", 4, 1),
        ("dreamshaperXL_lightning8steps", "Euler trailing", 8, 1),
        ("sdxl-turbo", "Euler a trailing", 4, 1),
        ("Hyper-SDXL-8steps-lora", "DDIM trailing", 8, 1),
        ("Hyper-SD15-12steps-CFG-lora", "DDIM trailing", 12, 5),
        ("Hyper-SDXL-1step-lora", "TCD", 1, 1),
        ("TCD-SDXL-LoRA", "TCD", 4, 1),
        ("dmd2_sdxl_4step_lora", "LCM", 4, 1),
        ("easel-lcm", "LCM", 4, 1),
    ],
)
def test_the_names_of_the_world(name: str, scheduler: str, steps: int, guidance: float) -> None:
    found = recognised([name])
    assert found is not None
    assert (found.scheduler, found.steps, found.guidance_scale) == (scheduler, steps, guidance)


@pytest.mark.parametrize("name", ["dreamshaper_8", "hyperrealism_v3", "turbocharged", "talcm", "a cat", "闪电", ""])
def test_other_names_are_of_no_kind(name: str) -> None:
    assert recognised([name]) is None


def test_every_kind_has_a_scheduler_that_can_take_its_steps() -> None:
    for kind in KINDS.values():
        assert kind.most <= SCHEDULERS[kind.scheduler].max_steps


def test_the_settings_follow_by_themselves() -> None:
    plain = GenerateSettings(prompt="a cat <lora:sdxl_lightning_8step:1>", steps=30)
    (made,) = expand(plain, CARD)
    assert (made.scheduler, made.steps, made.guidance_scale) == ("Euler trailing", 8, 1)
    (fewer,) = expand(GenerateSettings(loras=(LoraUse(name="lcm"),), steps=6), CARD)
    assert (fewer.scheduler, fewer.steps) == ("LCM", 6)
    assert expand(made, CARD) == [made]


def test_a_consistency_model_keeps_the_guidance_that_it_reads() -> None:
    told = ModelCard(name="Dreamshaper", path="/nowhere", family="sd1", native_size=512, reads_guidance=True)
    (made,) = expand(GenerateSettings(guidance_scale=8.0), told)
    assert (made.scheduler, made.steps, made.guidance_scale) == ("LCM", 4, 8)


def test_unless_they_are_told_otherwise() -> None:
    for settings in (
        GenerateSettings(loras=(LoraUse(name="lcm"),), few_steps="off"),
        GenerateSettings(loras=(LoraUse(name="lcm", weight=0),)),
    ):
        assert expand(settings, CARD)[0].scheduler == settings.scheduler
    (told,) = expand(GenerateSettings(few_steps="TCD"), CARD)
    assert (told.scheduler, told.steps) == ("TCD", 4)
    with pytest.raises(BadInput):
        checked(GenerateSettings(few_steps="Warp"))
