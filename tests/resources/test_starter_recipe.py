"""The recipe of the starter model, without the hours of training; and the tokenizer that ships."""

from random import Random

import numpy as np
import pytest
from transformers import CLIPTokenizer

from engine.components import tokenizer
from engine.library.recognise import recognise
from engine.paths import STARTER
from resources.starter_recipe.captions import LANGUAGES, caption, plain, some_named
from resources.starter_recipe.drawing import draw
from resources.starter_recipe.world import COLOURS, Scene, every_scene, random_scenes


def test_a_drawing_is_the_same_for_the_same_seed_and_another_for_another() -> None:
    scene = Scene("cat", "white", "snow", "night")
    one, same, other = draw(scene, 1), draw(scene, 1), draw(scene, 2)
    assert one.shape == (128, 128, 3)
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


def test_the_subject_is_drawn_in_its_colour() -> None:
    middle = {
        colour: draw(Scene("balloon", colour, "meadow", "fog"), 3)[30:60, 54:74].mean((0, 1))
        for colour in ("red", "green", "blue")
    }
    assert [int(np.argmax(middle[colour])) for colour in ("red", "green", "blue")] == [0, 1, 2]


def test_what_is_held_out_is_never_drawn_for_training() -> None:
    assert not any(scene.held_out for scene in random_scenes(5000, held_out=False, seed=1))
    held_out = [scene for scene in every_scene() if scene.held_out]
    assert 0 < len(held_out) < len(every_scene()) / 10
    assert {scene.colour for scene in held_out} == set(COLOURS)


def test_captions_name_what_they_are_to_name() -> None:
    scene = Scene("sailboat", "blue", "sea", "sunset")
    only_subject = {caption(scene, frozenset({"subject"}), Random(seed)) for seed in range(200)}
    assert not any(word in text for text in only_subject for word in ("blue", "蓝", "藍", "sunset", "日落"))
    assert "a blue sailboat at sea at sunset" in {
        plain(scene, language).replace("on the", "at") for language in LANGUAGES
    }


@pytest.fixture(scope="module")
def shipped() -> CLIPTokenizer:
    return tokenizer(STARTER / "tokenizer")


def test_every_caption_fits_into_the_tokens_that_were_trained(shipped: CLIPTokenizer) -> None:
    rng = Random(0)
    texts = [caption(scene, some_named(rng), rng) for scene in random_scenes(2000, held_out=None, seed=1)]
    assert max(len(ids) for ids in shipped(texts)["input_ids"]) <= 24


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
