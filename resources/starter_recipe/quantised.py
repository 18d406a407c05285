"""What int8 costs: the engine's own pictures in int8 held against those in float32, from the same seeds."""

from pathlib import Path

import numpy as np

from engine.backends.choice import choose, devices
from engine.library import index
from engine.messages import Draw
from engine.pipelines import Pipelines
from engine.settings import GenerateSettings
from engine.tasks.draw import draw, prepare


def drawn(model: Path, prompts: list[str], precision: str) -> np.ndarray:
    """A picture of each prompt by OpenVINO in that precision, uint8 [n, h, w, 3]; prompt n has the seed n."""
    card = index.find(str(model))
    device, pipelines = choose(devices(), "openvino", precision), Pipelines()
    pictures: list[np.ndarray] = []
    for seed, prompt in enumerate(prompts):
        settings = GenerateSettings(prompt=prompt, seed=seed, width=card.native_size, height=card.native_size)
        order = Draw(settings=settings, model=card, part="")
        ready = prepare(pipelines, order, device, lambda what, done: None)
        pictures.append(np.asarray(draw(ready, lambda *_: None)))
    return np.stack(pictures)


def mean_psnr(one: np.ndarray, other: np.ndarray) -> float:
    """Mean over the pictures, uint8 [n, h, w, 3], of the peak signal-to-noise ratio in dB."""
    errors = np.square(one.astype(np.float64) - other).mean(axis=(1, 2, 3))
    return float((10 * np.log10(255**2 / np.maximum(errors, 1e-6))).mean())
