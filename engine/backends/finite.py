"""An autoencoder whose numbers overflow in half precision counts again in float32, with the same latents or pixels.

What diffusers' pipelines do beforehand where a configuration says `force_upcast`, done where it turns out to be needed.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

Exact = Callable[[Any], AbstractContextManager[None]]
"""A backend's way to have a module count in float32 for a while."""


class Watch:
    """Watches both ways through one autoencoder, for as long as it lives."""

    def __init__(self, vae: Any, exact: Exact) -> None:
        """Put itself in the place of the autoencoder's `encode` and `decode`."""
        self.overflows = False
        """Whether half precision was not enough for it once; then it is not tried again."""
        self._vae, self._exact = vae, exact
        self._encode, self._decode = vae.encode, vae.decode
        vae.encode, vae.decode = self._encoded, self._decoded

    def _decoded(self, latents: "torch.Tensor", return_dict: bool = True, **more: Any) -> Any:
        """As AutoencoderKL.decode: pixels [b, 3, h, w] in -1 to 1. Numbers without end become NaN, which none hides."""
        import torch
        from diffusers.models.autoencoders.vae import DecoderOutput

        def run(given: torch.Tensor) -> torch.Tensor:
            return self._decode(given, return_dict=False, **more)[0]

        pixels = self._finite(run, latents)
        pixels = torch.where(pixels.isfinite(), pixels, torch.nan)
        return DecoderOutput(sample=pixels) if return_dict else (pixels,)

    def _encoded(self, pixels: "torch.Tensor", return_dict: bool = True) -> Any:
        """As AutoencoderKL.encode: the posterior of pixels [b, 3, h, w]."""
        import torch
        from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution
        from diffusers.models.modeling_outputs import AutoencoderKLOutput

        def run(given: torch.Tensor) -> torch.Tensor:
            return self._encode(given, return_dict=False)[0].parameters

        moments = self._finite(run, pixels).to(pixels.dtype)
        posterior = DiagonalGaussianDistribution(moments)
        return AutoencoderKLOutput(latent_dist=posterior) if return_dict else (posterior,)

    def _finite(self, run: "Callable[[torch.Tensor], torch.Tensor]", given: "torch.Tensor") -> "torch.Tensor":
        if not self.overflows:
            found = run(given)
            if found.isfinite().all() or self._is_elsewhere():
                return found
            self.overflows = True
        with self._exact(self._vae):
            return run(given.float())

    def _is_elsewhere(self) -> bool:
        """Whether its weights come layer by layer from where they cannot be changed."""
        return any(weight.is_meta for weight in self._vae.parameters()) and hasattr(self._vae, "_hf_hook")
