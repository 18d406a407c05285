from pathlib import Path

import pytest

from engine.errors import BadInput
from engine.expand import expand
from engine.messages import ModelCard
from engine.settings import MAX_SEED, GenerateSettings
from engine.uses import RegionUse

CARD = ModelCard(name="m", path="", family="sd1", native_size=512, size_multiple=64)


def test_each_picture_has_the_next_seed() -> None:
    parts = expand(GenerateSettings(seed=MAX_SEED - 1, count=3), CARD)
    assert [part.seed for part in parts] == [MAX_SEED - 1, MAX_SEED, 0]
    assert {part.count for part in parts} == {1}


def test_what_is_left_open_is_decided() -> None:
    first, second = (expand(GenerateSettings(), CARD)[0] for _ in range(2))
    assert (first.width, first.height, first.model) == (512, 512, "m")
    assert first.seed is not None
    assert first.seed != second.seed


def test_a_size_the_model_cannot_do_is_answered_with_two_that_it_can() -> None:
    with pytest.raises(BadInput, match="Height cannot be 520 .* multiple of 64: 512 or 576") as refused:
        expand(GenerateSettings(height=520), CARD)
    assert refused.value.where == "height"


def test_steps_beyond_a_scheduler_are_refused() -> None:
    expand(GenerateSettings(scheduler="LCM", steps=50), CARD)
    with pytest.raises(BadInput, match="at most 50"):
        expand(GenerateSettings(scheduler="LCM", steps=51), CARD)


@pytest.mark.parametrize(
    ("source", "given", "expected"),
    [
        ((4000, 3000), {}, (576, 448)),
        ((300, 400), {}, (448, 576)),
        ((100, 100), {}, (512, 512)),
        ((2000, 1000), {"width": 512}, (512, 256)),
        ((2000, 1000), {"height": 512}, (1024, 512)),
        ((20_000, 2), {}, (2048, 64)),
        ((1920, 1080), {"width": 512, "height": 512}, (512, 512)),
    ],
)
def test_a_picture_from_a_source_has_its_shape(
    source: tuple[int, int], given: dict[str, int], expected: tuple[int, int]
) -> None:
    part = expand(GenerateSettings(source="x.png", **given), CARD, source)[0]
    assert (part.width, part.height) == expected


def test_what_would_become_too_large_is_refused() -> None:
    expand(GenerateSettings(hires_scale=4, width=512, height=512), CARD)
    with pytest.raises(BadInput, match="4 times 576 x 512 is more than 2048") as refused:
        expand(GenerateSettings(hires_scale=4, width=576), CARD)
    assert refused.value.where == "hires_scale"


def test_variations_keep_the_seed_and_have_the_next_of_their_own() -> None:
    parts = expand(GenerateSettings(seed=5, variation_strength=0.2, variation_seed=MAX_SEED, count=2), CARD)
    assert [(part.seed, part.variation_seed) for part in parts] == [(5, MAX_SEED), (5, 0)]
    some = expand(GenerateSettings(seed=5, variation_strength=0.2, count=2), CARD)
    assert some[0].variation_seed is not None
    assert some[1].variation_seed != some[0].variation_seed


def test_each_picture_chooses_by_its_own_seed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EASEL_HOME", str(tmp_path))
    (tmp_path / "wildcards").mkdir()
    (tmp_path / "wildcards" / "动物.txt").write_text("猫\n狗\n鸟\n", "utf-8")
    asked = GenerateSettings(prompt="__动物__ {a|b|c}", negative_prompt="{x|y}", seed=5, count=20)
    parts = expand(asked, CARD)
    assert len({part.prompt for part in parts}) > 4
    assert len({part.negative_prompt for part in parts}) == 2
    assert {(part.template, part.negative_template) for part in parts} == {(asked.prompt, asked.negative_prompt)}
    again = GenerateSettings(prompt=asked.prompt, seed=parts[7].seed)
    assert expand(again, CARD)[0].prompt == parts[7].prompt
    (made_again,) = expand(parts[7], CARD)
    assert (made_again.prompt, made_again.negative_prompt) == (parts[7].prompt, parts[7].negative_prompt)
    assert expand(GenerateSettings(prompt="plain"), CARD)[0].template == ""
    with pytest.raises(BadInput, match="no wildcard “植物”"):
        expand(GenerateSettings(prompt="__植物__"), CARD)


def test_a_region_chooses_for_itself() -> None:
    asked = GenerateSettings(seed=5, regions=tuple(RegionUse(mask="x.png", prompt="{a|b|c|d|e|f}") for _ in range(9)))
    (part,) = expand(asked, CARD)
    assert len({each.prompt for each in part.regions}) > 2
    assert {each.template for each in part.regions} == {"{a|b|c|d|e|f}"}
    (again,) = expand(part, CARD)
    assert [each.prompt for each in again.regions] == [each.prompt for each in part.regions]
