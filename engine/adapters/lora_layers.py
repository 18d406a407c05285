"""The layers of a LoRA file: their tensors, once names, shapes and numbers have proved to be sound and to fit."""

import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open

from engine.adapters.lora_family import Modules, check_family, unfit
from engine.adapters.lora_groups import Group
from engine.adapters.lora_settings import Scaling
from engine.adapters.low_rank import changed, product, rank
from engine.errors import BadInput
from engine.formats.lora_keys import Piece, Place
from engine.formats.safetensors import Header

_MAX_RANK = 8192
_MAX_NUMBER = 1e6
"""More than float16 holds, and so little that the product of six such numbers is finite in float32."""
_FLOATS = ("F16", "BF16", "F32", "F64", "F8_E4M3", "F8_E5M2")
_SETTINGS = ("alpha", "on_input")
"""Numbers that steer a change and are no factor of it."""
_UNFIT = (RuntimeError, ValueError, IndexError)
"""What torch and `low_rank` raise where shapes do not go together."""


class Layer(NamedTuple):
    """The change of one module's weight."""

    place: Place
    factors: dict[str, torch.Tensor]
    """By their roles, in the file's precision."""
    scale: float
    """alpha / rank."""
    rows: tuple[slice, ...] = ()
    """Which of what the factors make are for this module; none for all."""

    def changed(self, weight: torch.Tensor, ratio: float) -> torch.Tensor:
        """The float32 weight with `ratio` times the change; `weight` itself stays as it is."""
        return changed(self.factors, self.scale, weight, ratio, self.rows)


def layers_of(path: Path, header: Header, groups: list[Group], modules: Modules) -> list[Layer]:
    """The layers of the groups that fit the model; only their tensors are loaded.

    Raises BadInput naming the file: for factors that do not fit one another, another family's LoRA, one of which
    nothing fits, numbers that are none.
    """
    stand_ins = [_stand_ins(path, header, group) for group in groups]
    widths = dict(_widths(path, zip(groups, stand_ins, strict=True)))
    check_family(path.name, header.tensors.keys(), widths, modules)
    fitting = [
        (group, _fitting(shapes, group.pieces, modules)) for group, shapes in zip(groups, stand_ins, strict=True)
    ]
    if not any(pieces for _, pieces in fitting):
        raise unfit(path.name, widths, modules)
    scaling = Scaling(path, header.metadata)
    try:
        with safe_open(path, framework="pt") as file:
            layers = [
                layer for group, pieces in fitting if pieces for layer in _layers(path, file, group, pieces, scaling)
            ]
    except (SafetensorError, OSError) as error:
        raise _unsound(path, "it is damaged") from error
    for layer in layers:
        part, module = layer.place
        if "on_input" in layer.factors and not _runs_along(layer.factors, modules[part][module]):
            raise _unsound(path, f"its numbers for “{module}” are for another width")
    return layers


def _stand_ins(path: Path, header: Header, group: Group) -> dict[str, torch.Tensor]:
    """Tensors of the right shapes without any content, to learn shapes by the very arithmetic that comes later."""
    for role, name in group.tensors.items():
        dtype, shape = header.tensors[name][:2]
        if role in _SETTINGS and math.prod(shape) == 1:
            continue
        if dtype not in _FLOATS or not 1 <= len(shape) <= 4 or 0 in shape:
            raise _unsound(path, f"the tensor “{name}” ({dtype}, {list(shape)}) is none of a LoRA")
    found = {role: torch.empty(header.tensors[name].shape, device="meta") for role, name in group.tensors.items()}
    if (rank(found) or 0) > _MAX_RANK:
        raise _unsound(path, f"the rank {rank(found)} of “{group.name}” is higher than any real one")
    return found


def _widths(path: Path, groups: Iterable[tuple[Group, dict[str, torch.Tensor]]]) -> Iterator[tuple[str, int]]:
    """How many numbers each layer takes in, by its name."""
    for group, shapes in groups:
        if "on_input" in shapes:  # IA3 has one number a row or column
            continue
        try:
            made = product(shapes).shape
        except _UNFIT as error:
            sizes = ", ".join(f"{role} {list(tensor.shape)}" for role, tensor in shapes.items() if role != "alpha")
            raise _unsound(path, f"the factors of “{group.name}” do not fit one another ({sizes})") from error
        yield group.name, math.prod(made[1:])


def _fitting(shapes: dict[str, torch.Tensor], pieces: tuple[Piece, ...], modules: Modules) -> tuple[Piece, ...]:
    """The pieces that the factors fit; none where they make more or fewer rows than all pieces have together."""
    rows = max((each.stop for piece in pieces for each in piece.rows), default=0)
    if rows and len(product(shapes)) != rows:
        return ()
    return tuple(piece for piece in pieces if _fits(shapes, piece, modules))


def _fits(shapes: dict[str, torch.Tensor], piece: Piece, modules: Modules) -> bool:
    weight = modules[piece.place.part][piece.place.path]
    if "on_input" in shapes:  # which says later whether the numbers are for the columns or for the rows
        return not piece.rows and shapes["weight"].numel() in weight[:2]
    try:
        changed(shapes, 1.0, torch.empty(weight, device="meta"), 1.0, piece.rows)
    except _UNFIT:
        return False
    return True


def _runs_along(factors: Mapping[str, torch.Tensor], weight: tuple[int, ...]) -> bool:
    axis = 1 if bool(factors["on_input"]) else 0
    return weight[axis : axis + 1] == (factors["weight"].numel(),)


def _layers(path: Path, file: Any, group: Group, pieces: tuple[Piece, ...], scaling: Scaling) -> list[Layer]:
    """One for each piece, with the same factors."""
    factors: dict[str, torch.Tensor] = {}
    for role, name in group.tensors.items():
        factors[role] = file.get_tensor(name).clone()  # a copy: the file may be replaced while the layer lives
        if not factors[role].to(torch.float32).abs().max() <= _MAX_NUMBER:  # so written that NaN fails too
            raise _unsound(path, f"the tensor “{name}” has numbers that are none, or far too large")
    alpha = float(factors.pop("alpha", 0.0))
    if not alpha:  # kohya and LyCORIS take 0 for "equal to the rank"
        return [Layer(piece.place, factors, scaling.of(*piece.place), piece.rows) for piece in pieces]
    # Without a factorised matrix (LoKr may have none) alpha says nothing.
    scale = alpha / (rank(factors) or alpha)
    return [Layer(piece.place, factors, scale, piece.rows) for piece in pieces]


def _unsound(path: Path, why: str) -> BadInput:
    return BadInput(f"The LoRA “{path.name}” cannot be used: {why}.", "Download or copy it again.", where=str(path))
