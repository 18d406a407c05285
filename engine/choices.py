"""Wildcards and choices in a prompt: `__name__` is a line of a text file, `{a|b|2::c}` one of several things.

The rules are those of the Dynamic Prompts extension (https://github.com/adieyal/sd-dynamic-prompts, its wiki's Syntax):
`2::c` is twice as likely as what has no number; `{2$$a|b|c}` is two different ones with a comma between them,
`{1-3$$ and $$a|b|c}` one to three with “ and ” between them. Files are UTF-8 text in Easel's folder `wildcards` and
the folders in it (`__animals/cats__`), a thing a line, with choices and wildcards of their own; lines that begin with
# are left out. A backslash takes the meaning from a brace, a bar or an underscore, a bar inside `[a|b]` has another
one. Full-width braces, bars, colons and dollar or yuan signs, as Chinese keyboards have, count.
"""

import random
import re
import unicodedata
from pathlib import Path
from typing import NamedTuple

from engine import paths
from engine.errors import BadInput, closest
from engine.settings import MAX_PROMPT

MAX_DEPTH = 50
"""Of choices and wildcards in one another."""
MAX_PICKS = 10_000
"""Of one prompt: wildcards that call two others each would double without end."""
MAX_FILE_BYTES = 16 * 2**20
SUFFIX = ".txt"
_TOKEN = re.compile(
    r"\\.|<lora:(?:\\.|[^\\<>{}｛｝])*>|__(?=\S)((?:(?!__)[^\n{}|｛｝｜\\<>]){1,100})(?<=\S)__"
    r"|[{}|\[\]｛｝｜]|[^\\<_{}|\[\]｛｝｜]+|.",
    re.DOTALL,
)
_MONEY = r"(?:\$\$|＄＄|￥￥)"
_COUNT = re.compile(rf"\s*(\d{{1,3}})(?:\s*-\s*(\d{{1,3}}))?\s*{_MONEY}(?:(.*?){_MONEY})?", re.DOTALL)
_WEIGHT = re.compile(r"\s*(\d{1,9}(?:\.\d{0,9})?|\.\d{1,9})\s*[:：]{2}")


