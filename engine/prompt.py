"""The prompt's syntax: weights, schedules, alternation, BREAK and LoRA calls, parsed once to a tree.

The rules are those that AUTOMATIC1111's web UI publishes (https://github.com/AUTOMATIC1111/stable-diffusion-webui/wiki/
Features): `(a)` is 1.1 times as strong, `(a:1.3)` 1.3 times, `[a]` 1/1.1 times; `[a:b:0.5]` becomes b after half of the
steps, `[a:b:12]` after twelve, `[b:0.5]` and `[a::0.5]` begin or end there; `[a|b]` takes turns step by step; `BREAK`
begins a new chunk of tokens; a backslash takes the meaning from a bracket. Brackets that are never closed are closed
at the end, brackets that were never opened are text. Full-width brackets, bars and colons, as Chinese keyboards have,
count. Wildcards and choices are decided before (`engine.choices`); here their signs are text, without the backslash.
"""

import math
import re
from collections.abc import Iterator
from typing import NamedTuple

from engine.errors import BadInput

LOUDER = 1.1
MAX_DEPTH = 100
MAX_WEIGHT = 10.0
MAX_LORAS = 100
_TOKEN = re.compile(
    r"\\[\\()\[\]{}（）｛｝：｜:|<>_]|<lora:(?:\\.|[^\\<>])*>|[()\[\]|:（）：｜]|\bBREAK\b|[^\\()\[\]|:（）：｜<B]+|.",
    re.DOTALL,
)
_PLAIN = {"（": "(", "）": ")", "：": ":", "｜": "|"}
_NAME = re.compile(r"[^/\\\x00-\x1f]+(?:/[^/\\\x00-\x1f]+)*")
"""Of a LoRA, with folders that it lies in before it; never a path from the root."""
_SIGNS = re.compile(r"[:<>{}｛｝]")
_BLOCKS = re.compile(r":\s*lbw\s*=\s*([^:<>]*)")


class LoraCall(NamedTuple):
    """`<lora:name:weight:text encoder's weight:lbw=1,0,1>`; without its own, the text encoder gets the first weight."""

    name: str
    weight: float
    text_encoder_weight: float | None
    blocks: tuple[float, ...] = ()
    """A factor for each block, as https://github.com/hako-mikan/sd-webui-lora-block-weight has them; none for all 1."""


class Words(NamedTuple):
    """Plain text, escapes undone."""

    text: str


class Break(NamedTuple):
    """The end of a chunk."""


class Weighted(NamedTuple):
    """What stands in brackets, and how much stronger it is."""

    nodes: "Nodes"
    weight: float


class Scheduled(NamedTuple):
    """One thing up to a step, another from then on. `when` is a share of the steps, or a number of them."""

    before: "Nodes"
    after: "Nodes"
    when: float
    is_share: bool


class Alternating(NamedTuple):
    """Things that take turns step by step."""

    turns: "tuple[Nodes, ...]"


Node = Words | Break | Weighted | Scheduled | Alternating
Nodes = tuple[Node, ...]


class Prompt(NamedTuple):
    """A parsed prompt."""

    nodes: Nodes
    loras: tuple[LoraCall, ...]


class Fragment(NamedTuple):
    """Text and its weight; None for the end of a chunk."""

    text: str | None
    weight: float


class Span(NamedTuple):
    """Steps `first` to `last`, counted from 1, in which the prompt is the same."""

    first: int
    last: int
    fragments: tuple[Fragment, ...]


def parse(text: str) -> Prompt:
    """The tree of a prompt. Raises BadInput for weights out of range, impossible LoRA calls and too deep brackets."""
    stack = [_Open("")]
    loras: list[LoraCall] = []
    for match in _TOKEN.finditer(text):
        token = match.group()
        if token.startswith("<lora:") and len(token) > 1:
            loras.append(_lora(token))
            continue
        _take(_PLAIN.get(token, token), stack)
    while len(stack) > 1:
        _close(stack, "")
    if len(loras) > MAX_LORAS:
        raise BadInput(f"The prompt calls {len(loras)} LoRAs.", f"Use at most {MAX_LORAS}.", where="prompt")
    return Prompt(stack[0].joined(), tuple(loras))


def lora_call(name: str) -> str:
    """What a prompt says to use that LoRA."""
    return f"<lora:{escaped(name)}:1>"


def escaped(name: str) -> str:
    """A LoRA's name as it stands in its call: a backslash takes the meaning from signs in it."""
    return _SIGNS.sub(r"\\\g<0>", name)


def schedule(prompt: Prompt, steps: int) -> list[Span]:
    """The prompt of each step, those that are the same together. Spaces at the two ends of a chunk are left out."""
    spans: list[Span] = []
    for step in range(1, max(steps, 1) + 1):
        fragments = tuple(_merged(_at(prompt.nodes, step, steps, 1.0)))
        if spans and spans[-1].fragments == fragments:
            spans[-1] = spans[-1]._replace(last=step)
        else:
            spans.append(Span(step, step, fragments))
    return spans


