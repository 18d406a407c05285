"""The words on the screen: English in the code, other languages in tables swapped while running."""

import json

from PySide6.QtCore import QLocale

from engine.paths import RESOURCES

TABLES = RESOURCES / "words"
_words: dict[str, str] = {}


def tr(text: str) -> str:
    """The text in the language in use, or the text itself where the table has none."""
    return _words.get(text, text)


def use(language: str) -> None:
    """Speak one of the languages of the preferences; "system" is what the desktop speaks."""
    global _words
    chosen = of_system(QLocale.system().uiLanguages()) if language == "system" else language
    _words = json.loads((TABLES / f"{chosen}.json").read_text("utf-8"))


def of_system(spoken: list[str]) -> str:
    """The first language of the desktop's list that Easel speaks, English if there is none."""
    for tag in spoken:
        parts = tag.replace("_", "-").split("-")
        if parts[0] == "en":
            return "en"
        if parts[0] == "zh":
            traditional = {"Hant", "TW", "HK", "MO"} & set(parts) and "Hans" not in parts
            return "zh_Hant" if traditional else "zh_Hans"
    return "en"
