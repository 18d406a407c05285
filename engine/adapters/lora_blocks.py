"""Weights by block: which block of a U-Net a module lies in, and what a row of numbers says of each block.

The order is that of https://github.com/hako-mikan/sd-webui-lora-block-weight: BASE (the text encoders), IN00 and on,
M00, OUT00 and on. A row names either every block (26 numbers for Stable Diffusion 1.x and 2.x, 20 for XL) or BASE and
the blocks with attention (17 and 12); the others are then 0. Both follow from the model, whatever its depth.
"""

import re
from collections.abc import Iterable
from typing import NamedTuple

from engine.errors import BadInput
from engine.formats.lora_keys import sgm_names

BASE = "BASE"
_SIDES = {"input_blocks": "IN", "middle_block": "M", "output_blocks": "OUT"}
_NUMBERED = re.compile(r"(input_blocks|middle_block|output_blocks)\.(\d+)\.")


class Blocks(NamedTuple):
    """The blocks of one model."""

    of: dict[str, str]
    """Each module's block, by its diffusers path; modules outside all blocks (time embedding, conv_out) have none."""
    every: tuple[str, ...]
    attending: tuple[str, ...]

    def block(self, part: str, path: str) -> str:
        """The block whose factor a module follows; BASE, too, outside all blocks and in text encoders."""
        return self.of.get(path, BASE) if part == "unet" else BASE

    def ratios(self, numbers: tuple[float, ...], name: str) -> dict[str, float]:
        """The factor of every block. Raises BadInput naming the LoRA for a row of another length."""
        for chosen in (self.attending, self.every):
            if len(numbers) == len(chosen):
                return dict.fromkeys(self.every, 0.0) | dict(zip(chosen, numbers, strict=True))
        raise BadInput(
            f"The LoRA “{name}” was given {len(numbers)} block weights.",
            f"Give {len(self.attending)} or {len(self.every)} for this model, BASE first.",
            where="loras",
        )


def blocks_of(paths: Iterable[str]) -> Blocks:
    """The blocks of the U-Net that has these module paths, as diffusers names them."""
    theirs = sgm_names(paths)
    of = {ours: _block(match) for ours, name in theirs.items() if (match := _NUMBERED.match(name))}
    attending = {of[ours] for ours in of if "transformer_blocks" in ours}
    every = (BASE, *sorted(set(of.values()), key=_order))
    return Blocks(of, every, tuple(block for block in every if block == BASE or block in attending))


def _block(match: re.Match[str]) -> str:
    number = 0 if match[1] == "middle_block" else int(match[2])
    return f"{_SIDES[match[1]]}{number:02}"


def _order(block: str) -> tuple[int, str]:
    return ["IN", "M", "OUT"].index(block.rstrip("0123456789")), block
