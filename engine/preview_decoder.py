"""The tiny decoder that a model may bring for its own latents; held to its limits, tried once, or refused."""

import logging
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn

import msgspec
from msgspec import Meta, Struct

from engine.components import Component, load
from engine.errors import BadInput, EaselError
from engine.formats.headers import header_of
from engine.library.recognise import read_json, weights

_log = logging.getLogger(__name__)

FOLDER = "preview"
"""Beside the model's other parts; no part of the diffusers layout, and diffusers passes over it."""
_MAX_BYTES = 64 * 2**20
"""TAESD has 10 MB in float32, with its encoder."""

_Channels = Annotated[int, Meta(ge=1, le=64)]
_Widths = Annotated[list[Annotated[int, Meta(ge=1, le=256)]], Meta(min_length=1, max_length=8)]
"""256 channels at full size need about the memory of the full decoder, for which the picture has room."""
_Counts = Annotated[list[Annotated[int, Meta(ge=0, le=16)]], Meta(min_length=1, max_length=8)]


class _Config(Struct, frozen=True, kw_only=True):
    """What of diffusers' `AutoencoderTiny` shapes the module, within bounds."""

    class_name: Literal["AutoencoderTiny"] = msgspec.field(name="_class_name")
    in_channels: _Channels
    out_channels: _Channels
    latent_channels: _Channels
    encoder_block_out_channels: _Widths
    decoder_block_out_channels: _Widths
    num_encoder_blocks: _Counts
    num_decoder_blocks: _Counts
    act_fn: Literal["relu", "silu", "swish", "gelu", "mish"]
    upsample_fn: Literal["nearest", "bilinear", "bicubic"] = "nearest"
    upsampling_scaling_factor: Annotated[int, Meta(ge=1, le=4)]
    scaling_factor: Annotated[float, Meta(gt=0, le=100)]

    def __post_init__(self) -> None:
        if len(self.encoder_block_out_channels) != len(self.num_encoder_blocks):
            raise ValueError("the encoder's blocks and channels differ in number")
        if len(self.decoder_block_out_channels) != len(self.num_decoder_blocks):
            raise ValueError("the decoder's blocks and channels differ in number")


def load_preview_decoder(folder: Path, latent_channels: int, pixels: int) -> Any:
    """diffusers' `AutoencoderTiny` from `folder`, in float32 on the CPU, for latents of `pixels` pixels a side.

    Like TAESD, it takes a pipeline's latents as they are: scaled to unit variance, its own `scaling_factor` being 1,
    where `AutoencoderKL` wants them divided by its `scaling_factor` first. Pixels come out in -1 to 1.
    Raises BadInput for one that is damaged, foreign, or made for other latents.
    """
    _check(folder, latent_channels)
    decoder: Any = load(Component(FOLDER, "AutoencoderTiny", folder))
    # Of diffusers' tiling: it takes the scale from the number of colours (2**3), which fits 8 pixels a latent alone.
    decoder.spatial_scale_factor = pixels
    decoder.tile_latent_min_size = decoder.tile_sample_min_size // pixels
    _try(decoder, latent_channels, pixels, folder)
    return decoder


def placed_preview_decoder(folder: Path, vae: Any, device: str) -> tuple[Any, tuple[str, ...]]:
    """The decoder in `folder` on the torch device, None where there is none; and what to say of one that is no use.

    It runs in torch on every backend: too small for a graph of its own. A processor that counts in bfloat16 does so
    here, in a fifth of the time and less than one level of 255 off.
    """
    import torch

    if not folder.is_dir():
        return None, ()
    pixels = 2 ** (len(vae.config.block_out_channels) - 1)
    try:
        decoder = load_preview_decoder(folder, vae.config.latent_channels, pixels)
    except (EaselError, OSError) as error:
        _log.warning("%s", error)
        return None, ("The model's preview decoder cannot be used; previews come from the full one.",)
    dtype = torch.bfloat16 if device == "cpu" and _counts_in_bfloat16() else torch.float32
    return decoder.to(device, dtype, memory_format=torch.channels_last), ()


def _counts_in_bfloat16() -> bool:
    import torch

    able = torch.cpu.get_capabilities()
    return bool(able.get("avx512_bf16") or able.get("amx_bf16"))


def _check(folder: Path, latent_channels: int) -> None:
    try:
        config = msgspec.convert(read_json(folder / "config.json"), _Config)
    except msgspec.ValidationError as error:
        _refuse(folder, f"its configuration is not sound ({error})", error)
    if config.latent_channels != latent_channels:
        _refuse(folder, f"it reads {config.latent_channels} channels, the model has {latent_channels}")
    tensors = header_of(weights(folder)).tensors.values()
    if sum(tensor.end - tensor.begin for tensor in tensors) > _MAX_BYTES:
        _refuse(folder, "it is no small one")


def _try(decoder: Any, latent_channels: int, pixels: int, folder: Path) -> None:
    import torch

    side = 4
    with torch.no_grad():
        seen = decoder.decode(torch.zeros(1, latent_channels, side, side), return_dict=False)[0]
    if seen.shape != (1, 3, side * pixels, side * pixels):
        _refuse(folder, "its pictures are of another size")
    if not seen.isfinite().all():
        _refuse(folder, "its numbers overflow")


def _refuse(folder: Path, why: str, cause: Exception | None = None) -> NoReturn:
    raise BadInput(
        f"The model's preview decoder cannot be used: {why}.", "Copy the whole model folder again.", str(folder)
    ) from cause
