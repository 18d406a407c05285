"""One request into many pictures, every value decided; no torch."""

import math
import secrets

import msgspec

from engine.errors import BadInput
from engine.messages import ModelCard
from engine.schedulers import SCHEDULERS
from engine.settings import LARGEST, MAX_SEED, SMALLEST, GenerateSettings

Size = tuple[int, int]
"""Width and height in pixels."""


def expand(settings: GenerateSettings, card: ModelCard, source: Size | None = None) -> list[GenerateSettings]:
    """Checked settings, one for each picture, with seed, width and height decided.

    A side that is not given is the model's own; with a source of that size, it follows from the source's shape.
    Raises BadInput for what the model cannot do.
    """
    _check_steps(settings)
    seed = secrets.randbelow(2**32) if settings.seed is None else settings.seed
    usual = _shaped(source, settings, card) if source else (card.native_size, card.native_size)
    width = _fitting("width", settings.width or usual[0], card)
    height = _fitting("height", settings.height or usual[1], card)
    _check_enlarged(settings, width, height)
    decided = msgspec.structs.replace(settings, model=card.name, seed=seed, width=width, height=height, count=1)
    return [_numbered(decided, place) for place in range(settings.count)]


def _numbered(settings: GenerateSettings, place: int) -> GenerateSettings:
    """The picture of that place: with the next seed, or where variations are asked for, the next variation's."""
    if not settings.variation_strength:
        return msgspec.structs.replace(settings, seed=((settings.seed or 0) + place) % (MAX_SEED + 1))
    first = secrets.randbelow(2**32) if settings.variation_seed is None else settings.variation_seed
    return msgspec.structs.replace(settings, variation_seed=(first + place) % (MAX_SEED + 1))


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
