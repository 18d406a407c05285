"""Models, LoRAs and a VAE into a new checkpoint in one file, tensor by tensor: never a whole model in memory."""

import math
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, NamedTuple

import torch
from safetensors import SafetensorError

from engine.adapters.lora import combined, deltas, read_lora
from engine.errors import BadInput, EaselError, memory_said
from engine.families import FAMILIES
from engine.formats.places import unturned
from engine.formats.safetensors import SIZES, header_text
from engine.library.checkpoints import Slot, slots
from engine.library.file_parts import Part
from engine.library.recipes import Recipe, autoencoder, check, flags, metadata, parts
from engine.library.single_file import SUFFIX
from engine.messages import ModelCard
from engine.opened_tensors import reader
from engine.paths import PART, clear_leftovers, publish, ready, sync, unwritten
from engine.patience import Report, paced, told_to

_STORED = {"fp16": ("F16", torch.float16), "bf16": ("BF16", torch.bfloat16), "fp32": ("F32", torch.float32)}
_SPARE = 200 * 10**6
"""Bytes that stay free for everything else."""
_NARROW, _INPAINT = 4, 9
"""Channels that a model reads: latents, and with them what is masked, and where."""

Read = Callable[[str], torch.Tensor]
Change = Callable[[torch.Tensor], torch.Tensor]


class Merged(NamedTuple):
    """The new file."""

    path: Path
    size_bytes: int
    notes: tuple[str, ...]
    """Sentences about what was left aside."""


class _Model(NamedTuple):
    """A model of the recipe, open."""

    card: ModelCard
    parts: dict[str, Part]
    reads: dict[str, Read]


def merge(recipe: Recipe, target: Path, report: Report, hashes: Mapping[str, str]) -> Merged:
    """Write the file, or one beside it with the first free name: nothing is ever replaced, nothing half-done stays.

    Mixed in float32, then rounded once. `hashes` are known sha256, by path, for the recipe in the file.
    Raises BadInput for what does not go together, EaselError where the disk refuses, and whatever `report` raises.
    """
    check(recipe)
    with told_to(report):
        models = [_open(card) for card in recipe.models]
    _check_shapes(models)
    changes, notes = _changes(recipe, models[0].parts)
    own = models[0].parts | ({"vae": autoencoder(recipe, report)} if recipe.vae else {})
    wanted = slots(recipe.models[0].name, FAMILIES[recipe.models[0].family], own)
    dtype = _STORED[recipe.precision][0]
    empty = dict.fromkeys(flags(recipe.models[0]), ("F32", (0,)))
    head = header_text(
        {slot.key: (dtype, slot.shape) for slot in wanted} | empty, metadata(recipe, target.stem, hashes)
    )
    size = len(head) + sum(math.prod(slot.shape) for slot in wanted) * SIZES[dtype]
    _check_room(ready(target.parent), target, size)
    other = reader(own["vae"].weights) if recipe.vae else None

    def tensor(part: str, name: str) -> torch.Tensor:
        if other is not None and part == "vae":
            return other(name).to(torch.float32)
        mixed = _mixed(recipe, [model.reads[part](name).to(torch.float32) for model in models])
        change = changes.get((part, name))
        return change(mixed) if change else mixed

    made = target.with_name(f".easel-{os.getpid()}-{target.stem}{SUFFIX}{PART}")
    clear_leftovers(target.parent, SUFFIX)
    try:
        with memory_said("There is too little memory to mix these models."), made.open("wb") as file:
            _write(file, head, _told(_tensors(wanted, tensor, recipe), report, target.stem, size - len(head)))
        sync(made)
        return Merged(publish(made, target.parent, target.stem), size, notes)
    except SafetensorError as error:
        raise BadInput(f"A file that “{target.stem}” is made of is damaged.", "Download or copy it again.") from error
    except OSError as error:
        raise unwritten(target, error) from error
    finally:
        made.unlink(missing_ok=True)


def _open(card: ModelCard) -> _Model:
    found = parts(card)
    return _Model(card, found, {part: reader(each.weights) for part, each in found.items()})