class Wildcards:
    """The files of a folder, each read once."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder or paths.home() / "wildcards"
        self._files: dict[str, Path] | None = None
        self._read: dict[Path, tuple[_Option, ...]] = {}

    def options(self, name: str, where: str) -> "tuple[_Option, ...]":
        """The lines of a wildcard. Raises BadInput for one that is missing, empty or no text."""
        if self._files is None:
            self._files = {_key(str(path.relative_to(self._folder).with_suffix("").as_posix())): path
                           for path in sorted(self._folder.rglob(f"*{SUFFIX}"))}  # fmt: skip
        path = self._files.get(_key(name))
        if path is None:
            known = [key for key in self._files if closest(name, [key]).startswith("Did")]
            advice = closest(name, known) if known else rf"Put “{name}{SUFFIX}” into “{self._folder}”, or write \__."
            raise BadInput(f"There is no wildcard “{name}”.", advice, where)
        if path not in self._read:
            self._read[path] = _lines(path, where)
        return self._read[path]


def chosen(text: str, seed: int, where: str, wildcards: Wildcards) -> str:
    """The prompt with everything chosen, by the seed and the prompt's own name `where`; chosen again, it stays so.

    Raises BadInput for wildcards that are missing or lead back to themselves, and for a prompt that grows too long.
    """
    nodes = _parsed(text, where)
    if _is_plain(nodes):
        return text
    done = _Choosing(random.Random(f"{seed} {where}"), where, wildcards).text_of(nodes)
    # Underscores of several pieces may have come together to a wildcard that nobody wrote.
    return done if _is_plain(_parsed(done, where)) else done.replace("__", r"\_\_")


def _is_plain(nodes: "_Nodes") -> bool:
    return all(isinstance(node, str | _Sign) for node in nodes)


class _Sign(NamedTuple):
    """A bar or a square bracket, which only a choice around it gives a meaning."""

    text: str


class _Wildcard(NamedTuple):
    name: str


class _Line(NamedTuple):
    """A line of a file, its weight taken off; read once it is chosen, for a file may have a million."""

    text: str


class _Option(NamedTuple):
    weight: float
    nodes: "_Nodes"


class _Choice(NamedTuple):
    options: tuple[_Option, ...]
    fewest: int
    most: int
    between: str


_Node = str | _Sign | _Wildcard | _Choice | _Line
_Nodes = tuple[_Node, ...]


class _Choosing:
    """One prompt on its way."""

    def __init__(self, rng: random.Random, where: str, wildcards: Wildcards) -> None:
        self._rng = rng
        self._where = where
        self._wildcards = wildcards
        self._trail: list[str] = []
        self._depth = self._picks = self._length = 0

    def text_of(self, nodes: _Nodes) -> str:
        return "".join(self._text(node) for node in nodes)

    def _text(self, node: _Node) -> str:
        match node:
            case _Wildcard(name):
                return self._line(name)
            case _Choice():
                return self._chosen(node)
            case _Line(line):
                return self.text_of(_parsed(line, self._where))
            case _:
                text = node if isinstance(node, str) else node.text
                self._length += len(text)
                if self._length > MAX_PROMPT:
                    raise self._refusal("The prompt becomes too long with what its wildcards and choices say.")
                return text

    def _line(self, name: str) -> str:
        key = _key(name)
        if key in self._trail:
            way = " → ".join([*self._trail[self._trail.index(key) :], key])
            raise self._refusal(f"The wildcard “{name}” leads back to itself ({way[:200]}).")
        self._trail.append(key)
        (line,) = self._picked(self._wildcards.options(name, self._where), 1)
        self._trail.pop()
        return line

    def _chosen(self, choice: _Choice) -> str:
        options = choice.options
        if choice.most > 1 and len(options) == 1 and len(options[0].nodes) == 1:
            (only,) = options[0].nodes
            if isinstance(only, _Wildcard):  # several of a file's lines
                options = self._wildcards.options(only.name, self._where)
        if choice.fewest > len(options):
            raise BadInput(
                f"A choice in the prompt asks for {choice.fewest} of {len(options)} things.",
                "Ask for fewer, or give more.",
                self._where,
            )
        count = choice.fewest + int(self._rng.random() * (min(choice.most, len(options)) - choice.fewest + 1))
        texts = self._picked(options, count)
        return texts[0] if choice.most == 1 and texts else choice.between.join(text.strip() for text in texts)

    def _picked(self, options: tuple[_Option, ...], count: int) -> list[str]:
        """The texts of so many different options, in the order in which they were drawn."""
        self._depth += 1
        self._picks += count
        if self._depth > MAX_DEPTH or self._picks > MAX_PICKS:
            raise self._refusal("The prompt's wildcards and choices lead on and on.")
        left, texts = list(options), list[str]()
        for _ in range(count):
            point = self._rng.random() * sum(option.weight for option in left)
            place = 0
            while place < len(left) - 1 and (point := point - left[place].weight) >= 0:
                place += 1
            texts.append(self.text_of(left.pop(place).nodes))
        self._depth -= 1
        return texts

    def _refusal(self, cause: str) -> BadInput:
        return BadInput(cause, "Change the files or the prompt.", self._where)


def _parsed(text: str, where: str) -> _Nodes:
    stack: list[list[_Node]] = [[]]
    for match in _TOKEN.finditer(text):
        token = match.group()
        if token in ("{", "｛"):
            if len(stack) > MAX_DEPTH:
                raise BadInput(f"The prompt's braces are more than {MAX_DEPTH} deep.", "Use fewer.", where)
            stack.append([])
        elif token in ("}", "｝") and len(stack) > 1:
            done = stack.pop()
            stack[-1].append(_choice(done))
        elif match[1]:
            stack[-1].append(_Wildcard(match[1]))
        elif token in ("|", "｜", "[", "]"):
            stack[-1].append(_Sign(token))
        else:  # a brace without its other half stays text, and stays so when it is read again
            _add(stack[-1], f"\\{token}" if token in ("}", "｝", "\\") else token)
    while len(stack) > 1:
        done = stack.pop()
        _add(stack[-1], r"\{")
        stack[-1] += done
    return tuple(stack[0])


def _add(nodes: list[_Node], text: str) -> None:
    if nodes and isinstance(nodes[-1], str):
        nodes[-1] += text
    else:
        nodes.append(text)


def _choice(nodes: list[_Node]) -> _Choice:
    bars = [-1, *_bars(nodes), len(nodes)]
    parts = [nodes[before + 1 : after] for before, after in zip(bars, bars[1:], strict=False)]
    fewest, most, between = 1, 1, ", "
    if found := _COUNT.match(_beginning(parts[0])):
        parts[0] = _without(parts[0], found.end())
        fewest = int(found[1])
        most = max(int(found[2] or fewest), fewest)
        between = ", " if found[3] is None else found[3]
    return _Choice(tuple(map(_option, parts)), fewest, most, between)


def _bars(nodes: list[_Node]) -> list[int]:
    """The places of the bars that do not stand between square brackets."""
    opened: list[list[int]] = [[]]
    for place, node in enumerate(nodes):
        if not isinstance(node, _Sign):
            continue
        if node.text == "[":
            opened.append([])
        elif node.text != "]":
            opened[-1].append(place)
        elif len(opened) > 1:
            opened.pop()
    return sorted(place for places in opened for place in places)


def _option(nodes: list[_Node]) -> _Option:
    found = _WEIGHT.match(_beginning(nodes))
    if found is None:
        return _Option(1.0, tuple(nodes))
    return _Option(float(found[1]), tuple(_without(nodes, found.end())))


def _beginning(nodes: list[_Node]) -> str:
    return nodes[0] if nodes and isinstance(nodes[0], str) else ""


def _without(nodes: list[_Node], letters: int) -> list[_Node]:
    rest = _beginning(nodes)[letters:]
    return [rest, *nodes[1:]] if rest else nodes[1:]


def _lines(path: Path, where: str) -> tuple[_Option, ...]:
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise BadInput(f"The wildcard file “{path.name}” is too large.", "Use a smaller one.", where)
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(
            f"The wildcard file “{path.name}” cannot be read as text.", "Save it as UTF-8.", str(path)
        ) from error
    lines = [line for line in map(str.strip, text.split("\n")) if line and not line.startswith("#")]
    if not lines:
        raise BadInput(f"The wildcard file “{path.name}” is empty.", "Write something into it, a thing a line.", where)
    return tuple(_weighed(line) for line in lines)


def _weighed(line: str) -> _Option:
    found = _WEIGHT.match(line)
    return _Option(float(found[1]), (_Line(line[found.end() :]),)) if found else _Option(1.0, (_Line(line),))


def _key(name: str) -> str:
    """A name as it is looked for: file systems disagree on capitals and on composed letters."""
    return unicodedata.normalize("NFC", name).casefold()
