"""LoRAs of FLUX.1 under the names of its original code, against what diffusers turns them into."""

import math
from pathlib import Path

import pytest
import torch
from diffusers import FluxTransformer2DModel
from diffusers.loaders.lora_conversion_utils import (
    _convert_kohya_flux_lora_to_diffusers,  # pyright: ignore[reportPrivateUsage]
    _convert_xlabs_flux_lora_to_diffusers,  # pyright: ignore[reportPrivateUsage]
)
from safetensors.torch import save_file

from engine.adapters.lora import LoraFile, deltas, read_lora
from engine.errors import BadInput

WIDTH, NARROW, RANK = 3072, 16, 4
"""FLUX.1's own rows, which diffusers counts on; few columns."""
Modules = dict[str, dict[str, tuple[int, ...]]]
Tensors = dict[str, torch.Tensor]

DOUBLE = {
    "img_attn_qkv": 3 * WIDTH, "img_attn_proj": WIDTH, "img_mlp_0": 4 * WIDTH, "img_mlp_2": WIDTH,
    "img_mod_lin": 6 * WIDTH, "txt_attn_qkv": 3 * WIDTH, "txt_attn_proj": WIDTH, "txt_mlp_0": 4 * WIDTH,
    "txt_mlp_2": WIDTH, "txt_mod_lin": 6 * WIDTH,
}  # fmt: skip
SINGLE = {"linear1": 7 * WIDTH, "linear2": WIDTH, "modulation_lin": 3 * WIDTH}
OUTSIDE = {"img_in": WIDTH, "txt_in": WIDTH, "time_in_in_layer": WIDTH, "vector_in_out_layer": WIDTH}
OUTSIDE |= {"guidance_in_in_layer": WIDTH}
CLIP = "text_model.encoder.layers.0.self_attn.q_proj"
T5 = "encoder.block.0.layer.0.SelfAttention.q"


@pytest.fixture(scope="module")
def modules() -> Modules:
    """The weights of FLUX.1 with one block of each kind, as many rows as it has and few columns."""
    with torch.device("meta"):
        whole = FluxTransformer2DModel(num_layers=1, num_single_layers=1, guidance_embeds=True)
    shapes = {
        path: (each.weight.shape[0], NARROW)
        for path, each in whole.named_modules()
        if isinstance(each, torch.nn.Linear)
    }
    return {"transformer": shapes, "text_encoder": {CLIP: (8, 8)}, "text_encoder_2": {T5: (12, 12)}}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "my style.safetensors"


def _noise(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(math.prod(shape)))


def _lora(name: str, out: int, into: int = NARROW, alpha: float | None = 2.0) -> Tensors:
    said = {} if alpha is None else {f"{name}.alpha": torch.tensor(alpha)}
    return {f"{name}.lora_down.weight": _noise(RANK, into), f"{name}.lora_up.weight": _noise(out, RANK)} | said


def _written(path: Path, tensors: Tensors) -> Path:
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)
    return path


def _made(file: LoraFile, modules: Modules) -> dict[str, torch.Tensor]:
    """What each weight of nought becomes, by part and path."""
    changes = deltas(file, denoiser_weight=1.0, text_encoder_weight=1.0)
    return {f"{each.part}.{each.path}": each.change(torch.zeros(modules[each.part][each.path])) for each in changes}


def _by_diffusers(tensors: Tensors) -> dict[str, torch.Tensor]:
    ends = (".lora_A.weight", ".lora_B.weight")
    paths = {name.removesuffix(ends[0]) for name in tensors if name.endswith(ends[0])}
    whole = {path: path if path.startswith("transformer.") else f"transformer.{path}" for path in paths}
    return {whole[path]: tensors[path + ends[1]] @ tensors[path + ends[0]] for path in paths}


def test_kohya_s_names_mean_what_diffusers_takes_them_for(path: Path, modules: Modules) -> None:
    tensors: Tensors = {}
    for beginning, table in (("double_blocks_0_", DOUBLE), ("single_blocks_0_", SINGLE), ("", OUTSIDE)):
        for name, out in table.items():
            tensors |= _lora(f"lora_unet_{beginning}{name}", out)
    ours = _made(read_lora(_written(path, tensors), modules), modules)
    theirs = _by_diffusers(_convert_kohya_flux_lora_to_diffusers(dict(tensors)))
    assert ours.keys() == theirs.keys()
    assert len(ours) == 25
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_xlabs_s_names_too(path: Path, modules: Modules) -> None:
    parts = {
        "double_blocks.0.processor.qkv_lora1": 3, "double_blocks.0.processor.qkv_lora2": 3,
        "double_blocks.0.processor.proj_lora1": 1, "double_blocks.0.processor.proj_lora2": 1,
        "single_blocks.0.processor.qkv_lora": 3, "single_blocks.0.processor.proj_lora": 1,
    }  # fmt: skip
    tensors: Tensors = {}
    for name, times in parts.items():
        tensors |= {f"{name}.down.weight": _noise(RANK, NARROW), f"{name}.up.weight": _noise(times * WIDTH, RANK)}
    ours = _made(read_lora(_written(path, tensors), modules), modules)
    theirs = _by_diffusers(_convert_xlabs_flux_lora_to_diffusers(dict(tensors)))
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_the_text_encoders_and_the_original_s_own_names(path: Path, modules: Modules) -> None:
    flat = {"te1": CLIP, "te2": T5}
    tensors = _lora(f"lora_te1_{flat['te1'].replace('.', '_')}", 8, 8)
    tensors |= _lora(f"lora_te2_{flat['te2'].replace('.', '_')}", 12, 12)
    name = "diffusion_model.double_blocks.0.img_attn.qkv"
    down, up = _noise(RANK, NARROW), _noise(3 * WIDTH, RANK)
    tensors |= {f"{name}.lora_A.weight": down, f"{name}.lora_B.weight": up}
    file = read_lora(_written(path, tensors), modules)
    made = _made(file, modules)
    assert file.left_aside == 0
    assert made.keys() >= {f"text_encoder.{CLIP}", f"text_encoder_2.{T5}"}
    pieces = [made[f"transformer.transformer_blocks.0.attn.to_{each}"] for each in "qkv"]
    assert torch.equal(torch.cat(pieces), up @ down)


