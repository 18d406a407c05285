"""From a request to the orders for its pictures: every value checked and decided, every name looked up."""

import math
import secrets
from collections.abc import Callable, Sequence
from functools import cache
from itertools import product
from pathlib import Path

import msgspec
from msgspec import structs

from engine import pictures
from engine.errors import BadInput, shown
from engine.expand import expand
from engine.library import adapters, index
from engine.messages import Draw, Generate, Lay, ModelCard
from engine.settings import GenerateSettings, checked, fields

MAX_GRID = 100
"""Pictures of a grid."""
_AXES = 2


def orders(request: Generate) -> Sequence[Draw | Lay]:
    """What the worker is to make for a request, in order; files are named when it is sent.

    Raises BadInput for values out of range, names that nothing is installed under, and what does not fit together.
    """
    card_of = cache(index.find)  # which reads the model's files
    draws = [order for settings in _cells(request) for order in _draws(request.job, settings, card_of)]
    _check_text(request)
    if not request.grid:
        return draws
    columns = len(request.grid[0].values)
    titles = [f"{axis.name.replace('_', ' ')}: {value}" for axis in request.grid for value in axis.values]
    rows = titles[columns:] if len(request.grid) > 1 else [""]
    return [*draws, Lay(job=request.job, columns=tuple(titles[:columns]), rows=tuple(rows), settings=draws[0].settings)]


def _check_text(request: Generate) -> None:
    """Names of files may be any bytes on Linux; what goes to the worker, and into pictures, is text."""
    try:
        msgspec.json.encode(request)
    except UnicodeEncodeError as error:
        raise BadInput(
            f"The name “{shown(str(error.object).encode(errors='replace').decode())}” holds bytes that are not text.",
            "Rename the file or the folder.",
        ) from error


def undone(request: Generate, todo: Sequence[Draw | Lay], made: int) -> GenerateSettings:
    """The settings for the pictures of a request that are not made; of a grid, those of all of them."""
    settings, following = request.settings, todo[made].settings
    if request.grid:
        return settings
    variation = None if settings.variation_seed is None else following.variation_seed
    return structs.replace(settings, seed=following.seed, variation_seed=variation, count=len(todo) - made)


def _draws(job: str, settings: GenerateSettings, card_of: Callable[[str], ModelCard]) -> list[Draw]:
    checked(settings)
    card = card_of(settings.model)
    refiner = index.refiner(settings.refiner, card)
    size = pictures.size(Path(settings.source)) if settings.source else None
    return [  # each prompt may have chosen other adapters
        Draw(job=job, settings=each, model=card, refiner=refiner, adapters=adapters.needed(each, card), part="")
        for each in expand(settings, card, size)
    ]


def _cells(request: Generate) -> list[GenerateSettings]:
    """The settings of every cell of the grid, row by row; without one, the request's own."""
    if not request.grid:
        return [request.settings]
    _check_grid(request)
    across, down = request.grid[0], request.grid[1:]
    rows = [{axis.name: value for axis, value in zip(down, values, strict=True)}
            for values in product(*(axis.values for axis in down))]  # fmt: skip
    cells = [
        structs.replace(request.settings, **row, **{across.name: value}) for row in rows for value in across.values
    ]
    if request.settings.seed is None:  # the same one, so that only the grid's settings differ
        seed = secrets.randbelow(2**32)
        cells = [structs.replace(cell, seed=seed) if cell.seed is None else cell for cell in cells]
    return cells


def _check_grid(request: Generate) -> None:
    known = {field.name for field in fields()} - {"count"}
    names = [axis.name for axis in request.grid]
    for axis in request.grid:
        if axis.name not in known or not axis.values:
            raise BadInput(
                f"A grid cannot go over “{axis.name[:40]}”.", f"Use one of: {', '.join(sorted(known))}.", where="grid"
            )
    if len(set(names)) < len(names):
        raise BadInput(
            f"The grid goes over “{names[0]}” twice.", "Name all its values at once, or another setting.", where="grid"
        )
    if request.settings.count > 1:
        raise BadInput("A grid has one picture of each kind.", "Leave the number of pictures at 1.", where="grid")
    if len(names) > _AXES or math.prod(len(axis.values) for axis in request.grid) > MAX_GRID:
        raise BadInput("This grid is too large.", f"Use two settings and {MAX_GRID} pictures at most.", where="grid")
