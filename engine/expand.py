"""One request into many pictures, every value decided; no torch."""

import math
import secrets
from pathlib import Path

import msgspec

from engine.choices import Wildcards, chosen
from engine.errors import BadInput
from engine.families import FAMILIES
from engine.few_steps import KINDS, FewSteps, recipe, recognised
from engine.messages import ModelCard
from engine.prompt import parse
from engine.schedulers import SCHEDULERS
from engine.settings import LARGEST, LARGEST_UPSCALED, MAX_SEED, SMALLEST, GenerateSettings
from engine.uses import RegionUse

Size = tuple[int, int]
"""Width and height in pixels."""

_PLAIN = GenerateSettings()


def expand(settings: GenerateSettings, card: ModelCard, source: Size | None = None) -> list[GenerateSettings]:
    """Checked settings, one for each picture, with seed, width, height and the prompts' choices decided.

    A side that is not given is the model's own; with a source of that size, it follows from the source's shape. An
    upscaled source comes in its own size times the factor.
    Raises BadInput for what the model cannot do, and for wildcards that are missing.
    """
    if settings.task not in (*FAMILIES[card.family].pipelines, "upscale"):
        raise BadInput(
            f"“{card.name}” draws only from a source picture.", "Choose a source, or another model.", where="model"
        )
    settings = _in_few_steps(settings, card)
    _check_steps(settings)
    seed = secrets.randbelow(2**32) if settings.seed is None else settings.seed
    width, height = _upscaled(source, settings) if settings.task == "upscale" else _size(source, settings, card)
    decided = msgspec.structs.replace(settings, model=card.name, seed=seed, width=width, height=height, count=1)
    wildcards = Wildcards()
    return [_worded(_numbered(decided, place), wildcards) for place in range(settings.count)]


def few_steps_of(settings: GenerateSettings, card: ModelCard) -> FewSteps | None:
    """How a model or a LoRA that is made for few steps is run, where one is used or the settings name its kind."""
    if settings.few_steps != "auto":
        return None if settings.few_steps == "off" else recipe(settings.few_steps, "")
    if card.reads_guidance:
        return recipe("LCM", "")
    loras = [each.name for each in (*settings.loras, *parse(settings.prompt).loras) if each.weight > 0]
    found = recognised(Path(name).stem for name in loras)
    if found or not card.few_steps:
        return found or recognised([Path(card.name).stem])
    return recipe(card.few_steps, card.name) if card.few_steps in KINDS else None


def few_steps_note(settings: GenerateSettings, card: ModelCard) -> str:
    """A sentence about decided settings, where something is made for few steps; else nothing."""
    wanted = few_steps_of(settings, card)
    if wanted is None:
        return ""
    scheduler, guidance_scale = _suited(wanted, settings, card)
    if settings.steps <= wanted.most and (settings.scheduler, settings.guidance_scale) == (scheduler, guidance_scale):
        said = f"{scheduler}, guidance scale {guidance_scale:g}, {settings.steps} steps"
        return f"This is made for few steps, so it is drawn with {said}."
    steps = f"{wanted.steps} to {wanted.most}" if wanted.steps < wanted.most else f"{wanted.most}"
    said = f"{steps} steps, {scheduler} and guidance scale {guidance_scale:g}"
    return f"This is made for {said}; what you chose instead is kept."


def _in_few_steps(settings: GenerateSettings, card: ModelCard) -> GenerateSettings:
    """With what few steps ask for, wherever nothing was chosen."""
    wanted = few_steps_of(settings, card)
    if wanted is None:
        return settings
    scheduler, guidance_scale = _suited(wanted, settings, card)
    steps = settings.steps if settings.steps <= wanted.most else wanted.steps
    asked = {"scheduler": scheduler, "guidance_scale": guidance_scale, "steps": steps}
    usual = FAMILIES[card.family].defaults
    open_ones = {
        name: value
        for name, value in asked.items()
        if getattr(settings, name) in (getattr(_PLAIN, name), usual.get(name))
    }
    return msgspec.structs.replace(settings, **open_ones)


def _suited(wanted: FewSteps, settings: GenerateSettings, card: ModelCard) -> tuple[str, float]:
    """The scheduler and the guidance scale for a model that may know neither."""
    family = FAMILIES[card.family]
    is_guided = "negative_prompt" not in family.without and not card.reads_guidance  # else it only reads the number
    return family.scheduler(wanted.scheduler), wanted.guidance_scale if is_guided else settings.guidance_scale


