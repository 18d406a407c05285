import ast
import json
import string
from pathlib import Path

import pytest

from desktop import words
from desktop.create.invitation import EXAMPLES
from desktop.main_window import _TABS
from desktop.models.facts import _facts
from desktop.models.screen import _WAYS
from desktop.models.sentences import KINDS, STANDINGS
from desktop.widgets.amounts import duration
from desktop.words import TABLES, of_system, tr
from engine import rest
from engine.messages import Entry
from engine.settings import GenerateSettings, Preferences, fields

CHINESE = ("zh_Hans", "zh_Hant")
DESKTOP = Path(words.__file__).parent
AS_IT_IS = {
    "DPM++",
    "Euler",
    "Heun",
    "DPM2",
    "DDIM",
    "DDPM",
    "PNDM",
    "UniPC",
    "DEIS",
    "LCM",
    "int8",
    "bf16",
    "fp16",
    "fp32",
}


def table(language: str) -> dict[str, str]:
    return json.loads((TABLES / f"{language}.json").read_text("utf-8"))


def spoken() -> set[str]:
    """Every text that the window gives to `tr` in so many words."""
    found = set()
    for path in DESKTOP.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "tr":
                found |= {part.value for part in node.args if isinstance(part, ast.Constant)}
    return found


def declared() -> set[str]:
    tables = {*KINDS.values(), *STANDINGS.values(), *_WAYS.values(), *_TABS.values(), *_facts(Entry(path="", name=""))}
    tables |= set(EXAMPLES)
    return tables | of_settings() | {rest.ON_BATTERY, rest.HOT}


def of_settings() -> set[str]:
    every = [field.setting for of in (GenerateSettings, Preferences) for field in fields(of)]
    choices = {choice for setting in every for choice in setting.choices if choice.split()[0] not in AS_IT_IS}
    return {text for one in every for text in (one.label, one.help, one.absent) if text} | choices


@pytest.mark.parametrize("language", CHINESE)
def test_every_word_is_translated(language: str) -> None:
    assert (spoken() | declared()) - set(table(language)) == set()


@pytest.mark.parametrize("language", ["en", *CHINESE])
def test_what_is_filled_in_stays(language: str) -> None:
    def gaps(text: str) -> set[str | None]:
        return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}

    for text, translated in table(language).items():
        assert gaps(text) == gaps(translated), text


def test_the_two_chinese_tables_have_the_same_words() -> None:
    assert list(table("zh_Hans")) == list(table("zh_Hant"))


@pytest.mark.parametrize(
    ("languages", "expected"),
    [
        (["de-DE", "en-GB"], "en"),
        (["zh-CN"], "zh_Hans"),
        (["zh-Hans-CN", "en"], "zh_Hans"),
        (["zh-Hant-HK"], "zh_Hant"),
        (["zh_TW"], "zh_Hant"),
        (["zh-Hans-HK"], "zh_Hans"),
        (["fr", "zh-TW"], "zh_Hant"),
        (["ja"], "en"),
        ([], "en"),
    ],
)
def test_speaks_what_the_system_speaks(languages: list[str], expected: str) -> None:
    assert of_system(languages) == expected


def test_an_unknown_text_is_itself() -> None:
    words.use("zh_Hant")
    assert tr("Steps") == "步數"
    assert tr("Steps and more") == "Steps and more"


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(0.042, "0.04 s"), (0.25, "0.2 s"), (1.44, "1.4 s"), (18.2, "18 s"), (59.7, "1 min 0 s"), (125, "2 min 5 s")],
)
def test_times_are_easy_to_read(seconds: float, expected: str) -> None:
    words.use("en")
    assert duration(seconds) == expected
