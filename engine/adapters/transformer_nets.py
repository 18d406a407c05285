"""Several ControlNets of a transformer as one, as diffusers' pipelines for Stable Diffusion 3 and FLUX.1 take them.

What a net finds is for every so many blocks of the denoiser; it is spread over all of them here, by diffusers' own
rules, so that nets of different depths can be added up, and graphs take one residual a block.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
from diffusers.models.controlnets.controlnet_flux import FluxControlNetModel, FluxMultiControlNetModel
from diffusers.models.controlnets.controlnet_sd3 import SD3MultiControlNetModel

from engine.adapters.controlnets import Placed
from engine.controls import KINDS
from engine.errors import BadInput
from engine.uses import ControlUse

Residuals = list[torch.Tensor]
"""[b, n, d] each, for n tokens of the picture."""
_PLAIN_MODE = -1
"""What diffusers tells a net that knows one kind of control image."""


class FluxControlNets(Placed, FluxMultiControlNetModel):
    """FLUX.1's; a Union net is told the kind of each control image."""

    def __init__(self, nets: Sequence[Any], uses: Sequence[ControlUse], denoiser: Any) -> None:
        """A net for each use, for a denoiser of that configuration. Raises BadInput for nets that are too unlike."""
        super().__init__(list(nets))
        self.uses = tuple(uses)
        self.modes = [_mode(*each) for each in zip(nets, uses, strict=True)]
        """The kind of each control image, as a Union net knows it."""
        self._blocks: tuple[int, int] = (denoiser["num_layers"], denoiser["num_single_layers"])
        _check_alike(nets, ("conditioning_embedding_channels", "guidance_embeds"))

    def forward(  # pyright: ignore[reportIncompatibleMethodOverride]
        self,
        *,
        controlnet_cond: list[torch.Tensor],
        controlnet_mode: Sequence[torch.Tensor],
        conditioning_scale: list[float],
        **given: Any,
    ) -> tuple[Residuals | None, Residuals | None]:
        """The sum of what each net adds behind the denoiser's blocks, and behind its single blocks."""
        double: Residuals | None = None
        single: Residuals | None = None
        for place in _steering(conditioning_scale):
            found = self.nets[place](
                **given,
                controlnet_cond=controlnet_cond[place],
                controlnet_mode=controlnet_mode[place][:, None],
                conditioning_scale=conditioning_scale[place],
            )
            repeats = self.nets[place].input_hint_block is not None
            double = _sum(double, _in_turns(found[0], self._blocks[0]) if repeats else _held(found[0], self._blocks[0]))
            single = _sum(single, _held(found[1], self._blocks[1]))
        return double, single


class Sd3ControlNets(Placed, SD3MultiControlNetModel):
    """Stable Diffusion 3's."""

    def __init__(self, nets: Sequence[Any], uses: Sequence[ControlUse], denoiser: Any) -> None:
        """A net for each use, for a denoiser of that configuration. Raises BadInput for nets that are too unlike."""
        super().__init__(list(nets))
        self.uses = tuple(uses)
        self._blocks: int = denoiser["num_layers"]
        _check_alike(nets, ("force_zeros_for_pooled_projection", "joint_attention_dim"))

    def forward(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, *, controlnet_cond: list[torch.Tensor], conditioning_scale: list[float], **given: Any
    ) -> tuple[Residuals]:
        """The sum of what each net adds behind the denoiser's blocks."""
        total: Residuals | None = None
        for place in _steering(conditioning_scale):
            (found,) = self.nets[place](
                **given, controlnet_cond=controlnet_cond[place], conditioning_scale=conditioning_scale[place]
            )
            share = self._blocks / len(found)
            total = _sum(total, [found[int(block / share)] for block in range(self._blocks)])
        assert total is not None
        return (total,)


def together(nets: Sequence[Any], uses: Sequence[ControlUse], denoiser: Any) -> FluxControlNets | Sd3ControlNets:
    """The nets of one family as one, for a denoiser of that configuration."""
    kind = FluxControlNets if isinstance(nets[0], FluxControlNetModel) else Sd3ControlNets
    return kind(nets, uses, denoiser)


def _steering(scales: Sequence[float]) -> list[int]:
    """The places of the nets that steer now; the first one's, whose scale is nothing, where none does."""
    return [place for place, scale in enumerate(scales) if scale] or [0]


def _held(found: Residuals | None, blocks: int) -> Residuals | None:
    """Each for as many blocks in a row as there are more blocks than residuals."""
    if found is None:
        return None
    row = math.ceil(blocks / len(found))
    return [found[block // row] for block in range(blocks)]


def _in_turns(found: Residuals | None, blocks: int) -> Residuals | None:
    """Each for one block, again and again: the rule of nets that read pixels (XLabs')."""
    return None if found is None else [found[block % len(found)] for block in range(blocks)]


def _sum(one: Residuals | None, other: Residuals | None) -> Residuals | None:
    if one is None or other is None:
        return one or other
    return [a + b for a, b in zip(one, other, strict=True)]


def _mode(net: Any, use: ControlUse) -> int:
    if not net.union:
        return _PLAIN_MODE
    place = KINDS[use.shows or use.kind].flux
    assert place is not None, "the library gives a Union only what it knows"
    return place


def _check_alike(nets: Sequence[Any], names: Sequence[str]) -> None:
    """diffusers asks the first net what all are given."""
    for name in names:
        if len({net.config[name] for net in nets}) > 1:
            raise BadInput(
                "These ControlNets cannot steer one picture together: they read their control images otherwise.",
                "Use one of them.",
                where="controls",
            )
