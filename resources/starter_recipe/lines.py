"""The lines of a picture, as a ControlNet reads them: Canny's edge detector (1986) without its hysteresis."""

import torch
from torch.nn.functional import conv2d, max_pool2d, pad

EDGE = 0.16
"""The least slope of brightness, of 1 a pixel, that counts as a line."""


def lines(pictures: torch.Tensor) -> torch.Tensor:
    """Thin lines, 1 on 0, float [b, 1, h, w], of RGB pictures [b, 3, h, w] in 0 to 1."""
    across, down = _slopes(_blurred(pictures))
    steepest = (across.square() + down.square()).argmax(dim=1, keepdim=True)
    across, down = across.gather(1, steepest), down.gather(1, steepest)
    slope = torch.hypot(across, down)
    before, behind = _neighbours(slope, across, down)
    return ((slope >= EDGE) & (slope >= before) & (slope > behind)).float()


def agreement(found: torch.Tensor, asked: torch.Tensor) -> torch.Tensor:
    """F1 [b] of the lines found [b, 1, h, w] against those asked for, a pixel beside counted as met."""
    near_asked, near_found = max_pool2d(asked, 3, 1, 1), max_pool2d(found, 3, 1, 1)
    precision = (found * near_asked).sum((1, 2, 3)) / found.sum((1, 2, 3)).clamp(min=1)
    recall = (asked * near_found).sum((1, 2, 3)) / asked.sum((1, 2, 3)).clamp(min=1)
    return 2 * precision * recall / (precision + recall).clamp(min=1e-6)


def _blurred(pictures: torch.Tensor) -> torch.Tensor:
    weights = torch.tensor([0.0545, 0.2442, 0.4026, 0.2442, 0.0545])  # a Gaussian of one pixel
    kernel = torch.outer(weights, weights).expand(3, 1, 5, 5)
    return conv2d(pad(pictures, (2, 2, 2, 2), mode="replicate"), kernel, groups=3)


def _slopes(pictures: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Sobel's slopes across and down, a pixel."""
    kernel = torch.tensor([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]]) / 4
    padded = pad(pictures, (1, 1, 1, 1), mode="replicate")
    return tuple(conv2d(padded, each.expand(3, 1, 3, 3).contiguous(), groups=3) for each in (kernel, kernel.T))


def _neighbours(slope: torch.Tensor, across: torch.Tensor, down: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The slopes on both sides of each pixel, in the direction in which it rises, to the next eighth of a turn."""
    eighth = torch.round(torch.atan2(down, across) / (torch.pi / 4)).long() % 4
    before, behind = torch.zeros_like(slope), torch.zeros_like(slope)
    for number, (dy, dx) in enumerate(((0, 1), (1, 1), (1, 0), (1, -1))):
        before = torch.where(eighth == number, slope.roll((dy, dx), (2, 3)), before)
        behind = torch.where(eighth == number, slope.roll((-dy, -dx), (2, 3)), behind)
    return before, behind
