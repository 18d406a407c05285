"""IP-Adapters: pictures that say what another shows, beside the words, through diffusers' own attention processors."""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from diffusers.models.attention_processor import AttnProcessor2_0
from PIL import Image
from safetensors import SafetensorError
from safetensors.torch import load_file

from engine.errors import BadInput
from engine.formats.safetensors import read_header
from engine.library.recognise import weights
from engine.messages import ChosenImagePrompt

KEPT = 20
"""Pictures of which is kept what was seen in them."""
_PARTS = ("image_proj", "ip_adapter")
_PLAIN = "image_proj.proj.weight"
"""Of an adapter that reads one vector of a picture; others read a token for each piece of it."""
State = dict[str, dict[str, torch.Tensor]]


class Shown(NamedTuple):
    """What an image encoder sees: [1, 1, d] for a plain adapter, [1, 1, n, d] for one that reads every piece."""

    picture: torch.Tensor
    nothing: torch.Tensor
    """The same of no picture, for the half of guidance that has no prompt."""

    def both(self, *, guided: bool) -> torch.Tensor:
        """As a pipeline takes it, with nothing first where there is guidance."""
        return torch.cat((self.nothing, self.picture)) if guided else self.picture


def read_ip_adapter(path: Path) -> State:
    """The two parts of an adapter's file, in float32. Raises BadInput for a file that cannot be read."""
    try:
        found = load_file(path)
    except (OSError, SafetensorError) as error:
        raise BadInput(f"The IP-Adapter “{path.name}” cannot be read.", "Copy it again.", where=str(path)) from error
    state: State = {part: {} for part in _PARTS}
    for name, tensor in found.items():
        part, _, rest = name.partition(".")
        if part in state:
            state[part][rest] = tensor.to(torch.float32)
    return state


class ImagePrompts:
    """The IP-Adapters in one denoiser, and what was seen in the last pictures."""

    def __init__(self, unet: Any) -> None:
        self._unet = unet
        self._files: list[tuple[str, int, int]] | None = []
        self._seen: OrderedDict[object, Shown] = OrderedDict()

    def show(
        self,
        chosen: Sequence[ChosenImagePrompt],
        read: Callable[[Path], Image.Image],
        encoder: Callable[[Path], Any],
    ) -> tuple[Shown, ...]:
        """Have these adapters in the denoiser and no others; what their encoders see in the pictures.

        `read` opens a picture, `encoder` places the encoder of a folder, which is let go again: a laptop has room for
        one model. Raises BadInput for an adapter that is damaged or does not fit.
        """
        asked = [_stamp(Path(each.adapter)) for each in chosen]
        if asked != self._files:
            self._files = None  # whatever stops this leaves a mixture behind
            put_into(self._unet, [read_ip_adapter(Path(each.adapter)) for each in chosen])
            self._files = asked
        for each in self._unet.attn_processors.values():
            if hasattr(each, "to_k_ip"):
                each.scale = [one.weight for one in chosen]
        return tuple(self._look(each, read, encoder) for each in chosen)

    def _look(
        self, chosen: ChosenImagePrompt, read: Callable[[Path], Image.Image], encoder: Callable[[Path], Any]
    ) -> Shown:
        folder = Path(chosen.encoder)
        plain = _PLAIN in read_header(Path(chosen.adapter)).tensors
        key = (_stamp(weights(folder)), _stamp(Path(chosen.image)), plain)
        if key not in self._seen:
            self._seen[key] = shown(encoder(folder), read(Path(chosen.image)), plain=plain)
            if len(self._seen) > KEPT:
                self._seen.popitem(last=False)
        self._seen.move_to_end(key)
        return self._seen[key]


def put_into(unet: Any, states: Sequence[State]) -> None:
    """Let the denoiser read these adapters' pictures and no others'. Raises BadInput for one that does not fit it."""
    unet.encoder_hid_proj = None
    unet.config.encoder_hid_dim_type = None
    unet.set_attn_processor(AttnProcessor2_0())
    if not states:
        return
    try:
        unet._load_ip_adapter_weights(list(states))
    except (KeyError, ValueError, RuntimeError) as error:  # a name that is missing, or a weight of another shape
        put_into(unet, ())
        raise BadInput(
            "An IP-Adapter does not fit the model.", "Use one that is made for the model's family.", "image_prompts"
        ) from error


@torch.no_grad()
def shown(encoder: Any, image: Image.Image, *, plain: bool) -> Shown:
    """What a placed CLIPVisionModelWithProjection sees, as diffusers' `encode_image` asks it."""
    from transformers import CLIPImageProcessorPil

    side = encoder.config.image_size
    reader = CLIPImageProcessorPil(size={"shortest_edge": side}, crop_size={"height": side, "width": side})
    pixels = reader(image.convert("RGB"), return_tensors="pt").pixel_values.to(encoder.device, encoder.dtype)
    if plain:
        embeds = encoder(pixels).image_embeds
        return Shown(embeds[None], torch.zeros_like(embeds)[None])
    picture, nothing = (
        encoder(each, output_hidden_states=True).hidden_states[-2] for each in (pixels, torch.zeros_like(pixels))
    )
    return Shown(picture[None], nothing[None])


def _stamp(path: Path) -> tuple[str, int, int]:
    try:
        status = path.stat()
    except OSError as error:
        raise BadInput(
            f"“{path.name}” is not there any more.", "Put it back, or draw without it.", str(path)
        ) from error
    return str(path), status.st_size, status.st_mtime_ns
