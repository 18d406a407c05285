"""One request into many pictures, every value decided; no torch."""

import secrets

import msgspec

from engine.errors import BadInput
from engine.messages import ModelCard
from engine.schedulers import SCHEDULERS
from engine.settings import MAX_SEED, GenerateSettings


def expand(settings: GenerateSettings, card: ModelCard) -> list[GenerateSettings]:
    """Checked settings, one for each picture, with seed, width and height decided.

    Raises BadInput for what the model cannot do.
    """
    _check_steps(settings)
    seed = secrets.randbelow(2**32) if settings.seed is None else settings.seed
    width = _fitting("width", settings.width or card.native_size, card)
    height = _fitting("height", settings.height or card.native_size, card)
    return [
        msgspec.structs.replace(
            settings,
            model=card.name,
            seed=(seed + place) % (MAX_SEED + 1),
            width=width,
            height=height,
            count=1,
        )
        for place in range(settings.count)
    ]


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


def _check_steps(settings: GenerateSettings) -> None:
    most = SCHEDULERS[settings.scheduler].max_steps
    if settings.steps > most:
        raise BadInput(
            f"Steps cannot be {settings.steps} with the scheduler {settings.scheduler}.",
            f"Use at most {most}, or another scheduler.",
            where="steps",
        )
