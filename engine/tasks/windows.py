"""A denoiser that sees large latents through windows of its own size and blends what it predicts: no seams, one window
of memory (MultiDiffusion, Bar-Tal et al. 2023, https://arxiv.org/abs/2302.08113; windows fade linearly at their rims).
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionOutput

_SPATIAL = ("down_block_additional_residuals", "down_intrablock_additional_residuals")
_MIDDLE = "mid_block_additional_residual"
_OF_ACCELERATE = ("_hf_hook", "_old_forward")
"""What a module has that takes turns with others; who takes it off from one looks for it on all."""

OnWindow = Callable[[int, int], None]
"""Told after each window of a prediction: how many are done, of how many."""


class Windowed(torch.nn.Module):
    """A denoiser for latents of any size; everything but its forward is the denoiser's own."""

    def __init__(self, denoiser: Any, side: int, multiple: int) -> None:
        """Windows of `side` x `side` latents at most, both sides and their places multiples of `multiple`."""
        super().__init__()
        self.denoiser = denoiser
        self.side, self.multiple = side // multiple * multiple, multiple
        self.on_window: OnWindow = _untold

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            if name in _OF_ACCELERATE:
                raise
            return getattr(super().__getattr__("denoiser"), name)

    def windows(self, height: int, width: int) -> int:
        """How many windows a prediction of that many latents takes."""
        return len(self._starts(height)) * len(self._starts(width))

    def forward(self, sample: torch.Tensor, *rest: Any, return_dict: bool = True, **given: Any) -> Any:
        """The denoiser's prediction for latents [b, c, h, w]; what ControlNets add is cut as the latents are."""
        height, width = sample.shape[2:]
        tall, wide = min(self.side, height), min(self.side, width)
        places = [(top, left) for top in self._starts(height) for left in self._starts(width)]
        total = weight = torch.zeros(())
        for done, (top, left) in enumerate(places, 1):
            box = (top, left, tall, wide)
            cut = {name: _cut_all(name, each, box, (height, width)) for name, each in given.items()}
            window = sample[..., top : top + tall, left : left + wide]
            found = self.denoiser(window, *rest, return_dict=False, **cut)[0]
            if done == 1:
                total, weight = (found.new_zeros(*found.shape[:2], height, width) for _ in range(2))
            share = self._share(box, (height, width)).to(found)
            total[..., top : top + tall, left : left + wide] += share * found
            weight[..., top : top + tall, left : left + wide] += share
            self.on_window(done, len(places))
        predicted = total / weight
        return UNet2DConditionOutput(sample=predicted) if return_dict else (predicted,)

    def _starts(self, length: int) -> list[int]:
        """Where windows begin along `length` latents: evenly, each sharing a quarter with the next at least."""
        if length <= self.side:
            return [0]
        furthest = max(self.side * 3 // 4 // self.multiple, 1) * self.multiple
        count = -(-(length - self.side) // furthest) + 1
        step = (length - self.side) / (count - 1)
        return [min(round(place * step / self.multiple) * self.multiple, length - self.side) for place in range(count)]

    def _share(self, box: tuple[int, int, int, int], size: tuple[int, int]) -> torch.Tensor:
        """How much a window counts where [h, w]: it fades towards other windows, not towards the picture's edge."""
        top, left, tall, wide = box
        rows, columns = _ramp(top, tall, size[0], self.side // 4), _ramp(left, wide, size[1], self.side // 4)
        return rows[:, None] * columns[None, :]


def _ramp(start: int, length: int, whole: int, fade: int) -> torch.Tensor:
    place = torch.arange(length, dtype=torch.float32) + 0.5
    before = torch.ones(length) if start == 0 else (place / fade).clamp(max=1)
    behind = torch.ones(length) if start + length == whole else ((length - place) / fade).clamp(max=1)
    return before * behind


def _cut_all(name: str, value: Any, box: tuple[int, int, int, int], size: tuple[int, int]) -> Any:
    """An argument of the denoiser, cut to the window where it is spatial."""
    if value is None:
        return None
    if name == _MIDDLE:
        return _cut(value, box, size)
    if name in _SPATIAL:
        many: Sequence[torch.Tensor] = value
        return [_cut(each, box, size) for each in many]
    return value


def _cut(residual: torch.Tensor, box: tuple[int, int, int, int], size: tuple[int, int]) -> torch.Tensor:
    """Of a residual [b, c, h / n, w / n] what lies in a box of the latents; whole where it says the same everywhere."""
    if residual.shape[-1] == 1 and residual.shape[-2] == 1:
        return residual
    shrunk = [round(full / own) for full, own in zip(size, residual.shape[-2:], strict=True)]
    top, left, tall, wide = (each // shrunk[place % 2] for place, each in enumerate(box))
    return residual[..., top : top + tall, left : left + wide]


def _untold(_done: int, _of: int) -> None:
    """Nobody listens."""
