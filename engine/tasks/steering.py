"""What steers a drawing besides its words: ControlNets for the pipeline, features of T2I-Adapters for its denoiser."""

from collections.abc import Sequence
from typing import Any

from diffusers import T2IAdapter
from PIL import Image

from engine.adapters.controlnets import ControlNets
from engine.adapters.t2i_adapter import hint
from engine.settings import GenerateSettings
from engine.tasks.generate import Given


def steered(nets: Sequence[Any], settings: GenerateSettings, given: Given) -> tuple[ControlNets | None, Given]:
    """The ControlNets among the nets as one, and `given` with their control images and with what the adapters found.

    A net and a control image of the size that is drawn for each of the settings' controls.
    """
    every = list(zip(nets, settings.controls, given.controls, strict=True))
    hints = tuple(hint(net, image, use) for net, use, image in every if isinstance(net, T2IAdapter))
    rest = [each for each in every if not isinstance(each[0], T2IAdapter)]
    images: tuple[Image.Image, ...] = tuple(image for *_, image in rest)
    guided = settings.guidance_scale > 1
    together = ControlNets([net for net, *_ in rest], [use for _, use, _ in rest], guided=guided) if rest else None
    return together, given._replace(controls=images, hints=hints)
