"""The prompt's syntax, by the rules that AUTOMATIC1111's web UI publishes."""

import random
import time

import pytest

from engine.choices import Wildcards, chosen
from engine.errors import BadInput
from engine.prompt import MAX_DEPTH, LoraCall, lora_call, parse, schedule


def said(text: str, step: int = 1, steps: int = 10) -> list[tuple[str | None, float]]:
    """The fragments of one step, weights rounded."""
    spans = schedule(parse(text), steps)
    span = next(span for span in spans if span.first <= step <= span.last)
    return [(each.text, round(each.weight, 4)) for each in span.fragments]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a house", [("a house", 1.0)]),
        ("", []),
        ("a (red) house", [("a ", 1.0), ("red", 1.1), (" house", 1.0)]),
        ("((red))", [("red", 1.21)]),
        ("[red]", [("red", 0.9091)]),
        ("(red:1.5)", [("red", 1.5)]),
        ("(red: .5 )", [("red", 0.5)]),
        ("(a (b:2) c:1.5)", [("a ", 1.5), ("b", 3.0), (" c", 1.5)]),
        ("(red:-1)", [("red", -1.0)]),
        ("(a:b)", [("a:b", 1.1)]),
        ("a:b", [("a:b", 1.0)]),
        ("a | b", [("a | b", 1.0)]),
        (r"\(red\) \[x\] \\", [("(red) [x] \\", 1.0)]),
        (r"(a\:b:1.2)", [("a:b", 1.2)]),
        ("(unclosed (twice", [("unclosed ", 1.1), ("twice", 1.21)]),
        ("never) opened]", [("never) opened]", 1.0)]),
        ("（猫：1.3）和（狗）", [("猫", 1.3), ("和", 1.0), ("狗", 1.1)]),
        ("a BREAK b", [("a ", 1.0), (None, 1.0), (" b", 1.0)]),
        ("BREAKFAST", [("BREAKFAST", 1.0)]),
        ("a <lora:x:0.5> b", [("a  b", 1.0)]),
        ("1 < 2 > 0", [("1 < 2 > 0", 1.0)]),
    ],
)
def test_weights(text: str, expected: list[tuple[str | None, float]]) -> None:
    assert said(text) == expected


@pytest.mark.parametrize(
    ("text", "spans"),
    [
        ("test", [(10, "test")]),
        ("a [b:3]", [(3, "a "), (10, "a b")]),
        ("a [b: 3]", [(3, "a "), (10, "a b")]),
        ("a [[[b]]:2]", [(2, "a "), (10, "a b")]),
        ("[a:2]", [(2, ""), (10, "a")]),
        ("[a::5]", [(5, "a"), (10, "")]),
        ("a [b:.5] c", [(5, "a  c"), (10, "a b c")]),
        ("a [b::0.5]", [(5, "a b"), (10, "a ")]),
        ("a [fantasy:cyberpunk:0.3] landscape", [(3, "a fantasy landscape"), (10, "a cyberpunk landscape")]),
        ("[a:b:99]", [(10, "a")]),
        ("[a:b:0]", [(10, "b")]),
        ("[[a:b:2]:c:4]", [(2, "a"), (4, "b"), (10, "c")]),
        ("((a][:b:c [d:3]", [(3, "a]:b:c "), (10, "a]:b:c d")]),
    ],
)
def test_a_prompt_that_changes_on_the_way(text: str, spans: list[tuple[int, str]]) -> None:
    found = [(span.last, "".join(each.text or "" for each in span.fragments)) for span in schedule(parse(text), 10)]
    assert found == spans


def test_taking_turns() -> None:
    assert ["".join(text or "" for text, _ in said("a [b|c|(d:1.2)]", step)) for step in range(1, 6)] == [
        "a b", "a c", "a d", "a b", "a c"
    ]  # fmt: skip
    assert said("[x|(y:1.2)]", 2) == [("y", 1.2)]
    assert said("[红｜蓝]", 2) == [("蓝", 1.0)]
    assert said("[x|]", 2) == []


