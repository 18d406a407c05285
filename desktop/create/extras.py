"""What the settings hold besides what the panel has fields for: named, and left out by a button."""

from pathlib import Path

from msgspec import structs
from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QFrame

from desktop.theme import GAP, SMALL
from desktop.widgets.pieces import button, column, label
from desktop.words import tr
from engine.settings import GenerateSettings

NAMES = frozenset({"source", "mask", "upscale_factor", "extend", "loras", "controls", "image_prompts", "regions"})
"""The settings; without a source and a mask, the others of both mean nothing."""


class Extras(QFrame):
    """Hidden while there are none; `left_out` when the person wants none."""

    left_out = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("notice")
        self.setProperty("tone", "news")
        self._names = label(look="advice", wraps=True)
        self._names.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.button = button(tr("Leave them out"), "quiet")
        self.button.clicked.connect(self.left_out)
        both = column(self, 2, (GAP, SMALL + 2, SMALL, SMALL + 2))
        both.addWidget(label(tr("Also in these settings"), "cause"))
        both.addWidget(self._names)
        both.addWidget(self.button, 0, Qt.AlignmentFlag.AlignLeft)
        self.hide()

    def show_settings(self, settings: GenerateSettings) -> None:
        """Name what there is."""
        found = _named(settings)
        self._names.setText("\n".join(found))
        self.setVisible(bool(found))


def without(settings: GenerateSettings) -> GenerateSettings:
    """The settings with none of them."""
    usual = GenerateSettings()
    return structs.replace(settings, **{name: getattr(usual, name) for name in NAMES})


def _named(settings: GenerateSettings) -> list[str]:
    files = (("Source: {}", settings.source), ("Mask: {}", settings.mask))
    named = [tr(text).format(Path(file).name) for text, file in files if file]
    if settings.extend:
        named.append(tr("The source is extended"))
    named += [tr("LoRA: {}").format(Path(each.name).stem) for each in settings.loras]
    named += [tr("Control picture: {}").format(Path(each.image).name) for each in settings.controls]
    named += [tr("Image prompt: {}").format(Path(each.image).name) for each in settings.image_prompts]
    if settings.regions:
        named.append(tr("Regions: {}").format(len(settings.regions)))
    return named