def _check_shapes(models: list[_Model]) -> None:
    """Raise BadInput for the first tensor that two models do not have alike, naming both."""
    first, *others = models
    for other in others:
        for part in {**first.parts, **other.parts}:
            one, two = (
                {name: each.shape for name, each in model.parts[part].weights.tensors.items()}
                if part in model.parts
                else {}
                for model in (first, other)
            )
            for name in sorted({**one, **two}):
                mine, theirs = one.get(name), two.get(name)
                if mine != theirs and not _is_inpainting(mine, theirs):
                    raise BadInput(
                        f"“{first.card.name}” and “{other.card.name}” cannot be mixed: “{part}.{name}” is "
                        f"{_size(mine)} in the one and {_size(theirs)} in the other.",
                        "Mix models of the same build; one for inpainting comes first.",
                        other.card.name,
                    )


def _is_inpainting(first: tuple[int, ...] | None, other: tuple[int, ...] | None) -> bool:
    """Whether both are the convolution that takes the latents in, of a model for inpainting and of an ordinary one."""
    if first is None or other is None or len(first) != 4 or len(other) != 4:
        return False
    return (first[1], other[1]) == (_INPAINT, _NARROW) and (first[0], *first[2:]) == (other[0], *other[2:])


def _size(shape: tuple[int, ...] | None) -> str:
    return " x ".join(map(str, shape)) if shape is not None else "missing"


def _changes(recipe: Recipe, own: Mapping[str, Part]) -> tuple[dict[tuple[str, str], Change], tuple[str, ...]]:
    """What the LoRAs together make of each tensor, by part and name, and sentences about what has no place."""
    shapes = {
        part: {
            name.removesuffix(".weight"): each.shape
            for name, each in its.weights.tensors.items()
            if name.endswith(".weight") and len(each.shape) > 1
        }
        for part, its in own.items()
    }
    files = [read_lora(Path(each.path), shapes) for each in recipe.loras]
    every = [
        delta
        for file, use in zip(files, recipe.loras, strict=True)
        for delta in deltas(
            file,
            denoiser_weight=use.weight,
            text_encoder_weight=use.text_encoder_weight,
            blocks=use.blocks or None,
        )
    ]
    found = {(delta.part, f"{delta.path}.weight"): delta.change for delta in combined(every)}
    return found, tuple(file.note for file in files if file.note)


def _mixed(recipe: Recipe, tensors: list[torch.Tensor]) -> torch.Tensor:
    """A sum, or A + w (B - C); of a model for inpainting, ordinary ones change the channels that they have, too."""
    first, *others = tensors
    if not others:
        return first
    if others[0].shape != first.shape:
        inner = _mixed(recipe, [first[:, :_NARROW], *others])
        return torch.cat((inner, first[:, _NARROW:]), dim=1)
    if recipe.difference:
        return first + recipe.weights[0] * (others[0] - others[1])
    mixed = first * (1 - sum(recipe.weights))
    for weight, other in zip(recipe.weights, others, strict=True):
        mixed = mixed + other * weight
    return mixed


def _tensors(wanted: list[Slot], tensor: Callable[[str, str], torch.Tensor], recipe: Recipe) -> Iterator[torch.Tensor]:
    """Every tensor as the file is to have it. Raises BadInput for numbers that it cannot hold."""
    dtype = _STORED[recipe.precision][1]
    for slot in wanted:
        pieces = [unturned(place, tensor(slot.part, name)) for name, place in slot.places]
        whole = (torch.cat(pieces) if len(pieces) > 1 else pieces[0]).to(dtype).contiguous()
        if not whole.isfinite().all():
            raise BadInput(
                f"“{slot.key}” has numbers that {recipe.precision} cannot hold.",
                "Use smaller weights, or --precision bf16 or fp32.",
                where="precision",
            )
        yield whole


def _told(tensors: Iterator[torch.Tensor], report: Report, title: str, size: int) -> Iterator[torch.Tensor]:
    """The same, with how far it is."""
    tell, done = paced(report), 0
    for each in tensors:
        tell(f"Writing “{title}”", done / size)
        yield each
        done += each.nbytes


def _write(file: IO[bytes], head: bytes, tensors: Iterator[torch.Tensor]) -> None:
    file.write(head)
    for each in tensors:
        file.write(each.view(torch.uint8).numpy().data)


def _check_room(folder: Path, target: Path, size: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < size + _SPARE:
        raise EaselError(
            f"“{target.name}” takes {size / 1e9:.1f} GB, and {free / 1e9:.1f} GB is free in “{folder}”.",
            "Free some space, or choose a folder on another disk.",
            where=str(folder),
        )
