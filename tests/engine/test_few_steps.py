"""Models and LoRAs made for few steps are known by the names that they are published under."""

from pathlib import Path

import pytest
from msgspec import structs

from engine.errors import BadInput
from engine.expand import expand, few_steps_note
from engine.few_steps import KINDS, recognised
from engine.library import index
from engine.library.catalogue import Catalogue
from engine.library.roots import roots
from engine.library.scan import scan
from engine.messages import Describe, ModelCard
from engine.schedulers import SCHEDULERS
from engine.settings import GenerateSettings, LoraUse, checked
from tests.tiny_model import write_tiny_model

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
        ("sd_xl_turbo_1.0_fp16", "Euler a trailing", 4, 1),
        ("stable-diffusion-3.5-large-turbo", "Euler a trailing", 4, 1),
        ("SDXL-Lightning", "Euler trailing", 4, 1),
    ],
)
def test_the_names_of_the_world(name: str, scheduler: str, steps: int, guidance: float) -> None:
    found = recognised([name])
    assert found is not None
    assert (found.scheduler, found.steps, found.guidance_scale) == (scheduler, steps, guidance)


@pytest.mark.parametrize(
    "name",
    [
        "dreamshaper_8", "hyperrealism_v3", "turbocharged", "talcm", "a cat", "闪电", "", "lightning storm",
        "hyper_detail", "turbo-car", "sdxl lightning storm", "turbo_car_1500steps",
    ],
)  # fmt: skip
def test_other_names_are_of_no_kind(name: str) -> None:
    assert recognised([name]) is None


def test_every_kind_has_a_scheduler_that_can_take_its_steps() -> None:
    for kind in KINDS.values():
        assert kind.most <= SCHEDULERS[kind.scheduler].max_steps


def test_the_settings_follow_by_themselves() -> None:
    plain = GenerateSettings(prompt="a cat <lora:sdxl_lightning_8step:1>")
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


def test_what_a_person_chose_is_kept_and_told_of() -> None:
    asked = GenerateSettings(
        prompt="a <lora:sdxl_lightning_8step:1>", steps=30, scheduler="Euler", guidance_scale=7.0, seed=1
    )
    (made,) = expand(asked, CARD)
    assert (made.scheduler, made.steps, made.guidance_scale) == ("Euler", 30, 7)
    assert few_steps_note(made, CARD) == (
        "This is made for 8 steps, Euler trailing and guidance scale 1; what you chose instead is kept."
    )
    (half,) = expand(GenerateSettings(loras=(LoraUse(name="lcm"),), guidance_scale=1.5), CARD)
    assert (half.scheduler, half.steps, half.guidance_scale) == ("LCM", 4, 1.5)
    (all_of_it,) = expand(GenerateSettings(loras=(LoraUse(name="lcm"),)), CARD)
    assert few_steps_note(all_of_it, CARD) == (
        "This is made for few steps, so it is drawn with LCM, guidance scale 1, 4 steps."
    )
    assert few_steps_note(GenerateSettings(), CARD) == ""


def test_an_answer_on_the_card_decides_over_the_name() -> None:
    def steps(name: str, said: str) -> int:
        return expand(GenerateSettings(), structs.replace(CARD, name=name, few_steps=said))[0].steps

    assert (steps("sdxl-turbo", "no"), steps("sdxl-turbo", ""), steps("A model", "")) == (20, 4, 20)
    assert (steps("A model", "Hyper"), steps("sdxl-turbo", "Hyper"), steps("a_lightning_2step", "Lightning")) == (
        8,
        8,
        2,
    )


def test_the_library_has_the_persons_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EASEL_HOME", str(tmp_path))
    model = write_tiny_model(tmp_path / "models" / "Stormy lightning")
    assert index.find("Stormy lightning").few_steps == ""
    catalogue = Catalogue()
    list(scan(catalogue, list(roots([]))))
    for answer in ("Lightning", "no"):
        catalogue.describe(Describe(path=str(model), answers=(("few steps", answer),)))
        assert index.find("Stormy lightning").few_steps == answer
