"""Drawings to train on: rendered once by every core, kept in one array on the disk."""

from multiprocessing import get_context
from pathlib import Path

import numpy as np

from resources.starter_recipe.drawing import draw
from resources.starter_recipe.world import Scene

CHUNK = 256
Chunk = tuple[list[Scene], int, tuple[int, int]]
"""Scenes, the seed of the first, and the size to draw them in."""


def drawings(path: Path, shown: list[Scene], size: tuple[int, int], seed: int) -> np.ndarray:
    """uint8 [n, h, w, 3], memory-mapped from `path`; drawn at the first call. Row n shows `shown[n]`."""
    if not path.exists():
        part = path.with_suffix(".part.npy")
        shape = (len(shown), size[1], size[0], 3)
        array = np.lib.format.open_memmap(part, mode="w+", dtype=np.uint8, shape=shape)
        with get_context("spawn").Pool() as pool:
            chunks = [(shown[first : first + CHUNK], seed + first, size) for first in range(0, len(shown), CHUNK)]
            for number, drawn in enumerate(pool.imap(_draw_chunk, chunks)):
                array[number * CHUNK : number * CHUNK + len(drawn)] = drawn
        array.flush()
        part.rename(path)
    return np.load(path, mmap_mode="r")


def _draw_chunk(chunk: Chunk) -> np.ndarray:
    shown, first_seed, size = chunk
    return np.stack([draw(scene, first_seed + place, size) for place, scene in enumerate(shown)])
