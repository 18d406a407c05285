"""The drawings that are trained on: rendered once by every core, kept in one array on the disk."""

from multiprocessing import get_context
from pathlib import Path

import numpy as np

from resources.starter_recipe.drawing import NATIVE_SIZE, draw
from resources.starter_recipe.world import Scene, random_scenes

CHUNK = 256


def training_scenes(count: int, seed: int) -> list[Scene]:
    """The scenes of the training set, those held out left aside; the same for the same seed."""
    return random_scenes(count, held_out=False, seed=seed)


def drawings(work: Path, count: int, seed: int) -> np.ndarray:
    """uint8 [count, size, size, 3], memory-mapped; drawn at the first call. Row n shows `training_scenes()[n]`."""
    path = work / f"drawings-{count}-{seed}.npy"
    if not path.exists():
        part = path.with_suffix(".part.npy")
        shape = (count, NATIVE_SIZE, NATIVE_SIZE, 3)
        array = np.lib.format.open_memmap(part, mode="w+", dtype=np.uint8, shape=shape)
        with get_context("spawn").Pool() as pool:
            scenes = training_scenes(count, seed)
            chunks = [(scenes[first : first + CHUNK], seed + first) for first in range(0, count, CHUNK)]
            for number, drawn in enumerate(pool.imap(_draw_chunk, chunks)):
                array[number * CHUNK : number * CHUNK + len(drawn)] = drawn
        array.flush()
        part.rename(path)
    return np.load(path, mmap_mode="r")


def _draw_chunk(chunk: tuple[list[Scene], int]) -> np.ndarray:
    scenes, first_seed = chunk
    return np.stack([draw(scene, first_seed + place) for place, scene in enumerate(scenes)])
