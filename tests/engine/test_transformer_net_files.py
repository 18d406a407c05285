"""ControlNets of FLUX.1 and Stable Diffusion 3 that are one file, read without being told what they are."""

from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import FluxControlNetModel, SD3ControlNetModel

from engine.components import Component, config_of, load
from engine.errors import BadInput
from engine.formats.net_files import read_net
from tests.single_nets import write_file

FLUX: dict[str, Any] = {
    "num_layers": 2, "num_single_layers": 1, "num_attention_heads": 1, "joint_attention_dim": 24,
    "pooled_projection_dim": 20,
}  # fmt: skip
SD3: dict[str, Any] = {
    "num_layers": 2, "num_attention_heads": 2, "joint_attention_dim": 24, "pooled_projection_dim": 20,
    "caption_projection_dim": 128, "pos_embed_max_size": 12,
}  # fmt: skip
LARGE: dict[str, Any] = {
    "joint_attention_dim": None, "use_pos_embed": False, "pos_embed_max_size": None,
    "force_zeros_for_pooled_projection": False,
}  # fmt: skip
NETS: dict[str, tuple[Any, dict[str, Any]]] = {
    "FLUX.1": (FluxControlNetModel, FLUX),
    "FLUX.1, guided union": (
        FluxControlNetModel,
        FLUX | {"num_single_layers": 0, "num_mode": 7, "guidance_embeds": True},
    ),
    "FLUX.1, of pixels": (FluxControlNetModel, FLUX | {"conditioning_embedding_channels": 16, "patch_size": 2}),
    "SD3": (SD3ControlNetModel, SD3),
    "SD3.5 medium": (SD3ControlNetModel, SD3 | {"qk_norm": "rms_norm", "dual_attention_layers": (0,)}),
    "SD3.5 large": (SD3ControlNetModel, SD3 | LARGE),
}


@pytest.mark.parametrize("name", NETS)
def test_a_net_is_the_one_that_was_written(name: str, tmp_path: Path) -> None:
    kind, config = NETS[name]
    net = kind(**config)
    path = write_file(tmp_path / "net.safetensors", net.state_dict())
    component = Component("controlnet", read_net(path).class_name, path)
    loaded: Any = load(component)
    assert type(loaded) is kind
    own = {each: value for each, value in net.config.items() if each in config_of(component)}
    assert {each: list(value) if isinstance(value, tuple) else value for each, value in own.items()} == config_of(
        component
    )
    assert all(torch.equal(tensor, loaded.state_dict()[each]) for each, tensor in net.state_dict().items())


@pytest.mark.parametrize(
    ("name", "left_out", "why"),
    [
        ("FLUX.1", "x_embedder.weight", "“x_embedder.weight” is missing"),
        ("FLUX.1", "transformer_blocks.1.attn.to_q.weight", "has not the tensors"),
        ("SD3", "pos_embed.proj.weight", "“pos_embed.proj.weight” is missing"),
        ("SD3", "time_text_embed.text_embedder.linear_1.weight", "is missing"),
    ],
)
def test_a_tensor_that_is_missing_is_said(name: str, left_out: str, why: str, tmp_path: Path) -> None:
    kind, config = NETS[name]
    tensors = {each: tensor for each, tensor in kind(**config).state_dict().items() if each != left_out}
    path = write_file(tmp_path / "net.safetensors", tensors)
    with pytest.raises(BadInput, match=why):
        load(Component("controlnet", read_net(path).class_name, path))


def test_shapes_of_no_net_are_said(tmp_path: Path) -> None:
    for kind, config in (NETS["FLUX.1"], NETS["SD3"]):
        path = write_file(tmp_path / "net.safetensors", kind(**(config | {"attention_head_dim": 48})).state_dict())
        with pytest.raises(BadInput, match="shapes are none of a net"):
            read_net(path)
