"""What steers a drawing besides its words: ControlNets for the pipeline, features of T2I-Adapters for its denoiser."""

from collections.abc import Sequence
from typing import Any

from diffusers import T2IAdapter, UNet2DConditionModel
from PIL import Image

from engine.adapters.controlnets import ControlNets
from engine.adapters.t2i_adapter import hint
from engine.adapters.transformer_nets import together
from engine.settings import GenerateSettings
from engine.tasks.generate import Given


def steered(nets: Sequence[Any], settings: GenerateSettings, given: Given, denoiser: Any) -> tuple[Any, Given]:
    """The ControlNets among the nets as one, and `given` with their control images and with what the adapters found.

    A net for the `denoiser` and a control image of the size that is drawn for each of the settings' controls. None
    without a ControlNet. Raises BadInput for nets that cannot steer together.
    """
    every = list(zip(nets, settings.controls, given.controls, strict=True))
    hints = tuple(hint(net, image, use) for net, use, image in every if isinstance(net, T2IAdapter))
    rest = [each for each in every if not isinstance(each[0], T2IAdapter)]
    images: tuple[Image.Image, ...] = tuple(image for *_, image in rest)
    given = given._replace(controls=images, hints=hints)
    of, uses = [net for net, *_ in rest], [use for _, use, _ in rest]
    if not rest:
        return None, given
    if isinstance(denoiser, UNet2DConditionModel):
        return ControlNets(of, uses, guided=settings.guidance_scale > 1), given
    return together(of, uses, denoiser.config), given
