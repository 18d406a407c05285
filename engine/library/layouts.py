"""In which forms the parts of a model lie in single files: under which beginnings, and by whose names."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from engine.families.family import Family
from engine.formats import sd_places, text_places, transformer_places
from engine.formats.places import Config, Places, Shape, Shapes
from engine.formats.safetensors import Tensor


class Layout(NamedTuple):
    """One way to name a part's tensors."""

    mark: str
    """A tensor that such a part has, and no other layout of it."""
    config_of: Callable[[Shapes, Config], Config]
    places: Callable[[Config], Places]
    class_name: str = ""
    """Of diffusers, where the layout tells it."""


UNET = Layout("input_blocks.0.0.weight", sd_places.unet_config, sd_places.unet_places, "UNet2DConditionModel")
SD3 = Layout(
    "joint_blocks.0.x_block.attn.qkv.weight",
    transformer_places.sd3_config,
    transformer_places.sd3_places,
    "SD3Transformer2DModel",
)
FLUX = Layout(
    "double_blocks.0.img_attn.qkv.weight",
    transformer_places.flux_config,
    transformer_places.flux_places,
    "FluxTransformer2DModel",
)
_DIFFUSERS = (
    Layout(
        "up_blocks.0.resnets.0.conv1.weight",
        sd_places.diffusers_unet_config,
        sd_places.diffusers_unet_places,
        "UNet2DConditionModel",
    ),
    Layout(
        "single_transformer_blocks.0.attn.to_q.weight",
        transformer_places.diffusers_flux_config,
        transformer_places.diffusers_flux_places,
        "FluxTransformer2DModel",
    ),
    Layout(
        "pos_embed.proj.weight",
        transformer_places.diffusers_sd3_config,
        transformer_places.diffusers_sd3_places,
        "SD3Transformer2DModel",
    ),
)
"""Denoisers that were taken out of their folders."""
_VAES = (
    Layout("decoder.mid.block_1.norm1.weight", sd_places.vae_config, sd_places.vae_places),
    Layout("decoder.mid_block.resnets.0.norm1.weight", sd_places.diffusers_vae_config, sd_places.diffusers_vae_places),
)
_OPEN_CLIP = Layout("token_embedding.weight", text_places.open_clip_config, text_places.open_clip_places)
_ENCODERS = (
    Layout("text_model.embeddings.token_embedding.weight", text_places.clip_config, text_places.clip_places),
    Layout("embeddings.token_embedding.weight", text_places.bare_clip_config, text_places.bare_clip_places),
    _OPEN_CLIP,
    Layout("shared.weight", text_places.t5_config, text_places.t5_places),
)
_PREDICTING = (UNET, SD3, FLUX, *_DIFFUSERS)
_DENOISERS = ("model.diffusion_model.", "diffusion_model.", "unet.", "transformer.", "model.", "net.", "module.", "")
_AUTOENCODERS = ("first_stage_model.", "vae.")


class Found(NamedTuple):
    """A part in a file."""

    layout: Layout
    prefix: str
    tensors: Mapping[str, Tensor]

    def key(self, name: str) -> str | None:
        """The file's own name of a tensor: moving averages stand in for a U-Net that is not there itself.

        They are named without the dots (`ldm/modules/ema.py` of the original code); newer files of FLUX.1 call
        a norm's scale its weight, and some of T5 have its words under the name of its encoder alone.
        """
        averaged = f"model_ema.{(self.prefix + name).removeprefix('model.').replace('.', '')}"
        norm = f"{self.prefix}{name.removesuffix('.scale')}.weight"
        words = self.prefix + ("encoder.embed_tokens.weight" if name == "shared.weight" else name)
        return next((key for key in (self.prefix + name, averaged, norm, words) if key in self.tensors), None)

    @property
    def is_whole(self) -> bool:
        """Whether all names under the prefix are the part's: then one that it has no place for is told."""
        return bool(self.prefix) or self.layout in _DIFFUSERS

    def shape(self, name: str) -> Shape | None:
        """The shape of a tensor; None where there is none of that name."""
        key = self.key(name)
        return None if key is None else self.tensors[key].shape


def denoiser_in(tensors: Mapping[str, Tensor]) -> Found | None:
    """What predicts, of whatever family."""
    return _first(tensors, _DENOISERS, _PREDICTING)


def part_in(tensors: Mapping[str, Tensor], family: Family, part: str, *, alone: bool = False) -> Found | None:
    """A part of a model of that family; None where the file does not hold it. `alone` if it holds nothing else."""
    prefixes, layouts = layouts_of(family, part)
    return _first(tensors, ("", *prefixes) if alone else prefixes, layouts)


def layouts_of(family: Family, part: str) -> tuple[tuple[str, ...], tuple[Layout, ...]]:
    """What a part's names may begin with, and the layouts it may have."""
    if part == family.denoiser:
        return _DENOISERS, _PREDICTING
    if part == "vae":
        return _AUTOENCODERS, _VAES
    return (*family.prefixes[part], f"{part}."), _ENCODERS


def published_form(family: Family, part: str) -> tuple[str, Layout]:
    """What a part's names begin with in a checkpoint as models are published, and its layout there."""
    prefixes, layouts = layouts_of(family, part)
    if part == family.denoiser:
        return prefixes[0], next(each for each in layouts if each.class_name == family.components[part])
    if part == "vae":
        return prefixes[0], layouts[0]
    clip, _, open_clip, t5 = layouts
    if family.components[part] == "T5EncoderModel":
        return prefixes[0], t5
    return prefixes[0], open_clip if prefixes[0].endswith(".model.") else clip


def has_idle_layer(layout: Layout, config: Config) -> bool:
    """Whether the original code has a layer behind the last one of the part: SD 2.x's text encoder stops before it."""
    return layout is _OPEN_CLIP and config["architectures"] != [text_places.PROJECTED]


def _first(tensors: Mapping[str, Tensor], prefixes: tuple[str, ...], layouts: tuple[Layout, ...]) -> Found | None:
    candidates = (Found(layout, prefix, tensors) for prefix in prefixes for layout in layouts)
    return next((each for each in candidates if each.key(each.layout.mark)), None)
