"""Records what spandrel's networks make of a small picture; their weights are made by `rule.py`, from their names.

Run in an environment of its own, beside the main one's packages (spandrel is no dependency of Easel, and torchvision,
which two of its other families import, must not be installed):
    .venv/bin/python -m venv /tmp/spandrelvenv
    echo $PWD/.venv/lib/python3.11/site-packages > /tmp/spandrelvenv/lib/python3.11/site-packages/main.pth
    /tmp/spandrelvenv/bin/pip install --no-deps spandrel==0.4.2 einops
    /tmp/spandrelvenv/bin/python -m tests.data.upscalers.record

Each file has `output`, every second row and column of the picture, what the network works out for itself under its own
name, and in its metadata the `shapes` of all tensors and the `side` and `channels` of the picture that went in.
"""

import json
import re
import sys
import types
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import save_file

from tests.data.upscalers import rule


class _Nothing(types.ModuleType):
    """Stands for torchvision, which none of these families calls."""

    def __getattr__(self, name: str) -> object:
        if name.startswith("__"):
            raise AttributeError(name)
        return object


for _name in ("torchvision", "torchvision.transforms", "torchvision.transforms.functional"):
    sys.modules[_name] = _Nothing(_name)

from spandrel.architectures import DAT, ESRGAN, SPAN, Compact, SwinIR

Tensors = dict[str, torch.Tensor]

_SWIN = {"img_size": 16, "embed_dim": 12, "depths": [2, 1], "num_heads": [2, 3], "window_size": 8, "mlp_ratio": 2.0}
_DAT = {"img_size": 16, "embed_dim": 96, "split_size": [2, 4], "depth": [3, 1], "num_heads": [4, 2]}


def esrgan(**options: object) -> torch.nn.Module:
    return ESRGAN.ESRGAN(**({"in_nc": 3, "out_nc": 3, "num_filters": 8, "num_blocks": 1} | options))


def today(state: Tensors) -> Tensors:
    """ESRGAN's names as Real-ESRGAN has them, for a network of two doublings."""
    layers = {"0": "conv_first", "3": "conv_up1", "6": "conv_up2", "8": "conv_hr", "10": "conv_last"}
    renamed = {}
    for name, each in state.items():
        name = re.sub(r"model\.1\.sub\.(\d+)\.RDB(\d)\.conv(\d)\.0", r"body.\1.rdb\2.conv\3", name)
        name = re.sub(r"model\.1\.sub\.\d+\.(?=weight|bias)", "conv_body.", name)
        renamed[re.sub(r"^model\.(\d+)", lambda found: layers[found[1]], name)] = each
    return renamed


def bsrgan(state: Tensors) -> Tensors:
    names = {"conv_body": "trunk_conv", "conv_up1": "upconv1", "conv_up2": "upconv2", "conv_hr": "HRconv"}
    renamed = {}
    for name, each in today(state).items():
        name = re.sub(r"body\.(\d+)\.rdb(\d)", r"RRDB_trunk.\1.RDB\2", name)
        layer, _, kind = name.rpartition(".")
        renamed[f"{names.get(layer, layer)}.{kind}"] = each
    return renamed


def unshuffled(state: Tensors) -> Tensors:
    return {name.replace("conv_first.", "conv_first.1."): each for name, each in state.items()}


def record(
    case: str, arch: object, module: torch.nn.Module, rename: Callable[[Tensors], Tensors] = dict, side: int = 16
) -> None:
    own = rename(module.state_dict())
    tensors = rule.tensors({name: each.shape for name, each in own.items()})
    derived = {name: each for name, each in own.items() if name.endswith(rule.DERIVED)}
    descriptor = arch.load(tensors | derived)
    pixels = rule.pixels(descriptor.input_channels, side)
    with torch.no_grad():
        output = descriptor.model.eval()(pixels)
    assert output.shape[-1] == side * descriptor.scale
    print(case, tuple(output.shape), float(output.min()), float(output.max()), float(output.std()))
    kept = {name: each for name, each in derived.items() if name.endswith("layers.0.blocks.0.attn.attns.0.rpe_biases")}
    said = {
        "shapes": json.dumps({name: list(each.shape) for name, each in own.items()}, separators=(",", ":")),
        "side": str(side),
        "channels": str(descriptor.input_channels),
        "scale": str(descriptor.scale),
    }
    thinned = {"output": output[..., ::2, ::2].contiguous()}
    save_file(thinned | kept, Path(__file__).parent / f"{case}.safetensors", said)


def main() -> None:
    old = ESRGAN.ESRGANArch()
    record("esrgan_old_x4", old, esrgan(scale=4, num_blocks=2))
    record("esrgan_old_x1", old, esrgan(scale=1))
    record("esrgan_old_x2_plus", old, esrgan(scale=2, plus=True))
    record("esrgan_new_x4", old, esrgan(scale=4), today)
    record("esrgan_new_x2", old, esrgan(in_nc=12, scale=4, shuffle_factor=2), today)
    record("esrgan_new_x1", old, esrgan(in_nc=48, scale=4, shuffle_factor=4), today)
    record("esrgan_bsrgan_x4", old, esrgan(scale=4), bsrgan)
    record("compact_x3", Compact.CompactArch(), Compact.Compact(num_feat=8, num_conv=3, upscale=3))
    grey = {"num_in_ch": 1, "num_out_ch": 1}
    record("compact_grey_x2", Compact.CompactArch(), Compact.Compact(**grey, num_feat=6, num_conv=1, upscale=2))
    span = {"num_in_ch": 3, "num_out_ch": 3, "feature_channels": 8}
    record("span_x2", SPAN.SPANArch(), SPAN.SPAN(**span, upscale=2))
    record("span_no_norm_x4", SPAN.SPANArch(), SPAN.SPAN(**span, upscale=4, norm=False))
    swin = SwinIR.SwinIRArch()
    record("swinir_pixelshuffle_x4", swin, SwinIR.SwinIR(**_SWIN, upscale=4, upsampler="pixelshuffle"))
    three = {"upscale": 3, "resi_connection": "3conv"}
    record("swinir_pixelshuffle_x3", swin, SwinIR.SwinIR(**_SWIN, **three, upsampler="pixelshuffle"))
    record("swinir_direct_x2", swin, SwinIR.SwinIR(**_SWIN, upscale=2, upsampler="pixelshuffledirect"))
    record("swinir_nearest_x4", swin, SwinIR.SwinIR(**_SWIN, upscale=4, upsampler="nearest+conv"))
    folded = SwinIR.SwinIR(**_SWIN, upscale=4, upsampler="pixelshuffle", start_unshuffle=2)
    record("swinir_unshuffle_x2", swin, folded, unshuffled, side=32)
    jpeg = _SWIN | {"window_size": 7, "img_size": 14, "in_chans": 1, "img_range": 255.0}
    record("swinir_grey_jpeg_x1", swin, SwinIR.SwinIR(**jpeg, upscale=1, upsampler=""), side=14)
    record("dat_x2", DAT.DATArch(), DAT.DAT(**_DAT, expansion_factor=2.0, upscale=2))
    light = {"upsampler": "pixelshuffledirect", "resi_connection": "3conv", "qkv_bias": False}
    record("dat_light_x3", DAT.DATArch(), DAT.DAT(**_DAT, **light, expansion_factor=4.0, upscale=3))


if __name__ == "__main__":
    main()
