"""Several ControlNets as one, as diffusers' pipelines take them."""

import torch
from diffusers import MultiControlNetModel


class ControlNets(MultiControlNetModel):
    """Says where its nets are: shells have weights nowhere, and pipelines ask the weights."""

    @property
    def device(self) -> torch.device:  # pyright: ignore[reportIncompatibleMethodOverride]
        """The nets' own."""
        return self.nets[0].device  # pyright: ignore[reportReturnType]

    @property
    def dtype(self) -> torch.dtype:  # pyright: ignore[reportIncompatibleMethodOverride]
        """The nets' own."""
        return self.nets[0].dtype  # pyright: ignore[reportReturnType]
