import random
import struct
from functools import cache
from pathlib import Path

import pytest

from engine.families import FAMILIES
from engine.formats.safetensors import Header, Tensor, read_header
from engine.library.guess import KINDS, Guess, Question
from engine.library.headers import guess_header
from engine.library.headers.answers import answers, settled
from engine.library.headers.predictions import prediction_of
from engine.library.sidecars import Sidecar
from tests.headers.__main__ import GROUPS, variations, verdict
from tests.headers.cases import Case


@cache
def _cases(group: str) -> tuple[Case, ...]:
    return tuple(GROUPS[group]())


def _case(group: str, label: str) -> Case:
    return next(case for case in _cases(group) if case.label == label)


@pytest.mark.parametrize("group", GROUPS)
def test_every_kind_is_right_whatever_its_prefix_order_and_company(group: str) -> None:
    wrong = [
        (case.label, guess)
        for case in _cases(group)
        for header in variations(case)
        if verdict(case, guess := guess_header(header, case.name)) != "right"
    ]
    assert wrong == []


def test_there_are_more_than_a_hundred_and_twenty_kinds() -> None:
    labels = [case.label for group in GROUPS for case in _cases(group)]
    assert len(labels) == len(set(labels)) > 300


def test_a_guess_says_what_it_rests_on_and_a_refusal_is_two_sentences() -> None:
    for group in GROUPS:
        for case in _cases(group):
            guess = guess_header(case.header(), case.name)
            assert guess.kind in KINDS
            assert guess.rests_on.endswith(".")
            assert guess.rests_on[0].isupper() or guess.rests_on[0] in "“"
            assert guess.refusal == "" or guess.refusal.count(". ") == 1
            assert guess.family in FAMILIES or guess.refusal or not guess.family
            assert all(len(question.choices) > 1 for question in guess.questions)


def test_the_likeliest_answer_stands_first() -> None:
    whole = _case("models", "SD 1.5 checkpoint")
    lightning = guess_header(whole.header(), "realistic_lightning_4step")
    assert next(each for each in lightning.questions if each.about == "few steps").choices[0] == "Lightning"
    plain = guess_header(whole.header(), "realistic")
    assert next(each for each in plain.questions if each.about == "few steps").choices[0] == "no"
    vae = _case("others", "SDXL VAE, by its name")
    assert guess_header(vae.header(), "sdxl_vae").questions == (Question("family", ("sdxl", "sd1")),)
    assert guess_header(vae.header(), "vae-ft-mse").questions == (Question("family", ("sd1", "sdxl")),)


def test_odd_headers_are_unknown() -> None:
    names = ["", ".", "a" * 512, "model.diffusion_model.", "lora_unet_", "…", "<b>x</b>", "../../etc/passwd", "\u202e"]
    for name in names:
        for shape in ((), (0,), (1,) * 16, (2**62, 2**62)):
            guess = guess_header(Header({name: Tensor("F16", shape, 0, 0)}, {}), name)
            assert guess.family == "", name
            assert guess.kind in ("unknown", "lora")


def _sd2(tmp_path: Path, name: str, dtype: str, numbers: bytes, count: int) -> Path:
    head = f'{{"{name}":{{"dtype":"{dtype}","shape":[{count}],"data_offsets":[0,{len(numbers)}]}}}}'.encode()
    path = tmp_path / "model.safetensors"
    path.write_bytes(struct.pack("<Q", len(head)) + head + numbers)
    return path


@pytest.mark.parametrize(("spread", "prediction"), [(0.02, "epsilon"), (0.2, "v-prediction")])
@pytest.mark.parametrize("dtype", ["F32", "F16", "BF16"])
@pytest.mark.parametrize(
    "name",
    [
        "model.diffusion_model.output_blocks.11.1.transformer_blocks.0.norm1.bias",
        "up_blocks.3.attentions.2.transformer_blocks.0.norm1.bias",
    ],
)
def test_one_small_tensor_tells_what_sd2_predicts(
    tmp_path: Path, spread: float, prediction: str, dtype: str, name: str
) -> None:
    dice = random.Random(1)
    numbers = [dice.gauss(0, spread) for _ in range(320)]
    packed = {
        "F32": lambda: struct.pack("<320f", *numbers),
        "F16": lambda: struct.pack("<320e", *numbers),
        "BF16": lambda: b"".join(struct.pack("<f", each)[2:] for each in numbers),
    }[dtype]()
    path = _sd2(tmp_path, name, dtype, packed, 320)
    assert prediction_of(path, read_header(path)) == prediction
    path.write_bytes(path.read_bytes()[:-8])  # behind the header's back
    header = Header({name: Tensor(dtype, (320,), 0, len(packed))}, {})
    assert prediction_of(path, header) == ""
    assert prediction_of(tmp_path / "none", header) == ""


def test_numbers_that_are_none_tell_nothing(tmp_path: Path) -> None:
    name = "up_blocks.3.attentions.2.transformer_blocks.0.norm1.bias"
    path = _sd2(tmp_path, name, "F32", struct.pack("<4f", 1, float("nan"), float("inf"), 2), 4)
    assert prediction_of(path, read_header(path)) == ""
    assert prediction_of(path, Header({}, {})) == ""


def test_a_card_answers_questions_and_only_those() -> None:
    guess = Guess("vae", questions=(Question("family", ("sd1", "sdxl")), Question("few steps", ("no", "LCM"))))
    said = answers(guess, Sidecar(family="sdxl", few_steps="Turbo", prediction="epsilon"))
    assert said == {"family": "sdxl"}
    found = settled(guess, said)
    assert (found.family, [each.about for each in found.questions]) == ("sdxl", ["few steps"])
    assert settled(found, {"few steps": "LCM"}).variants == ("few steps: LCM",)
    assert settled(found, {"few steps": "no"})._replace(questions=()) == found._replace(questions=())
    assert settled(found, {"few steps": "nonsense", "other": "x"}) == found


def test_an_answer_may_be_a_family_that_easel_does_not_run() -> None:
    guess = Guess("lora", questions=(Question("family", ("flux", "Chroma")),))
    found = settled(guess, {"family": "Chroma"})
    assert (found.family, found.questions) == ("Chroma", ())
    assert found.refusal.startswith("This is a LoRA for Chroma")
    assert settled(guess, {"family": "flux"}).refusal == ""
