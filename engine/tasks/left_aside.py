"""What of a picture's settings changes nothing, and why: told rather than passed over in silence."""

from collections.abc import Iterator
from typing import Any

from engine.families import FAMILIES
from engine.messages import ModelCard
from engine.prompt import parse
from engine.settings import GenerateSettings, fields

_ADAPTERS = {"loras": "LoRAs", "controls": "controls", "image_prompts": "image prompts", "regions": "regions"}
_MASKING = ("inpaint_area", "mask_padding", "mask_feather")
_GUIDING = ("negative_prompt", "guidance_rescale")
_PLAIN = GenerateSettings()


def left_aside(settings: GenerateSettings, card: ModelCard) -> tuple[str, ...]:
    """A sentence for each reason why some of what is asked for has no part in this picture.

    Only what differs from its usual value is asked for. What a family does without is told by the family.
    """
    without = FAMILIES[card.family].without
    said: list[str] = []
    told: set[str] = set()
    for why, names in _reasons(settings, card):
        found = [name for name in names if name not in told | without and _is_asked(settings, name)]
        told.update(found)
        if found:
            verb = "is" if len(found) == 1 and found[0] not in _ADAPTERS else "are"
            said.append(f"{why}: {_listed([_label(name) for name in found])} {verb} left aside.")
    return tuple(said)


def begun_by_base(settings: GenerateSettings) -> int:
    """How many steps are run before the refiner's; none or less where the refiner's share holds all that are run."""
    return round(settings.steps * settings.refiner_start) - (settings.steps - _run(settings))


def is_refined(settings: GenerateSettings) -> bool:
    """Whether a refiner has steps to run: of a picture from words alone the first ones are never its own."""
    begun = begun_by_base(settings)
    is_drawn_small = settings.task != "upscale"
    return is_drawn_small and begun < _run(settings) > 0 and (begun > 0 or settings.task != "text-to-image")


def _run(settings: GenerateSettings) -> int:
    """Of the settings' steps, those that are run."""
    return settings.steps if settings.task == "text-to-image" else int(settings.steps * settings.strength)


def _reasons(settings: GenerateSettings, card: ModelCard) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Why settings of these names change nothing."""
    task = settings.task
    if task == "text-to-image":
        yield "There is no source picture", ("strength", *_MASKING)
    elif task != "inpaint":
        yield "There is no mask", _MASKING
    is_larger = task != "inpaint" and settings.hires_scale > 1
    if not _run(settings) and not is_larger:
        drawn = (*_ADAPTERS, "refiner", "variation_strength")
        yield "So little of the source may change that nothing is drawn", drawn
    if task == "inpaint":
        yield "What is masked is drawn once", ("hires_scale", "hires_strength")
    if task == "upscale":
        yield "What is upscaled is drawn once, by one model", ("hires_scale", "hires_strength", "refiner")
    elif not is_larger:
        yield "Nothing is enlarged", ("hires_strength", "upscaler")
    if not _is_guided(settings, card):
        asked = "A guidance scale of 1 guides nothing" if not card.reads_guidance else "The model reads the guidance"
        yield asked, (*_GUIDING, *(() if settings.pag_scale else ("guidance_start", "guidance_end")))
    if not is_refined(settings):
        yield "So few steps, or so late a start, leave none for a second model", ("refiner",)
    elif settings.refiner and begun_by_base(settings) <= 0:
        yield "The refiner alone draws where so little may change", ("loras", "controls", "image_prompts")


def _is_guided(settings: GenerateSettings, card: ModelCard) -> bool:
    return settings.guidance_scale > 1 and not card.reads_guidance


def _is_asked(settings: GenerateSettings, name: str) -> bool:
    if name == "loras" and parse(settings.prompt).loras:
        return True
    value: Any = getattr(settings, name)
    return value != getattr(_PLAIN, name)


def _label(name: str) -> str:
    if name in _ADAPTERS:
        return _ADAPTERS[name]
    label = next(field.setting.label for field in fields() if field.name == name)
    return f"“{label}”"


def _listed(labels: list[str]) -> str:
    return " and ".join(filter(None, (", ".join(labels[:-1]), labels[-1])))
