import pytest

from engine.formats.picture_text import Made, a1111_text, easel_text, read_a1111, read_easel
from engine.schedulers import SCHEDULERS
from engine.settings import GenerateSettings


def _made(**settings: object) -> Made:
    values = {"prompt": "a cat", "seed": 5, "width": 64, "height": 96, "model": "m"} | settings
    return Made(
        program="Easel 1.0",
        settings=GenerateSettings(**values),  # pyright: ignore[reportArgumentType]
        backend="torch",
        precision="fp32",
    )


@pytest.mark.parametrize(
    "prompt",
    [
        "",
        "plain",
        "two\nlines",
        'a "quoted", word: yes',
        "猫 🐱",
        "Negative prompt: no\nSteps: 1, Sampler: x, CFG scale: 2",
    ],
)
def test_our_own_text_loses_nothing(prompt: str) -> None:
    made = _made(prompt=prompt, negative_prompt=prompt[::-1])
    assert read_easel(easel_text(made)) == made


def test_a1111_text_is_written_as_a1111_writes_it() -> None:
    text = a1111_text(_made(negative_prompt="ugly", scheduler="DPM++ 2M Karras", guidance_scale=7.0, model="a, b"))
    assert text == (
        "a cat\nNegative prompt: ugly\nSteps: 20, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 7, Seed: 5, "
        'Size: 64x96, Model: "a, b", RNG: CPU, Version: Easel 1.0'
    )


def test_a1111_text_reads_back() -> None:
    text = a1111_text(_made(prompt="two\nlines, (weighted:1.2)", negative_prompt="a\nb", model='x: "y"'))
    found = read_a1111(text)
    assert found["Prompt"] == "two\nlines, (weighted:1.2)"
    assert found["Negative prompt"] == "a\nb"
    assert (found["Steps"], found["Seed"], found["Size"], found["Model"]) == ("20", "5", "64x96", 'x: "y"')


def test_a_last_line_of_few_pairs_is_prompt() -> None:
    assert read_a1111("a cat\nart: good, mood: calm") == {"Prompt": "a cat\nart: good, mood: calm"}


def test_a_picture_of_the_web_ui_is_read() -> None:
    found = read_a1111(
        "castle\nNegative prompt: blurry\nSteps: 20, Sampler: Euler a, Schedule type: Automatic, CFG scale: 7, "
        'Seed: 965400086, Size: 512x512, Model hash: 45dee52b, Lora hashes: "a: 1234, b: 5678", Version: v1.10.1'
    )
    assert found["Sampler"] == "Euler a"
    assert found["Lora hashes"] == "a: 1234, b: 5678"


@pytest.mark.parametrize("text", ["", "{}", "[1]", "{" * 10_000, '{"program": 3}', "\ud83d"])
def test_what_is_not_ours_is_not_read(text: str) -> None:
    assert read_easel(text) is None


def test_fields_of_a_newer_easel_are_passed_over() -> None:
    text = easel_text(_made()).replace('"backend"', '"from_the_future":[1],"backend"')
    assert read_easel(text) == _made()


def test_every_scheduler_has_its_name_there() -> None:
    for name in SCHEDULERS:
        assert "Sampler: " in a1111_text(_made(scheduler=name))


def test_what_was_chosen_and_from_what() -> None:
    made = _made(prompt="a red cat", template="a {red|blue} cat", negative_prompt="x", negative_template="__w__")
    assert read_easel(easel_text(made)) == made
    found = read_a1111(a1111_text(made))
    assert (found["Prompt"], found["Template"]) == ("a red cat", "a {red|blue} cat")
    assert (found["Negative prompt"], found["Negative Template"]) == ("x", "__w__")
