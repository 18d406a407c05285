"""What the settings of the Create screen become when a person wants to draw with an entry of the library."""

from pathlib import Path

from msgspec import structs

from desktop.state import Now
from engine.messages import Entry
from engine.offers import Offer, can_draw, offers
from engine.prompt import lora_call
from engine.settings import GenerateSettings


def used(now: Now, entry: Entry) -> GenerateSettings | None:
    """The settings with this entry in them; None for a kind that they have no place for."""
    settings = now.settings
    match entry.sort:
        case "checkpoint" | "denoiser":
            return structs.replace(settings, model=_value(now.models, entry)) if can_draw(entry) else None
        case "lora":
            loras = offers(each for each in now.entries.values() if each.sort == entry.sort)
            return _with_words(settings, lora_call(_value(loras, entry)), *entry.trigger_words)
        case "embedding":
            return _with_words(settings, Path(entry.path).stem)
        case "vae":
            return structs.replace(settings, vae=entry.path)
        case "upscaler":
            return structs.replace(settings, upscaler=entry.path)
        case _:
            return None


def _value(offered: tuple[Offer, ...], entry: Entry) -> str:
    return next((each.value for each in offered if each.entry.path == entry.path), entry.path)


def _with_words(settings: GenerateSettings, *words: str) -> GenerateSettings:
    """Words that the prompt has already are not said twice."""
    new = [word for word in words if word not in settings.prompt]
    parts = [settings.prompt.rstrip().rstrip(","), *new]
    return structs.replace(settings, prompt=", ".join(part for part in parts if part))