def _size(source: Size | None, settings: GenerateSettings, card: ModelCard) -> Size:
    usual = (card.native_size, card.native_size)
    if source:
        left, top, right, bottom = settings.extend
        usual = _shaped((source[0] + left + right, source[1] + top + bottom), settings, card)
    width = _fitting("width", settings.width or usual[0], card)
    height = _fitting("height", settings.height or usual[1], card)
    _check_enlarged(settings, width, height)
    return width, height


def _upscaled(source: Size | None, settings: GenerateSettings) -> Size:
    assert source is not None, "only a source is upscaled"
    width, height = (max(1, round(side * settings.upscale_factor)) for side in source)
    if settings.strength and max(width, height) > LARGEST_UPSCALED:
        raise BadInput(
            f"{settings.upscale_factor:g} times {source[0]} x {source[1]} is more than {LARGEST_UPSCALED} pixels.",
            "Enlarge less, or with a denoising strength of 0.",
            where="upscale_factor",
        )
    return width, height


def _numbered(settings: GenerateSettings, place: int) -> GenerateSettings:
    """The picture of that place: with the next seed, or where variations are asked for, the next variation's."""
    if not settings.variation_strength:
        return msgspec.structs.replace(settings, seed=((settings.seed or 0) + place) % (MAX_SEED + 1))
    first = secrets.randbelow(2**32) if settings.variation_seed is None else settings.variation_seed
    return msgspec.structs.replace(settings, variation_seed=(first + place) % (MAX_SEED + 1))


def _worded(settings: GenerateSettings, wildcards: Wildcards) -> GenerateSettings:
    """With what the prompts' wildcards and choices say for this seed, and the prompts as they were beside it."""
    templates = {"prompt": settings.prompt, "negative_prompt": settings.negative_prompt}
    words = {name: chosen(text, settings.seed or 0, name, wildcards) for name, text in templates.items()}
    return msgspec.structs.replace(
        settings,
        **words,
        regions=tuple(
            _worded_region(each, settings.seed or 0, f"region {place}", wildcards)
            for place, each in enumerate(settings.regions, 1)
        ),
        template=settings.prompt if words["prompt"] != settings.prompt else "",
        negative_template=settings.negative_prompt if words["negative_prompt"] != settings.negative_prompt else "",
    )


def _worded_region(region: RegionUse, seed: int, where: str, wildcards: Wildcards) -> RegionUse:
    words = chosen(region.prompt, seed, where, wildcards)
    return msgspec.structs.replace(region, prompt=words, template=region.prompt if words != region.prompt else "")


def _shaped(source: Size, settings: GenerateSettings, card: ModelCard) -> Size:
    """The source's shape in as many pixels as the model has at its own size, or beside the one side that is given."""
    ratio = source[0] / source[1]
    width = settings.width or (settings.height or card.native_size / math.sqrt(ratio)) * ratio
    return _near(width, card), _near(settings.height or width / ratio, card)


def _near(pixels: float, card: ModelCard) -> int:
    low, high = (bound // card.size_multiple for bound in (SMALLEST + card.size_multiple - 1, LARGEST))
    return card.size_multiple * min(max(round(pixels / card.size_multiple), low), high)


def _fitting(side: str, pixels: int, card: ModelCard) -> int:
    multiple = card.size_multiple
    if pixels % multiple:
        below = max(pixels // multiple, 1) * multiple
        raise BadInput(
            f"{side.capitalize()} cannot be {pixels} with the model “{card.name}”.",
            f"Use a multiple of {multiple}: {below} or {below + multiple}.",
            where=side,
        )
    return pixels


def _check_enlarged(settings: GenerateSettings, width: int, height: int) -> None:
    largest = int(max(width, height) * settings.hires_scale)
    if largest > LARGEST:
        raise BadInput(
            f"{settings.hires_scale:g} times {width} x {height} is more than {LARGEST} pixels a side.",
            "Enlarge less, or begin smaller.",
            where="hires_scale",
        )


def _check_steps(settings: GenerateSettings) -> None:
    most = SCHEDULERS[settings.scheduler].max_steps
    if settings.steps > most:
        raise BadInput(
            f"Steps cannot be {settings.steps} with the scheduler {settings.scheduler}.",
            f"Use at most {most}, or another scheduler.",
            where="steps",
        )
