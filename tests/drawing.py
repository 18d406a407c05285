"""One picture by the engine's own way from an order to its picture, in this process."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from engine.backends.choice import choose, devices
from engine.library import adapters, index
from engine.memory import Plan
from engine.messages import Draw
from engine.pipelines import Pipelines
from engine.settings import GenerateSettings
from engine.tasks.draw import Prepared, draw, prepare
from engine.tasks.unpickled import unpickled


def prepared(
    settings: GenerateSettings, backend: str = "torch", precision: str = "fp32", pipelines: Pipelines | None = None
) -> Prepared:
    """Everything loaded for a picture of these settings."""
    card = index.find(settings.model)
    order = Draw(
        settings=settings,
        model=card,
        refiner=index.refiner(settings.refiner, card),
        adapters=unpickled(adapters.needed(settings, card), lambda what, done: None),
        part="",
    )
    plan = Plan(choose(devices(), backend, precision))
    return prepare(pipelines or Pipelines(), order, plan, lambda what, done: None)


def drawn(
    settings: GenerateSettings, backend: str = "torch", precision: str = "fp32", pipelines: Pipelines | None = None
) -> Image.Image:
    """The picture."""
    return draw(prepared(settings, backend, precision, pipelines), lambda *_: None).image


def foreseen(
    settings: GenerateSettings, backend: str = "torch", precision: str = "fp32", pipelines: Pipelines | None = None
) -> list[torch.Tensor]:
    """The latents that each step foresees."""
    seen: list[torch.Tensor] = []
    ready = prepared(settings, backend, precision, pipelines)
    draw(ready, lambda step, steps, latents: seen.append(latents) if latents is not None else None)
    return seen


def difference(one: Image.Image, other: Image.Image) -> int:
    """The greatest one of any value, in levels of 255."""
    return int(np.abs(np.asarray(one, np.int16) - np.asarray(other, np.int16)).max())


def family_of(model: Path) -> str:
    """The name of a model's family."""
    return index.find(str(model)).family


STARTER = "Easel Starter"
STARTER_PACK = Path(__file__).parents[1] / "resources" / "starter"
