"""Regions of a picture: their masks in the size that is drawn, and their prompts as the denoiser reads them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from msgspec import structs
from PIL import Image, ImageOps

from engine.conditioning import conditioned
from engine.errors import BadInput
from engine.pictures import size
from engine.settings import GenerateSettings
from engine.tasks.guidance import Region
from engine.tasks.sources import read_mask

_ALIKE = 0.01
"""How far the shapes of a mask and a picture may differ."""


def regions_of(
    pipeline: Any, settings: GenerateSettings, embeddings: Mapping[str, str], steps: int
) -> tuple[Region, ...]:
    """The settings' regions for a drawing of so many steps; `embeddings` are files by name.

    Raises BadInput for a mask that is no picture, marks nothing, or has another shape than the picture.
    """
    if settings.regions and settings.task == "inpaint" and settings.inpaint_area == "only masked":
        raise BadInput(
            "Regions lie in the whole picture, and only the masked part of it is drawn.",
            "Choose the inpaint area “whole picture”, or leave the regions away.",
            where="regions",
        )
    found: list[Region] = []
    for use in settings.regions:
        words = conditioned(pipeline, structs.replace(settings, prompt=use.prompt), embeddings, steps)
        found.append(Region(_mask(Path(use.mask), settings), use.weight, words))
    return tuple(found)


def _mask(path: Path, settings: GenerateSettings) -> Image.Image:
    """The mask in the size that is drawn, cut as the source is."""
    drawn = (settings.width or 0, settings.height or 0)
    whole = _whole(settings) if settings.source else drawn
    width, height = size(path)
    if abs(width / height / (whole[0] / whole[1]) - 1) > _ALIKE:
        raise BadInput(
            f"The mask “{path.name}” is {width} x {height} pixels, the picture {whole[0]} x {whole[1]}.",
            "Use a mask of the picture's shape.",
            where="regions",
        )
    mask = read_mask(path, (width, height))
    if settings.task == "inpaint":
        return mask.resize(drawn, Image.Resampling.BOX)
    return ImageOps.fit(mask, drawn, Image.Resampling.BOX)


def _whole(settings: GenerateSettings) -> tuple[int, int]:
    """The size of the source with what is drawn around it."""
    width, height = size(Path(settings.source))
    left, top, right, bottom = settings.extend
    return width + left + right, height + top + bottom
