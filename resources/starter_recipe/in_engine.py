"""Pictures of a pack by the engine itself, on any backend: from settings to pixels as Easel's window has them drawn."""

from pathlib import Path
from typing import Any

import numpy as np
from msgspec import structs

from engine.backends.choice import choose, devices
from engine.library import adapters, index
from engine.memory import Plan
from engine.messages import Draw
from engine.pipelines import Pipelines
from engine.settings import GenerateSettings
from engine.tasks.draw import draw, prepare
from resources.starter_recipe.embedding import WORD
from resources.starter_recipe.pack import EMBEDDING, MODEL


class InEngine:
    """The pack in a folder on one backend in one precision, loaded once."""

    def __init__(self, folder: Path, backend: str, precision: str) -> None:
        self.name = f"{backend} {precision}"
        self._card = index.find(str(folder / MODEL))
        self._embedding = (WORD, str(folder / EMBEDDING))
        self._plan, self._pipelines = Plan(choose(devices(), backend, precision)), Pipelines()

    def made(self, prompts: list[str], **settings: Any) -> np.ndarray:
        """A picture of each prompt, uint8 [n, h, w, 3]; prompt n has the seed n.

        Lists among the settings go prompt by prompt, the others are for all.
        """
        side, pictures = self._card.native_size, list[np.ndarray]()
        for seed, prompt in enumerate(prompts):
            own = {name: each[seed] if isinstance(each, list) else each for name, each in settings.items()}
            asked = GenerateSettings(prompt=prompt, seed=seed, width=side, height=side, **own)
            found = structs.replace(adapters.needed(asked, self._card), embeddings=(self._embedding,))
            order = Draw(settings=asked, model=self._card, adapters=found, part="")
            ready = prepare(self._pipelines, order, self._plan, lambda what, done: None)
            pictures.append(np.asarray(draw(ready, lambda *_: None).image))
        return np.stack(pictures)


def mean_psnr(one: np.ndarray, other: np.ndarray) -> float:
    """Mean over the pictures, uint8 [n, h, w, 3], of the peak signal-to-noise ratio in dB."""
    errors = np.square(one.astype(np.float64) - other).mean(axis=(1, 2, 3))
    return float((10 * np.log10(255**2 / np.maximum(errors, 1e-6))).mean())
