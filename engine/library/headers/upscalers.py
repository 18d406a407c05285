"""Upscalers: those of the families that Easel runs, and the other families that people have.

Signs: https://github.com/chaiNNer-org/spandrel, `architectures`, and the families' own code.
"""

from engine.library.guess import Guess
from engine.library.headers.signs import Look, Shape, Sign, guess

_ROOTS = (
    "", "params_ema.", "params-ema.", "params.", "model_state_dict.", "state_dict.", "module.", "netG.", "net.",
    "model.", "generator.",
)  # fmt: skip
"""What training codes put before a network's names."""
_SWIN = "layers.0.residual_group.blocks.0."

FOREIGN: dict[str, str] = {
    "relative_position_index_SA": "HAT",
    f"{_SWIN}attn.logit_scale": "Swin2SR",
    "layers.0.swin1.norm1.weight": "DRCT",
    "residual_layer.0.residual_layer.0.layer.0.fn.0.weight": "OmniSR",
    "feats.1.lk.conv.weight": "PLKSR",
    "feats.1.lk.mn_conv.weight": "PLKSR",
    "unet1.conv1.conv.0.weight": "Real-CUGAN",
    "feats.0.safm.mfr.0.weight": "SAFMN",
    "gblocks.1.norm.weight": "MoSR",
    "blocks.0.blocks.0.conv.dwconv_hw.weight": "MoESR",
    "groups.0.blocks.0.inter.cg.1.weight": "FDAT",
    "layers.0.residual_group.hf_blocks.0.attn.temperature": "CRAFT",
    "layers.0.blocks.0.attn.window_attn.attn_transform.logit_scale": "GRL",
    "UFONE.0.ITLs.0.attn.temperature": "DITN",
    "stylegan_decoder.style_mlp.1.weight": "GFPGAN",
    "mid_block2.block1.proj.weights": "AuraSR",
    "initial.cnn.depthwise.weight": "SwiftSRGAN",
    "middle_blks.0.sca.1.weight": "NAFNet",
    "m_body.0.res.0.weight": "DRUNet",
}
"""Families of networks that change pictures and are not run here: by a tensor that no other has."""

_OURS: tuple[tuple[str, dict[str, Shape], tuple[str, ...]], ...] = (
    ("ESRGAN", {"model.1.sub.0.RDB1.conv1.0.weight": (), "model.0.weight": ()}, ()),
    (
        "ESRGAN",
        {"body.0.rdb1.conv1.weight": (), "conv_first.weight": (), "conv_body.weight": (), "conv_last.weight": ()},
        (),
    ),
    ("ESRGAN", {"RRDB_trunk.0.RDB1.conv1.weight": (), "conv_first.weight": (), "conv_last.weight": ()}, ()),
    ("SPAN", {"block_1.c1_r.sk.weight": (), "conv_cat.weight": (), "upsampler.0.weight": ()}, ()),
    ("SPAN", {"block_1.c1_r.eval_conv.weight": (), "conv_cat.weight": (), "upsampler.0.weight": ()}, ()),
    (
        "DAT",
        {
            "before_RG.1.weight": (),
            "layers.0.blocks.0.attn.attns.0.rpe_biases": (),
            "layers.0.blocks.0.ffn.fc1.weight": (),
        },
        (),
    ),
    (
        "SwinIR",
        {f"{_SWIN}attn.relative_position_bias_table": (), "conv_first.weight": ()},
        ("patch_embed.proj.weight",),
    ),
    (
        "SwinIR",
        {f"{_SWIN}attn.relative_position_bias_table": (), "conv_first.1.weight": ()},
        ("patch_embed.proj.weight",),
    ),
)
_COMPACT = Sign(
    "upscaler",
    "",
    {
        "body.1.weight": (None,),
        "body.0.weight": (None, None, 3, 3),
        "body.0.bias": (),
        "body.2.weight": (None, None, 3, 3),
    },
    ("conv_first.weight", "body.1.bias", "head.weight"),
    ("Real-ESRGAN compact",),
)
_ATD = Sign("upscaler", "", {"layers.0.residual_group.td": ()}, (), ("ATD",), "an upscaler of the family ATD")
_RGT = Sign(
    "upscaler",
    "",
    {"before_RG.1.weight": (), "layers.0.blocks.0.gamma": ()},
    (),
    ("RGT",),
    "an upscaler of the family RGT",
)
_SIGNS = (
    _ATD,
    _RGT,
    *(
        Sign("upscaler", "", {name: ()}, (), (kind,), f"an upscaler of the family {kind}")
        for name, kind in FOREIGN.items()
    ),
    *(Sign("upscaler", "", has, lacks, (kind,)) for kind, has, lacks in _OURS),
    _COMPACT,
)


def guess_upscaler(look: Look) -> Guess | None:
    """A network that enlarges or mends pictures."""
    found = look.match(_SIGNS, tuple(root for root in _ROOTS if not root or look.begins(root)))
    return guess(look, found) if found else None
