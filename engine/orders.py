"""From a request to the orders for its pictures: every value checked and decided, every name looked up."""

import math
import secrets
from collections.abc import Callable, Sequence
from functools import cache
from itertools import product
from pathlib import Path

from msgspec import structs

from engine import pictures
from engine.errors import BadInput
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
    if not request.grid:
        return draws
    columns = len(request.grid[0].values)
    titles = [f"{axis.name.replace('_', ' ')}: {value}" for axis in request.grid for value in axis.values]
    rows = titles[columns:] if len(request.grid) > 1 else [""]
    return [*draws, Lay(job=request.job, columns=tuple(titles[:columns]), rows=tuple(rows), settings=draws[0].settings)]


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
    for axis in request.grid:
        if axis.name not in known or not axis.values:
            raise BadInput(
                f"A grid cannot go over “{axis.name[:40]}”.", f"Use one of: {', '.join(sorted(known))}.", where="grid"
            )
    cells = math.prod(len(axis.values) for axis in request.grid)
    if len(request.grid) > _AXES or cells > MAX_GRID or request.settings.count > 1:
        raise BadInput(
            "This grid is too large.", f"Use two settings and {MAX_GRID} pictures at most, one of each.", where="grid"
        )
