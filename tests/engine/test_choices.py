"""Wildcards and choices, by the rules of the Dynamic Prompts extension."""

import random
import time
from collections import Counter
from pathlib import Path

import pytest

from engine.choices import Wildcards, chosen
from engine.errors import BadInput
from engine.prompt import parse, schedule


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "wildcards 通配符"


def write(folder: Path, **files: str) -> None:
    for name, text in files.items():
        path = folder / f"{name}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")


def pick(text: str, folder: Path, seed: int = 1, where: str = "prompt") -> str:
    return chosen(text, seed, where, Wildcards(folder))


def every(text: str, folder: Path, seeds: int = 200) -> Counter[str]:
    wildcards = Wildcards(folder)
    return Counter(chosen(text, seed, "prompt", wildcards) for seed in range(seeds))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a {red|blue} house", {"a red house", "a blue house"}),
        ("{a}", {"a"}),
        ("{}x", {"x"}),
        ("a{| big} house", {"a house", "a big house"}),
        ("{a|{b|c}}", {"a", "b", "c"}),
        ("{2$$a|b|c}", {"a, b", "b, a", "a, c", "c, a", "b, c", "c, b"}),
        ("{2$$ and $$a|b}", {"a and b", "b and a"}),
        ("{0-1$$a|b}", {"", "a", "b"}),
        ("{1-9$$a|b}", {"a", "b", "a, b", "b, a"}),
        ("{0::a|b}", {"b"}),
        ("{[a|b]|c}", {"[a|b]", "c"}),
        ("{[a:b:3]|(c:1.2)}", {"[a:b:3]", "(c:1.2)"}),
        ("{[a|b}", {"[a", "b"}),
        ("{<lora:a__b__c:1>|x}", {"<lora:a__b__c:1>", "x"}),
        ("<lora:a:{0.5|0.7}>", {"<lora:a:0.5>", "<lora:a:0.7>"}),
        ("｛红｜蓝｝房子", {"红房子", "蓝房子"}),
        ("｛２￥￥红｜蓝｝", {"红, 蓝", "蓝, 红"}),
        ("｛2￥￥红｜蓝｝", {"红, 蓝", "蓝, 红"}),
        ("{0：：a|b}", {"b"}),
        ("{猫|🐱}", {"猫", "🐱"}),
    ],
)
def test_choices(text: str, expected: set[str], folder: Path) -> None:
    assert set(every(text, folder)) == expected


@pytest.mark.parametrize(
    "text", ["", "a house", r"\{a|b\}", r"100% \ x", "[a|b]", "a_b __ c", "{open", "closed}", r"\__x__", "1|2｜3"]
)
def test_text_without_a_choice_stays_as_it_is(text: str, folder: Path) -> None:
    assert pick(text, folder) == text


def test_escaped_signs_are_text_in_the_end() -> None:
    ((text, _),) = schedule(parse(r"\{a\|b\} \__x\__ \｛"), 1)[0].fragments
    assert text == "{a|b} __x__ ｛"


def test_a_number_makes_a_choice_likelier(folder: Path) -> None:
    found = every("{3::a|b}", folder, 2000)
    assert 0.70 < found["a"] / 2000 < 0.80
    write(folder, colour="3::红\n蓝\n")
    found = every("__colour__", folder, 2000)
    assert 0.70 < found["红"] / 2000 < 0.80


def test_a_line_of_a_file(folder: Path) -> None:
    write(folder, **{"颜色": "\ufeff# 注释\n红\r\n\n 蓝 \n{绿|紫}", "动物/猫": "__颜色__猫", "Hair Colour": "blond"})
    assert set(every("a __颜色__ b", folder)) == {"a 红 b", "a 蓝 b", "a 绿 b", "a 紫 b"}
    assert set(every("__动物/猫__", folder)) == {"红猫", "蓝猫", "绿猫", "紫猫"}
    assert pick("__hair colour__", folder) == "blond"
    pairs = set(every("{2$$__颜色__}", folder))
    assert "红, 蓝" in pairs
    assert not {pair for pair in pairs if len(set(pair.split(", "))) < 2}


def test_the_seed_decides_and_both_prompts_choose_for_themselves(folder: Path) -> None:
    text = "{a|b|c|d|e|f|g|h}" * 4
    assert pick(text, folder, 5) == pick(text, folder, 5)
    assert pick(text, folder, 5) != pick(text, folder, 6)
    assert pick(text, folder, 5) != pick(text, folder, 5, "negative_prompt")
    assert pick(text, folder, 5) == "egae"  # for ever: pictures are made again from it


def test_what_was_chosen_stays_when_it_is_read_again(folder: Path) -> None:
    write(folder, w="{open\nclosed}\n\\{x\\}")
    for seed in range(20):
        text = pick("__w__ b} {c|d", folder, seed)
        assert pick(text, folder, seed) == text


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("__none__", "no wildcard “none”"),
        ("__../secret__", "no wildcard"),
        ("__loop__", r"leads back to itself \(loop → again → loop\)"),
        ("__LOOP__", "leads back to itself"),
        ("{3$$a|b}", "asks for 3 of 2"),
        ("{2$$__one__}", "asks for 2 of 1"),
        ("__bytes__", "cannot be read as text"),
        ("__nothing__", "is empty"),
        ("__folder__", "cannot be read"),
        ("__d0__", "lead on and on"),
        ("__long__" * 3, "becomes too long"),
        ("{" * 10_000 + "a" + "}" * 10_000, "more than 50 deep"),
    ],
)
def test_what_cannot_be_is_refused_in_one_sentence(text: str, cause: str, folder: Path) -> None:
    write(folder, loop="__again__", again="__loop__", one="1", nothing="# only\n", long="x" * 90_000)
    write(folder, **{f"d{place}": f"__d{place + 1}__ __d{place + 1}__" for place in range(20)}, d20="x")
    (folder / "bytes.txt").write_bytes("颜色".encode("gbk"))
    (folder / "folder.txt").mkdir()
    (folder.parent / "secret.txt").write_text("secret", "utf-8")
    with pytest.raises(BadInput, match=cause) as refused:
        pick(text, folder)
    assert len(refused.value.cause) < 320
    assert refused.value.advice


def test_a_missing_wildcard_names_what_may_be_meant(folder: Path) -> None:
    write(folder, colours="red")
    with pytest.raises(BadInput, match="Did you mean “colours”"):
        pick("__colour__", folder)
    with pytest.raises(BadInput, match="Put “dogs.txt” into “.*wildcards 通配符”") as refused:
        pick("__dogs__", folder, where="negative_prompt")
    assert refused.value.where == "negative_prompt"


SIGNS = ["a", "{", "}", "|", "__", "_", "2$$", "3::", "[", "]", "\\", "<lora:", ">", "｛", "猫", "w"]


def test_any_text_is_chosen_from_soon(folder: Path) -> None:
    write(folder, a="x\n{y|z}", w="__a__")
    rng, wildcards = random.Random(5), Wildcards(folder)
    began = time.monotonic()
    for seed in range(500):
        try:
            text = chosen("".join(rng.choices(SIGNS, k=60)), seed, "prompt", wildcards)
        except BadInput:
            continue
        assert chosen(text, seed, "prompt", wildcards) == text
    for piece in ("{a|b}", "__a__", "{", "}", "_", "{2$$", "[a|"):
        try:
            chosen(piece * (200_000 // len(piece)), 1, "prompt", wildcards)
        except BadInput:
            continue
    assert time.monotonic() - began < 20