def test_shift_and_scale_of_the_last_layer_change_places(path: Path, modules: Modules) -> None:
    tensors = _lora("lora_unet_final_layer_adaLN_modulation_1", 2 * WIDTH, alpha=None)
    down, up = tensors.values()
    (made,) = _made(read_lora(_written(path, tensors), modules), modules).values()
    shift, scale = (up @ down).chunk(2)
    assert torch.equal(made, torch.cat((scale, shift)))


@pytest.mark.parametrize("kind", ["loha", "lokr", "dora"])
def test_other_kinds_are_cut_by_rows_too(kind: str, path: Path, modules: Modules) -> None:
    name, weight = "lora_unet_double_blocks_0_txt_attn_qkv", _noise(3 * WIDTH, NARROW)
    factors: dict[str, Tensors] = {
        "loha": {"hada_w1_a": _noise(3 * WIDTH, 2), "hada_w1_b": _noise(2, NARROW), "hada_w2_a": _noise(3 * WIDTH, 2),
                 "hada_w2_b": _noise(2, NARROW)},
        "lokr": {"lokr_w1": _noise(4, 4), "lokr_w2": _noise(3 * WIDTH // 4, NARROW // 4)},
        "dora": {"lora_down.weight": _noise(RANK, NARROW), "lora_up.weight": _noise(3 * WIDTH, RANK),
                 "dora_scale": _noise(3 * WIDTH, 1).abs()},
    }  # fmt: skip
    of = factors[kind]
    whole = {
        "loha": lambda: weight + (of["hada_w1_a"] @ of["hada_w1_b"]) * (of["hada_w2_a"] @ of["hada_w2_b"]),
        "lokr": lambda: weight + torch.kron(of["lokr_w1"], of["lokr_w2"]),
        "dora": lambda: _dora(weight + of["lora_up.weight"] @ of["lora_down.weight"], of["dora_scale"]),
    }[kind]()
    file = read_lora(_written(path, {f"{name}.{role}": tensor for role, tensor in of.items()}), modules)
    pieces: Tensors = dict(zip(("add_q_proj", "add_k_proj", "add_v_proj"), weight.chunk(3), strict=True))
    changes = deltas(file, denoiser_weight=1.0, text_encoder_weight=1.0)
    made = {each.path.rpartition(".")[2]: each.change(pieces[each.path.rpartition(".")[2]]) for each in changes}
    torch.testing.assert_close(torch.cat([made[each] for each in pieces]), whole, rtol=1e-6, atol=1e-6)


def _dora(whole: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    return whole * (lengths / torch.linalg.vector_norm(whole, dim=1, keepdim=True))


def test_a_fused_weight_of_another_size_or_family_is_refused(path: Path, modules: Modules) -> None:
    narrow = _lora("lora_unet_double_blocks_0_img_attn_qkv", 3 * WIDTH, NARROW * 2)
    with pytest.raises(BadInput, match="No layer of the LoRA “my style.safetensors” fits"):
        read_lora(_written(path, narrow), modules)
    short = _lora("lora_unet_double_blocks_0_img_attn_qkv", WIDTH)
    with pytest.raises(BadInput, match="No layer"):
        read_lora(_written(path, short), modules)
    unet = {"unet": {"mid_block.attentions.0.transformer_blocks.0.attn2.to_k": (8, 768)}}
    with pytest.raises(BadInput, match="made for FLUX; this model is Stable Diffusion 1.x"):
        read_lora(_written(path, _lora("lora_unet_single_blocks_0_linear1", 7 * WIDTH)), unet)
    columns = _lora("lora_unet_double_blocks_0_img_attn_qkv", 3 * WIDTH)
    columns["lora_unet_double_blocks_0_img_attn_qkv.dora_scale"] = _noise(1, NARROW)
    with pytest.raises(BadInput, match="No layer"):
        read_lora(_written(path, columns), modules)