@pytest.mark.parametrize(
    ("text", "call"),
    [
        ("<lora:name>", LoraCall("name", 1.0, None)),
        ("<lora:a name 名:0.8>", LoraCall("a name 名", 0.8, None)),
        ("(<lora:x:-0.5:0.25>)", LoraCall("x", -0.5, 0.25)),
        ("<lora:people/last v1.5:1>", LoraCall("people/last v1.5", 1.0, None)),
        ("<lora:x:0.8:lbw=1,0, .5>", LoraCall("x", 0.8, None, (1.0, 0.0, 0.5))),
        ("<lora:x:0.8:0.2:lbw=1>", LoraCall("x", 0.8, 0.2, (1.0,))),
        ("<lora:x:lbw=0,1:0.7>", LoraCall("x", 0.7, None, (0.0, 1.0))),
    ],
)
def test_lora_calls(text: str, call: LoraCall) -> None:
    assert parse(f"a {text} b").loras == (call,)


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("<lora:../../x:1e309>", "names no LoRA"),
        ("<lora:/etc/x:1>", "names no LoRA"),
        ("<lora:a//b:1>", "names no LoRA"),
        ("<lora:a/:1>", "names no LoRA"),
        (r"<lora:a\b:1>", "names no LoRA"),
        ("<lora::1>", "names no LoRA"),
        ("<lora:x:much>", "no number"),
        ("<lora:x:1e309>", "out of range"),
        ("<lora:x:nan>", "out of range"),
        ("<lora:x:1:lbw=1,nan>", "out of range"),
        ("<lora:x:1:lbw=MIDD>", "no number"),
        ("<lora:x:1:lbw=>", "no number"),
        ("<lora:x:lbw=1:lbw=0>", "names no LoRA"),
        ("(x:1e309)", "out of range"),
        ("(x:nan)", "out of range"),
        ("(at 10:30)", "weight “30” in the prompt is out of range"),
        ("[a:b:inf]", "no step"),
        ("<lora:x:1>" * 101, "101 LoRAs"),
        ("(" * 10_000, "more than 100 deep"),
        ("[" * 10_000 + "x" + "]" * 10_000, "more than 100 deep"),
    ],
)
def test_what_cannot_be_is_refused_in_one_sentence(text: str, cause: str) -> None:
    with pytest.raises(BadInput, match=cause) as refused:
        parse(text)
    assert refused.value.where == "prompt"
    assert len(refused.value.cause) < 160


@pytest.mark.parametrize("name", ["v1..2", "ink: style", "墨 <b> 🎨", "people/{x}", "a|b"])
def test_any_name_can_be_called(name: str) -> None:
    call = lora_call(name)
    assert chosen(call, 1, "prompt", Wildcards()) == call
    assert [each.name for each in parse(f"a {call} b").loras] == [name]


def test_the_deepest_brackets_that_are_allowed() -> None:
    text = "(" * MAX_DEPTH + "x:0.1" + ")" * MAX_DEPTH
    assert said(text)[0][0] == "x"


def test_text_without_a_sign_passes_as_it_is() -> None:
    for text in ("一只红色的猫 🐱", "a, b. c! d? #e é\n\tf", "<not a call>", "100% \\ {x}"):
        assert said(text) == [(text, 1.0)]


SIGNS = ["a", " ", "(", ")", "[", "]", "|", ":", "0.5", "\\", "<lora:", ">", "BREAK", "（", "猫"]


def test_any_text_is_parsed_soon() -> None:
    """50,000 characters of signs; the seconds are a bound against exponential ways, not a measurement."""
    rng = random.Random(5)
    began = time.monotonic()
    for _ in range(300):
        text = "".join(rng.choices(SIGNS, k=60))
        try:
            schedule(parse(text), 7)
        except BadInput:
            continue
    for piece in ("(a)", "[a|b]", "a:", "<lora:", "[a:b:3]"):
        schedule(parse(piece * (200_000 // len(piece) // 4)), 3)
    assert time.monotonic() - began < 60
