"""Holistically-nested edges (Xie and Tu 2015): the network of ControlNet's annotator, from a .safetensors file."""

from pathlib import Path

import cv2
import numpy as np
import torch
from safetensors.torch import load_file

from engine.tasks.preprocessors.surfaces import as_rgb

_BLOCKS = ((3, 64, 2), (64, 128, 2), (128, 256, 3), (256, 512, 3), (512, 512, 3))
"""Channels in and out, and convolutions; each block sees half of what the one before it sees."""


class _Block(torch.nn.Module):
    def __init__(self, given: int, made: int, count: int) -> None:
        super().__init__()
        self.convs = torch.nn.ModuleList(
            torch.nn.Conv2d(given if place == 0 else made, made, 3, padding=1) for place in range(count)
        )
        self.projection = torch.nn.Conv2d(made, 1, 1)

    def forward(self, seen: torch.Tensor) -> torch.Tensor:
        for conv in self.convs:
            seen = torch.relu(conv(seen))
        return seen


class _Network(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm = torch.nn.Parameter(torch.zeros(1, 3, 1, 1))
        for place, block in enumerate(_BLOCKS, 1):
            self.add_module(f"block{place}", _Block(*block))

    def forward(self, pixels: torch.Tensor) -> list[torch.Tensor]:
        """Edges [1, 1, h, w], before the logistic function, from fine to coarse, of pixels of 0 to 255."""
        seen, edges = pixels - self.norm, []
        for place in range(1, len(_BLOCKS) + 1):
            block = self.get_submodule(f"block{place}")
            if place > 1:
                seen = torch.nn.functional.max_pool2d(seen, 2)
            seen = block(seen)
            edges.append(block.get_submodule("projection")(seen))
        return edges


@torch.no_grad()
def hed(pixels: np.ndarray, file: Path) -> np.ndarray:
    """The edges that the network in the file finds, white on black. Raises RuntimeError for one that does not fit.

    A side under 16 pixels is too small for the last block; there nothing is found.
    """
    network = _Network()
    network.load_state_dict({name: each.to(torch.float32) for name, each in load_file(file).items()})
    height, width = pixels.shape[:2]
    if min(height, width) < 2 ** (len(_BLOCKS) - 1):
        return np.zeros_like(pixels)
    found = network(torch.from_numpy(pixels.astype(np.float32)).permute(2, 0, 1)[None])
    wide = [cv2.resize(each[0, 0].numpy(), (width, height), interpolation=cv2.INTER_LINEAR) for each in found]
    edges = 1 / (1 + np.exp(-np.mean(wide, axis=0).astype(np.float64)))
    return as_rgb((edges * 255).clip(0, 255).astype(np.uint8))
