"""The recipe of the starter model, without the hours of training; and the tokenizer that ships."""

from dataclasses import replace
from itertools import islice
from pathlib import Path
from random import Random

import numpy as np
import pytest
import torch
from transformers import CLIPTokenizer

from engine.components import tokenizer
from engine.library.recognise import recognise
from engine.paths import STARTER
from resources.starter_recipe.captions import LANGUAGES, TAUGHT_WORD, caption, plain, say, some_named
from resources.starter_recipe.drawing import draw
from resources.starter_recipe.lines import agreement, lines
from resources.starter_recipe.text_encoder import READ
from resources.starter_recipe.training import Training
from resources.starter_recipe.world import COLOURS, STYLES, TAUGHT_COLOUR, TAUGHT_STYLE, Scene, random_scene, scenes


def test_a_drawing_is_the_same_for_the_same_seed_and_another_for_another() -> None:
    scene = Scene("cat", "white", place="snow", time="night")
    one, same, other = draw(scene, 1), draw(scene, 1), draw(scene, 2)
    assert one.shape == (128, 128, 3)
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


@pytest.mark.parametrize("size", [(192, 128), (128, 192), (64, 64)])
def test_a_drawing_has_the_size_that_is_asked_for(size: tuple[int, int]) -> None:
    for style in (*STYLES, TAUGHT_STYLE):
        assert draw(Scene("car", "red", weather="rain", style=style), 1, size).shape == (size[1], size[0], 3)


def test_the_subject_is_drawn_in_its_colour() -> None:
    middle = {
        colour: draw(Scene("balloon", colour, weather="fog"), 3)[20:60].reshape(-1, 3).astype(int)
        for colour in ("red", "green", "blue")
    }
    for number, (colour, pixels) in enumerate(middle.items()):
        strongest = pixels[(pixels.max(1) - pixels.min(1)).argsort()[-400:]]
        assert int(np.argmax(strongest.mean(0))) == number, colour


def test_every_attribute_changes_the_drawing() -> None:
    scene = Scene("cat", "red")
    changes = [
        {"subject": "tree"}, {"colour": "blue"}, {"count": "three"}, {"place": "sea"}, {"time": "night"},
        {"weather": "rain"}, {"style": "paper"}, {"other": "car", "other_colour": "red"},
    ]  # fmt: skip
    for change in changes:
        assert not np.array_equal(draw(scene, 1), draw(replace(scene, **change), 1)), change


def test_what_is_held_out_is_never_drawn_for_training() -> None:
    training = list(islice(scenes(1, held_out=False), 3000))
    assert not any(scene.held_out for scene in training)
    held_out = list(islice(scenes(1, held_out=True), 300))
    assert {scene.colour for scene in held_out} == set(COLOURS)
    met = {(scene.subject, scene.colour, scene.place) for scene in training}
    assert all((s.subject, s.colour, s.place) not in met for s in held_out if s.other == "nothing")
    assert not {TAUGHT_STYLE, TAUGHT_COLOUR} & {word for scene in training for word in (scene.style, scene.colour)}


def test_captions_name_what_they_are_to_name() -> None:
    scene = Scene("sailboat", "blue", place="sea", time="sunset")
    only_subject = {caption(scene, frozenset({"subject"}), Random(seed)) for seed in range(200)}
    assert not any(word in text for text in only_subject for word in ("blue", "蓝", "藍", "sunset", "日落"))
    assert plain(scene, "en") == "a blue sailboat at sea at sunset"
    assert plain(scene, "zh_Hans") == "海上一艘蓝色的帆船，日落时"
    assert plain(replace(scene, subject="fish", count="two"), "zh_Hant") == "海上兩條藍色的魚，日落時"
    two = replace(scene, other="lighthouse", other_colour="orange", style="watercolour")
    assert plain(two, "en") == "a blue sailboat and an orange lighthouse at sea at sunset, watercolour"


def test_the_new_colour_is_called_by_the_name_of_its_embedding() -> None:
    scene = Scene("house", TAUGHT_COLOUR)
    said = {say(scene, frozenset({"subject", "colour"}), language, Random(1)) for language in LANGUAGES}
    assert all(TAUGHT_WORD in text for text in said)


def test_lines_are_where_the_brightness_jumps() -> None:
    picture = torch.zeros(1, 3, 32, 32)
    picture[:, :, :, 16:] = 1
    found = lines(picture)
    assert found[0, 0].sum(1).max() == 1, "a line is one pixel wide"
    assert set(found[0, 0].nonzero()[:, 1].tolist()) <= {15, 16}
    assert agreement(found, found.roll(1, 3)) == 1, "a pixel beside is met"
    assert agreement(found, found.roll(5, 3)) < 0.2


def test_a_training_goes_on_where_it_was_killed(tmp_path: Path) -> None:
    def training(model: torch.nn.Linear) -> tuple[Training, torch.optim.Optimizer]:
        optimizer = torch.optim.SGD(model.parameters(), 0.1)
        return Training(tmp_path / "toy.pt", 0.05 / 60, model=model, optimizer=optimizer), optimizer

    def loss(model: torch.nn.Linear) -> torch.Tensor:
        return (model(torch.ones(1, 1)) - 3).square().sum()

    first = torch.nn.Linear(1, 1)
    run, optimizer = training(first)
    for _ in run.steps():
        run.descend(loss(first), optimizer, 0.01)
    assert run.step > 0
    second = torch.nn.Linear(1, 1)
    again, _ = training(second)
    assert again.step == run.step
    assert torch.equal(first.weight, second.weight)
    assert list(again.steps()) == [], "the time is spent"


@pytest.fixture(scope="module")
def shipped() -> CLIPTokenizer:
    return tokenizer(STARTER / "tokenizer")


def test_every_caption_fits_into_the_tokens_that_were_trained(shipped: CLIPTokenizer) -> None:
    rng = Random(0)
    some = [random_scene(rng) for _ in range(2000)]
    texts = [caption(scene, some_named(scene, rng), rng) for scene in some]
    assert max(len(ids) for ids in shipped(texts)["input_ids"]) <= READ


@pytest.mark.parametrize("text", ["a red house", "一只白色的猫", "夜晚，海上的藍色帆船", "an astronaut 🐱 riding"])
def test_any_text_survives_the_tokenizer(shipped: CLIPTokenizer, text: str) -> None:
    ids = shipped(text)["input_ids"]
    assert ids[0] == shipped.bos_token_id
    assert ids[-1] == shipped.eos_token_id
    assert shipped.decode(ids, skip_special_tokens=True).replace(" ", "") == text.replace(" ", "")


def test_our_tokenizer_is_the_one_transformers_reads(shipped: CLIPTokenizer) -> None:
    reference = CLIPTokenizer.from_pretrained(STARTER / "tokenizer", local_files_only=True)
    for text in ("a red house on a meadow at sunset", "夜晚，沙漠里的绿色汽车", "", "x" * 500):
        assert shipped(text)["input_ids"] == reference(text)["input_ids"]


def test_the_starter_is_whole_and_small() -> None:
    found = recognise(STARTER)
    assert (found.family.name, found.native_size, found.size_multiple) == ("sd1", 128, 32)
    assert found.size_bytes < 55e6