class _Open:
    """A bracket that is open: what stands in it so far, divided at its own bars and colons."""

    def __init__(self, bracket: str) -> None:
        self.bracket = bracket
        self.parts: list[list[Node]] = [[]]
        self.dividers: list[str] = []

    def add(self, node: Node) -> None:
        last = self.parts[-1]
        if isinstance(node, Words) and last and isinstance(last[-1], Words):
            last[-1] = Words(last[-1].text + node.text)
        else:
            last.append(node)

    def divide(self, divider: str) -> None:
        self.parts.append([])
        self.dividers.append(divider)

    def joined(self, first: int = 0, last: int | None = None) -> Nodes:
        """The parts from `first` up to `last`, the dividers between them as text again."""
        whole = _Open("")
        last = len(self.parts) if last is None else last
        for place in range(first, last):
            if place > first:
                whole.add(Words(self.dividers[place - 1]))
            for node in self.parts[place]:
                whole.add(node)
        return tuple(whole.parts[0])

    def number(self) -> str:
        """The last part where it is the text of a number behind a colon; else nothing."""
        if not self.dividers or self.dividers[-1] != ":":
            return ""
        said = "".join(node.text if isinstance(node, Words) else "(" for node in self.parts[-1]).strip()
        return said if re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?|nan|inf", said, re.IGNORECASE) else ""


def _take(token: str, stack: list[_Open]) -> None:
    opened = stack[-1]
    if token in ("(", "["):
        if len(stack) > MAX_DEPTH:
            raise BadInput(f"The prompt's brackets are more than {MAX_DEPTH} deep.", "Use fewer.", where="prompt")
        stack.append(_Open(token))
    elif token == {"(": ")", "[": "]"}.get(opened.bracket):
        _close(stack, token)
    elif token == ":" and opened.bracket or token == "|" and opened.bracket == "[":
        opened.divide(token)
    elif token == "BREAK":
        opened.add(Break())
    else:
        opened.add(Words(token[1:] if len(token) == 2 and token[0] == "\\" else token))


def _close(stack: list[_Open], token: str) -> None:
    done = stack.pop()
    for node in _weighted(done) if done.bracket == "(" else _square(done, closed=bool(token)):
        stack[-1].add(node)


def _weighted(done: _Open) -> Nodes:
    number = done.number()
    if not number:
        return (Weighted(done.joined(), LOUDER),)
    return (Weighted(done.joined(0, len(done.parts) - 1), _checked(number)),)


def _square(done: _Open, *, closed: bool) -> Nodes:
    if closed and "|" in done.dividers:
        ends = [place + 1 for place, divider in enumerate(done.dividers) if divider == "|"]
        return (
            Alternating(tuple(done.joined(*pair) for pair in zip([0, *ends], [*ends, len(done.parts)], strict=True))),
        )
    number = done.number() if closed else ""
    colons = len(done.dividers)
    if number and colons in (1, 2):
        before = done.joined(0, 1) if colons == 2 else ()
        when = float(number)
        if not (math.isfinite(when) and when >= 0):
            raise BadInput(
                f"“{number}” is no step at which a prompt can change.", "Use a share or a step.", where="prompt"
            )
        return (Scheduled(before, done.joined(colons - 1, colons), when, "." in number),)
    return (Weighted(done.joined(), 1 / LOUDER),)


def _checked(number: str) -> float:
    weight = float(number)
    if not abs(weight) <= MAX_WEIGHT:
        raise BadInput(
            f"The weight “{number[:20]}” in the prompt is out of range.",
            f"Use a number from -{MAX_WEIGHT:g} to {MAX_WEIGHT:g}.",
            where="prompt",
        )
    return weight


def _lora(token: str) -> LoraCall:
    rows = _BLOCKS.findall(token)
    name, *numbers = re.split(r"(?<!\\):", _BLOCKS.sub("", token)[len("<lora:") : -1])
    name = re.sub(rf"\\({_SIGNS.pattern})", r"\1", name).strip()
    if not _NAME.fullmatch(name) or ".." in name.split("/") or len(numbers) > 2 or len(rows) > 1:
        raise BadInput(
            f"“{token[:60]}” names no LoRA that can be.",
            "Use <lora:name:weight> with the name of a LoRA you have.",
            "prompt",
        )
    try:
        weights = [float(number) for number in numbers]
        blocks = tuple(float(number) for row in rows for number in row.split(","))
    except ValueError:
        raise BadInput(f"“{token[:60]}” has a weight that is no number.", "Use <lora:name:0.8>.", "prompt") from None
    for number in (*weights, *blocks):
        _checked(str(number))
    return LoraCall(name, weights[0] if weights else 1.0, weights[1] if len(weights) > 1 else None, blocks)


def _at(nodes: Nodes, step: int, steps: int, weight: float) -> Iterator[Fragment]:
    """The fragments of one step, in order; no deeper than the brackets were."""
    for node in nodes:
        match node:
            case Words(text):
                yield Fragment(text, weight)
            case Break():
                yield Fragment(None, 1.0)
            case Weighted(inner, factor):
                yield from _at(inner, step, steps, weight * factor)
            case Scheduled(before, after, when, is_share):
                turn = min(steps, int(when * steps if is_share else when))
                yield from _at(before if step <= turn else after, step, steps, weight)
            case Alternating(turns):
                yield from _at(turns[(step - 1) % len(turns)], step, steps, weight)


def _merged(fragments: Iterator[Fragment]) -> Iterator[Fragment]:
    last: Fragment | None = None
    for each in fragments:
        if last is not None and last.text is not None and each.text is not None and last.weight == each.weight:
            last = Fragment(last.text + each.text, last.weight)
            continue
        if last is not None:
            yield last
        last = each
    if last is not None:
        yield last
