"""Attention among the pixels of a window, and the windows moved by half of theirs in every other block."""

from functools import cache

import torch
from torch import Tensor

Size = tuple[int, int]
"""Height and width."""

MOST = 1024
"""Pixels in a window; published networks have at most 256. A table for more would not fit in memory."""


def split(pixels: Tensor, window: Size) -> Tensor:
    """[b, h, w, c] as [b * windows, pixels of one, c], row by row; h and w are multiples of the window's."""
    batch, height, width, channels = pixels.shape
    rows, columns = height // window[0], width // window[1]
    parts = pixels.reshape(batch, rows, window[0], columns, window[1], channels).transpose(2, 3)
    return parts.reshape(batch * rows * columns, window[0] * window[1], channels)


def joined(windows: Tensor, window: Size, size: Size) -> Tensor:
    """`split` undone: [b, h, w, c]."""
    rows, columns = size[0] // window[0], size[1] // window[1]
    parts = windows.reshape(-1, rows, columns, window[0], window[1], windows.shape[-1]).transpose(2, 3)
    return parts.reshape(-1, size[0], size[1], windows.shape[-1])


def attention(query: Tensor, key: Tensor, value: Tensor, bias: Tensor, mask: Tensor | None) -> Tensor:
    """Each [b * windows, heads, n, d]; `bias` [heads, n, n]; `mask` [windows, n, n]. Gives [b * windows, n, heads * d].

    Bias and mask stay apart: added together, they would be a table for every window and block.
    """
    scores = (query * query.shape[-1] ** -0.5) @ key.transpose(-2, -1) + bias
    if mask is not None:
        scores = (scores.unflatten(0, (-1, len(mask))) + mask[:, None]).flatten(0, 1)
    return (scores.softmax(-1) @ value).transpose(1, 2).flatten(2)


def mask(size: Size, window: Size, like: Tensor) -> Tensor:
    """[windows, n, n] for a picture rolled by half a window: -100 between pixels that came from opposite sides of it.

    The value and the idea are those of the Swin transformer, Liu et al. 2021 (https://arxiv.org/abs/2103.14030).
    """
    down, right = (
        (torch.arange(length, device=like.device) >= length - side // 2).to(like.dtype)
        for length, side in zip(size, window, strict=True)
    )
    origin = split((2 * down[:, None] + right)[None, :, :, None], window)[:, :, 0]
    return (origin[:, :, None] != origin[:, None, :]).to(like.dtype) * -100


def offsets(window: Size) -> Tensor:
    """Every offset between two pixels of a window, float [(2h - 1) * (2w - 1), 2], row by row."""
    down, right = (torch.arange(1 - side, side, device="cpu").float() for side in window)
    return torch.cartesian_prod(down, right)


@cache
def offset_numbers(window: Size) -> Tensor:
    """Which of `offsets` lies between each two pixels of a window, [n, n]. Raises ValueError for a huge window."""
    height, width = window
    if min(window) < 1 or height * width > MOST:
        raise ValueError(f"windows of {height} x {width} pixels")
    number = torch.arange(height * width, device="cpu")
    row, column = number // width, number % width
    down, right = (each[:, None] - each[None, :] for each in (row, column))
    return (down + height - 1) * (2 * width - 1) + right + width - 1
