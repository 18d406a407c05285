"""Several ControlNets as one, as diffusers' pipelines take them: plain ones and Unions, each in its own mode."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from diffusers import ControlNetUnionModel, MultiControlNetModel

from engine.controls import KINDS
from engine.uses import ControlUse

GENTLE = 0.825
"""What each level above the middle counts of the one below, where the prompt is to count more (ControlNet's own
“guess mode” and AUTOMATIC1111's “My prompt is more important”: 0.825 ** (12 - i) of 13 residuals)."""

Residuals = tuple[list[torch.Tensor], torch.Tensor]


class Placed(torch.nn.Module):
    """Several nets that say where they are, too: shells have weights nowhere, and pipelines ask the weights."""

    nets: Any
    uses: tuple[ControlUse, ...]
    """How each net is used."""

    @property
    def device(self) -> torch.device:
        """The nets' own."""
        return self.nets[0].device

    @property
    def dtype(self) -> torch.dtype:
        """The nets' own."""
        return self.nets[0].dtype


class ControlNets(Placed, MultiControlNetModel):
    """A U-Net's."""

    def __init__(self, nets: Sequence[Any], uses: Sequence[ControlUse], *, guided: bool) -> None:
        """A net for each use. `guided` says that the first example of a batch has no prompt."""
        super().__init__(list(nets))
        self.uses = tuple(uses)
        self._guided = guided

    def forward(  # pyright: ignore[reportIncompatibleMethodOverride]
        self,
        sample: torch.Tensor,
        timestep: torch.Tensor | float,
        *,
        controlnet_cond: list[torch.Tensor],
        conditioning_scale: list[float],
        **given: Any,
    ) -> Residuals:
        """The sum of what each net adds to the denoiser's skip connections and to its middle.

        A Union net is asked once for all of its control images together, and one that does not steer now is not asked.
        """
        every = [_Part(*each) for each in zip(self.nets, self.uses, controlnet_cond, conditioning_scale, strict=True)]
        total: Residuals | None = None
        for together in _asked_together([each for each in every if each.scale] or every[:1]):
            steps, middle = self._found(together, {"sample": sample, "timestep": timestep} | given)
            own = self._in_mode(together[0].use.mode, steps, middle)
            total = own if total is None else _sum(total, own)
        assert total is not None
        return total

    def _found(self, together: list["_Part"], given: dict[str, Any]) -> Residuals:
        net = together[0].net
        if not isinstance(net, ControlNetUnionModel):
            return net(**given, controlnet_cond=together[0].image, conditioning_scale=together[0].scale)
        places = [_place(each.use) for each in together]
        types = torch.zeros(len(given["sample"]), net.config["num_control_type"])
        types[:, places] = 1
        return net(
            **given,
            controlnet_cond=[each.image for each in together],
            control_type=types.to(given["sample"]),
            control_type_idx=places,
            conditioning_scale=[each.scale for each in together],
        )

    def _in_mode(self, mode: str, steps: Sequence[torch.Tensor], middle: torch.Tensor) -> Residuals:
        if mode == "balanced":
            return list(steps), middle
        every = [each * GENTLE ** (len(steps) - level) for level, each in enumerate((*steps, middle))]
        if mode == "control" and self._guided and len(middle) > 1:
            for each in every:
                each[0] = 0
        return every[:-1], every[-1]


class _Part(NamedTuple):
    net: Any
    use: ControlUse
    image: torch.Tensor
    scale: float


def _asked_together(parts: list[_Part]) -> list[list[_Part]]:
    """Each alone, but for the control images of one Union net in one mode."""
    found: dict[object, list[_Part]] = {}
    for place, each in enumerate(parts):
        key = (id(each.net), each.use.mode) if isinstance(each.net, ControlNetUnionModel) else place
        found.setdefault(key, []).append(each)
    return list(found.values())


def _place(use: ControlUse) -> int:
    place = KINDS[use.shows or use.kind].union
    assert place is not None, "the library gives a Union only what it knows"
    return place


def _sum(one: Residuals, other: Residuals) -> Residuals:
    return [a + b for a, b in zip(one[0], other[0], strict=True)], one[1] + other[1]
