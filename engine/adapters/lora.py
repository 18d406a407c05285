"""LoRA files, of every kind that `low_rank` knows, into changes of a model's weights."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import torch

from engine.adapters.lora_blocks import Blocks, blocks_of
from engine.adapters.lora_groups import grouped
from engine.adapters.lora_layers import Layer, Modules, layers_of
from engine.components import Delta
from engine.errors import BadInput
from engine.formats.lora_keys import BUNDLED
from engine.formats.safetensors import read_header

MAX_WEIGHT = 100.0


class LoraFile(NamedTuple):
    """A LoRA that fits the model it was read for."""

    path: Path
    layers: tuple[Layer, ...]
    blocks: Blocks
    left_aside: int
    """How many tensors have no place in the model."""

    @property
    def note(self) -> str:
        """A sentence about what was left aside; empty where nothing was."""
        if not self.left_aside:
            return ""
        many = "1 tensor" if self.left_aside == 1 else f"{self.left_aside} tensors"
        return f"Left aside from the LoRA “{self.path.name}”: {many} with no place in this model."


def read_lora(path: Path, modules: Modules) -> LoraFile:
    """The LoRA in a .safetensors file, in any key form of `engine.formats.lora_keys`, for one model.

    Raises BadInput naming the file where it is damaged, no LoRA, of a kind that cannot be merged, for another family.
    """
    header = read_header(path)
    groups = grouped(path, header.tensors, modules)
    layers = layers_of(path, header, groups, modules)
    placed = {layer.place for layer in layers}
    used = sum(len(group.tensors) for group in groups if placed & {piece.place for piece in group.pieces})
    bundled = sum(name.startswith(BUNDLED) for name in header.tensors)
    return LoraFile(path, tuple(layers), blocks_of(modules.get("unet", {})), len(header.tensors) - bundled - used)


def deltas(
    lora: LoraFile, *, denoiser_weight: float, text_encoder_weight: float, blocks: tuple[float, ...] | None = None
) -> list[Delta]:
    """The changes at these weights, from -100 to 100; `blocks` has a factor for each block, as `lora_blocks` says.

    A weight stretches the whole difference from the original weight, for DoRA too, as ComfyUI and A1111 have it (PEFT
    scales inside DoRA's norm): at 1 it is the paper's, at 0 there is no change and no Delta.
    Raises BadInput naming the file for a weight that is none, or too few or too many of `blocks`.
    """
    for number in (denoiser_weight, text_encoder_weight, *(blocks or ())):
        if not abs(number) <= MAX_WEIGHT:
            raise BadInput(
                f"The LoRA “{lora.path.name}” cannot have the weight {number}.",
                f"Use a weight from {-MAX_WEIGHT:g} to {MAX_WEIGHT:g}.",
                where="loras",
            )
    ratios = None if blocks is None else lora.blocks.ratios(blocks, lora.path.name)
    found: list[Delta] = []
    for layer in lora.layers:
        part, path = layer.place
        ratio = text_encoder_weight if part.startswith("text_encoder") else denoiser_weight
        if ratios is not None:
            ratio *= ratios[lora.blocks.block(part, path)]
        if ratio:
            found.append(Delta(part, path, _change(layer, ratio)))
    return found


def combined(deltas: Iterable[Delta]) -> list[Delta]:
    """One change for each weight: what each of its changes adds to the original weight, added up.

    Every change sees the original weight, DoRA too, so the order changes no more than float32's last bits.
    """
    by_weight: dict[tuple[str, str], list[Delta]] = {}
    for delta in deltas:
        by_weight.setdefault((delta.part, delta.path), []).append(delta)
    return [same[0] if len(same) == 1 else Delta(*place, _sum(same)) for place, same in by_weight.items()]


def _change(layer: Layer, ratio: float) -> Callable[[torch.Tensor], torch.Tensor]:
    return lambda weight: layer.changed(weight, ratio)


def _sum(same: list[Delta]) -> Callable[[torch.Tensor], torch.Tensor]:
    def change(weight: torch.Tensor) -> torch.Tensor:
        changed = weight.clone()
        for delta in same:
            changed += delta.change(weight) - weight
        return changed

    return change
