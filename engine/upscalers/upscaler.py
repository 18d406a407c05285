"""An upscaler ready to run, wherever it runs."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

Run = Callable[[Tensor], Tensor]
"""Float pixels [1, c, h, w] on the CPU to [1, c, h * scale, w * scale], there too."""


@dataclass(frozen=True)
class Upscaler:
    """A network that enlarges colour pictures by a whole factor."""

    name: str
    family: str
    scale: int
    run: Run
    channels: int = 3
    """With 1, it was made for grey pictures, and sees the three colours one after the other."""
    multiple: int = 1
    """Height and width of what goes in must be multiples of this."""
    size: tuple[int, int] | None = None
    """The only height and width it takes, where it is so made."""

    def __call__(self, pixels: Tensor) -> Tensor:
        """Float32 pixels [1, 3, h, w] in 0 to 1, on the CPU, as [1, 3, h * scale, w * scale], about in 0 to 1.

        Raises ValueError for a height or width it cannot take; whatever torch or OpenVINO raises for want of memory.
        """
        height, width = pixels.shape[2:]
        if height % self.multiple or width % self.multiple or self.size not in (None, (height, width)):
            raise ValueError(f"{self.name} takes no {height} x {width} pixels")
        return torch.cat([self.run(each) for each in pixels.split(self.channels, dim=1)], dim=1)
