"""The light and the dark set of colours. Every text reaches a contrast of 4.5:1 on what it stands on."""

from typing import NamedTuple

from PySide6.QtGui import QColor, QPalette


class Colours(NamedTuple):
    """What each colour is for; all as #rrggbb."""

    window: str
    card: str
    stage: str
    """Behind the picture; grey without a tint, so that it colours no picture."""
    field: str
    """Behind typed text."""
    hover: str
    line: str
    text: str
    muted: str
    accent: str
    accent_hover: str
    on_accent: str
    trouble: str
    trouble_card: str
    news: str
    news_card: str


LIGHT = Colours(
    window="#f5f5f3", card="#ffffff", stage="#ebebea", field="#f7f7f6", hover="#ededf0", line="#dcdcd9",
    text="#1c1c1f", muted="#5d5f66", accent="#5247c9", accent_hover="#453bb3", on_accent="#ffffff",
    trouble="#a3231b", trouble_card="#fdeeec", news="#3d3796", news_card="#efeefb",
)  # fmt: skip
DARK = Colours(
    window="#18191c", card="#202226", stage="#121213", field="#282a2f", hover="#303339", line="#34373d",
    text="#ececee", muted="#a7a9b1", accent="#a79dff", accent_hover="#bab2ff", on_accent="#17142e",
    trouble="#ffb3aa", trouble_card="#3a211f", news="#cbc5ff", news_card="#2a2742",
)  # fmt: skip

READ = (
    ("text", "window"), ("text", "card"), ("text", "field"), ("text", "hover"), ("text", "stage"),
    ("muted", "window"), ("muted", "card"), ("muted", "field"), ("muted", "hover"), ("muted", "stage"),
    ("accent", "card"), ("accent", "window"), ("on_accent", "accent"), ("on_accent", "accent_hover"),
    ("trouble", "trouble_card"), ("news", "news_card"), ("text", "trouble_card"), ("text", "news_card"),
)  # fmt: skip
"""Which colour is read on which."""


def contrast(one: str, other: str) -> float:
    """The contrast of two colours as WCAG 2 defines it, from 1 to 21."""
    high, low = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def _luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    red, green, blue = linear
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def palette(colours: Colours) -> QPalette:
    """The colours for what the style sheet does not reach."""
    role = QPalette.ColorRole
    of_roles = {
        role.Window: colours.window, role.WindowText: colours.text, role.Base: colours.field,
        role.AlternateBase: colours.card, role.Text: colours.text, role.Button: colours.card,
        role.ButtonText: colours.text, role.BrightText: colours.trouble, role.ToolTipBase: colours.card,
        role.ToolTipText: colours.text, role.PlaceholderText: colours.muted, role.Highlight: colours.accent,
        role.HighlightedText: colours.on_accent, role.Link: colours.accent, role.Accent: colours.accent,
        role.Mid: colours.line, role.Dark: colours.line, role.Light: colours.card,
    }  # fmt: skip
    chosen = QPalette()
    for one, colour in of_roles.items():
        chosen.setColor(one, QColor(colour))
    for one in (role.WindowText, role.Text, role.ButtonText):
        chosen.setColor(QPalette.ColorGroup.Disabled, one, QColor(colours.muted))
    return chosen
