"""The tensors of a LoRA file sorted by the module they change."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from engine.adapters.low_rank import is_whole
from engine.errors import BadInput
from engine.formats.flux_keys import Shapes
from engine.formats.lora_keys import Key, Names, Piece, Place, foreign_kind, names_of, read_key


class Group(NamedTuple):
    """The tensors that together are one change of one weight."""

    name: str
    """The module as the file calls it, with underscores for dots."""
    pieces: tuple[Piece, ...]
    """The modules of the model; none where it has none of that name."""
    tensors: dict[str, str]
    """The tensors' names by their roles."""


def grouped(path: Path, keys: Iterable[str], paths: Mapping[str, Shapes]) -> list[Group]:
    """The changes in a file with these tensor names, for a model with these shapes of weights by part and path.

    Tensors of other things (embeddings bundled in the file, say) are left out. A file with both diffusers' and the
    original code's names says everything twice: then the second kind has no place. Raises BadInput naming the file
    where a change is of a kind that cannot be merged, has parts missing, or stands twice, or where there is none.
    """
    found: dict[tuple[tuple[str, ...], str], dict[str, str]] = {}
    for name in sorted(keys):
        if kind := foreign_kind(name):
            raise BadInput(
                f"The LoRA “{path.name}” holds changes that Easel cannot merge: {kind}.",
                "Use a LoRA, LoCon, LoHa, LoKr or DoRA without them.",
                where=str(path),
            )
        if (key := read_key(name)) is None:
            continue
        roles = found.setdefault((key.parts, key.name), {})
        if key.role in roles:
            raise _unclear(path, f"it changes “{key.name}” twice")
        roles[key.role] = name
    changes = {of: roles for of, roles in found.items() if roles.keys() - {"weight", "alpha"}}
    if not changes:
        raise BadInput(
            f"“{path.name}” is not a LoRA: no tensor in it changes a weight.",
            "Choose a LoRA; a whole model goes into the folder for models.",
            where=str(path),
        )
    for (_, module), roles in changes.items():
        if not is_whole(roles):
            raise _unclear(path, f"of the change of “{module}” it has only {', '.join(sorted(roles))}")
    return _placed(path, changes, names_of(paths))


def _placed(path: Path, changes: Mapping[tuple[tuple[str, ...], str], dict[str, str]], names: Names) -> list[Group]:
    groups: list[Group] = []
    taken: set[Place] = set()
    has_native = any((part, module) in names.native for parts, module in changes for part in parts if part == "unet")
    for (parts, module), roles in changes.items():
        pieces = names.find(Key(parts, module, ""))
        if has_native and pieces and (pieces[0].place.part, module) not in names.native:
            pieces = ()
        places = {piece.place for piece in pieces}
        if places & taken:
            raise _unclear(path, f"it changes “{module}” twice")
        taken |= places
        groups.append(Group(module, pieces, roles))
    return groups


def _unclear(path: Path, why: str) -> BadInput:
    return BadInput(f"The LoRA “{path.name}” cannot be used: {why}.", "Download or copy it again.", where=str(path))
