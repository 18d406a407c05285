"""LoRA files against what diffusers, PEFT and LyCORIS merge them to, and against everything a bad file can be.

The references' results lie in `tests/data/lora/`, with the script that recorded them. Tolerance: 1e-6 of the largest
weight, a few of float32's last bits, for the references add and multiply in another order.
"""

import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from diffusers import UNet2DConditionModel
from safetensors.torch import load_file, save_file

from engine.adapters.lora import LoraFile, combined, deltas, read_lora
from engine.errors import BadInput
from engine.library.recognise import read_json
from engine.paths import STARTER
from resources.starter_recipe.lora import merged
from tests.data.lora import tiny

DATA = Path(__file__).parents[1] / "data" / "lora"
TOLERANCE = 1e-6
WEIGHTS = {
    "kohya": 0.7, "diffusers_old": 0.5, "lycoris_locon": 0.7, "lycoris_tucker": 1.3, "lycoris_loha": -0.5,
    "lycoris_lokr": 0.7, "lycoris_lokr_full": 0.7, "lycoris_dora_columns": 0.6, "lycoris_ia3": 0.6,
    "lycoris_ia3_input": 0.6, "lycoris_full": 0.7,
}  # fmt: skip
"""The weights that `record.py` merged with, where not 1."""
EXPECTED = load_file(DATA / "expected.safetensors")
CASES = sorted({name.split("|")[0] for name in EXPECTED} - {"base"})
QUERY = "lora_unet_" + tiny.QUERY.replace(".", "_")
KEY = "lora_unet_" + tiny.KEY.replace(".", "_")

Modules = dict[str, dict[str, tuple[int, ...]]]
Tensors = dict[str, torch.Tensor]


def shapes(module: torch.nn.Module) -> dict[str, tuple[int, ...]]:
    return {
        path: tuple(each.weight.shape)
        for path, each in module.named_modules()
        if isinstance(getattr(each, "weight", None), torch.Tensor)
    }


@pytest.fixture(scope="module")
def modules() -> Modules:
    return {"unet": shapes(tiny.unet()), "text_encoder": shapes(tiny.text_encoder())}


@pytest.fixture
def write(tmp_path: Path) -> Callable[[Tensors], Path]:
    def written(tensors: Tensors) -> Path:
        path = tmp_path / "my style.safetensors"
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)
        return path

    return written


def noise(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(math.prod(shape)))


def lora(name: str, out: int, into: int, rank: int = 2) -> Tensors:
    return {f"{name}.lora_down.weight": noise(rank, into), f"{name}.lora_up.weight": noise(out, rank)}


def changed(file: LoraFile, part: str, path: str, weight: float = 1.0) -> torch.Tensor:
    """What the file makes of a weight of noise."""
    (delta,) = [
        each for each in deltas(file, denoiser_weight=weight, text_encoder_weight=weight) if each[:2] == (part, path)
    ]
    return delta.change(noise(*DIMENSIONS[path]))


DIMENSIONS = shapes(tiny.unet()) | shapes(tiny.text_encoder())


@pytest.mark.parametrize("case", CASES)
def test_merges_as_the_library_that_wrote_it(case: str, modules: Modules) -> None:
    path = DATA / f"{case}.safetensors"
    file = read_lora(path if path.exists() else DATA / case / "adapter_model.safetensors", modules)
    weight = WEIGHTS.get(case, 1.0)
    ours = {each[:2]: each.change for each in deltas(file, denoiser_weight=weight, text_encoder_weight=weight)}
    theirs = {tuple(name.split("|")[1:]): each for name, each in EXPECTED.items() if name.split("|")[0] == case}
    assert file.note == ""
    assert ours.keys() == theirs.keys()
    for (part, module), expected in theirs.items():
        original = EXPECTED[f"base|{part}|{module}"]
        assert (expected - original[::4]).abs().max() > 1e-3  # or the comparison would say nothing
        made = ours[part, module](original)[::4]
        assert (made - expected).abs().max() <= TOLERANCE * expected.abs().max()


@pytest.mark.parametrize("name", ["easel-sepia", "easel-lcm"])
def test_the_starter_loras_merge_as_their_recipe_does(name: str) -> None:
    unet = UNet2DConditionModel.from_config(read_json(STARTER / "unet" / "config.json"))  # pyright: ignore[reportArgumentType]
    unet.load_state_dict(load_file(STARTER / "unet" / "diffusion_pytorch_model.safetensors"))
    path = STARTER.parent / "lora" / f"{name}.safetensors"
    file = read_lora(path, {"unet": shapes(unet)})
    originals = {path: unet.get_submodule(path).weight.detach().clone() for path in shapes(unet)}
    found = {each.path: each.change for each in deltas(file, denoiser_weight=0.8, text_encoder_weight=0.0)}
    assert file.note == ""
    with merged(unet, path, 0.8):
        for module, original in originals.items():
            theirs = unet.get_submodule(module).weight
            ours = found[module](original) if module in found else original
            assert (ours - theirs).abs().max() <= TOLERANCE * theirs.abs().max()
            assert module in found or torch.equal(theirs, original)


# Every way to write the same two tensors.
SPELLINGS = {
    "kohya": (QUERY, "lora_down", "lora_up"),
    "LyCORIS": (QUERY.replace("lora_unet_", "lycoris_"), "lora_down", "lora_up"),
    "diffusers": (f"unet.{tiny.QUERY}", "lora_A", "lora_B"),
    "diffusers of 2024": (f"unet.{tiny.QUERY}", "lora.down", "lora.up"),
    "diffusers of 2023": (f"unet.{tiny.QUERY}".replace(".to_q", ".processor.to_q_lora"), "down", "up"),
    "2023, U-Net alone": (tiny.QUERY.replace(".to_q", ".processor.to_q_lora"), "down", "up"),
    "PEFT": (f"base_model.model.{tiny.QUERY}", "lora_A", "lora_B"),
    "PEFT, named": (f"base_model.model.unet.{tiny.QUERY}", "lora_A.default", "lora_B.default"),
    "original names": ("lora_unet_input_blocks_1_1_transformer_blocks_0_attn1_to_q", "lora_down", "lora_up"),
    "original, dotted": (
        "diffusion_model.input_blocks.1.1.transformer_blocks.0.attn1.to_q", "lora_A", "lora_B",
    ),
}  # fmt: skip


@pytest.mark.parametrize("form", SPELLINGS)
def test_every_form_of_key_is_the_same_change(form: str, modules: Modules, write: Callable[[Tensors], Path]) -> None:
    name, down, up = SPELLINGS[form]
    tensors = {f"{name}.{down}.weight": noise(2, 8), f"{name}.{up}.weight": noise(8, 2)}
    file = read_lora(write(tensors), modules)
    expected = noise(8, 8) + noise(8, 2) @ noise(2, 8)
    assert torch.allclose(changed(file, "unet", tiny.QUERY), expected, rtol=0, atol=TOLERANCE * 5)


@pytest.mark.parametrize("bare", [False, True], ids=["text_model.", "bare"])
@pytest.mark.parametrize("name", [
    "lora_te_text_model_encoder_layers_0_self_attn_q_proj.lora_{}.weight",
    "lora_te1_text_model_encoder_layers_0_self_attn_q_proj.lora_{}.weight",
    "text_encoder.text_model.encoder.layers.0.self_attn.q_proj.lora_linear_layer.{}.weight",
    "text_encoder.text_model.encoder.layers.0.self_attn.to_q_lora.{}.weight",
    "text_encoder.encoder.layers.0.self_attn.q_proj.lora.{}.weight",
])  # fmt: skip
def test_text_encoders_with_and_without_text_model(
    name: str, bare: bool, modules: Modules, write: Callable[[Tensors], Path]
) -> None:
    path = tiny.TEXT.removeprefix("text_model.") if bare else tiny.TEXT
    tensors = {name.format("down"): noise(2, 8), name.format("up"): noise(8, 2)}
    file = read_lora(write(tensors), {"unet": modules["unet"], "text_encoder": {path: (8, 8)}})
    assert [layer.place for layer in file.layers] == [("text_encoder", path)]


@pytest.fixture(scope="module")
def true_size() -> Modules:
    """The real Stable Diffusion 1.5 and XL, in shapes alone."""
    with torch.device("meta"):
        return {
            "SD 1.5": shapes(UNet2DConditionModel(cross_attention_dim=768, attention_head_dim=8)),
            "SDXL": shapes(
                UNet2DConditionModel(
                    block_out_channels=(320, 640, 1280),
                    down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
                    up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
                    transformer_layers_per_block=(1, 2, 10),
                    attention_head_dim=(5, 10, 20),
                    cross_attention_dim=2048,
                    addition_embed_type="text_time",
                    addition_time_embed_dim=256,
                    projection_class_embeddings_input_dim=2816,
                    use_linear_projection=True,
                )
            ),
        }


def kinds(out: int, into: int, *kernel: int) -> dict[str, Tensors]:
    """Each kind's factors for one weight."""
    ones = [1] * len(kernel)
    down, up = {"lora_down.weight": noise(2, into, *kernel)}, {"lora_up.weight": noise(out, 2, *ones)}
    plain = down | up | {"alpha": torch.tensor(1.0)}
    hada = {f"hada_w{n}_a": noise(out, 2) for n in (1, 2)}
    hada |= {f"hada_w{n}_b": noise(2, into * math.prod(kernel)) for n in (1, 2)}
    kron = {"lokr_w1": noise(2, 2), "lokr_w2_a": noise(out // 2, 2), "lokr_w2_b": noise(2, into // 2, *kernel)}
    return {"LoRA": plain, "LoHa": hada, "LoKr": kron, "DoRA": plain | {"dora_scale": noise(out, 1, *ones).abs()}}


# Names as published files of each family have them, and diffusers' for the same module.
PUBLISHED = {
    "SD 1.5": [
        ("input_blocks_1_1_proj_in", "down_blocks.0.attentions.0.proj_in"),
        ("input_blocks_4_0_in_layers_2", "down_blocks.1.resnets.0.conv1"),
        ("output_blocks_5_2_conv", "up_blocks.1.upsamplers.0.conv"),
        ("output_blocks_2_1_conv", "up_blocks.0.upsamplers.0.conv"),
    ],
    "SDXL": [
        ("input_blocks_4_1_transformer_blocks_1_ff_net_2", "down_blocks.1.attentions.0.transformer_blocks.1.ff.net.2"),
        ("input_blocks_3_0_op", "down_blocks.0.downsamplers.0.conv"),
        ("middle_block_1_proj_in", "mid_block.attentions.0.proj_in"),
        ("output_blocks_2_2_conv", "up_blocks.0.upsamplers.0.conv"),
    ],
}  # fmt: skip


@pytest.mark.parametrize("kind", ["LoRA", "LoHa", "LoKr", "DoRA"])
@pytest.mark.parametrize("family", PUBLISHED)
def test_names_of_the_original_code_for_every_kind(
    family: str, kind: str, true_size: Modules, write: Callable[[Tensors], Path]
) -> None:
    unet = true_size[family]
    small = {path: (*(side // 32 for side in shape[:2]), *shape[2:]) for path, shape in unet.items() if len(shape) > 1}
    changes: list[dict[str, torch.Tensor]] = []
    for names in zip(*PUBLISHED[family], strict=True):
        tensors: Tensors = {}
        for name, (_, path) in zip(names, PUBLISHED[family], strict=True):
            base = "lora_unet_" + name.replace(".", "_")
            tensors |= {f"{base}.{role}": each for role, each in kinds(*small[path])[kind].items()}
        file = read_lora(write(tensors), {"unet": small})
        assert file.note == ""
        changes.append({
            each.path: each.change(noise(*small[each.path]))
            for each in deltas(file, denoiser_weight=1.0, text_encoder_weight=1.0)
        })  # fmt: skip
    original, diffusers = changes
    assert original.keys() == diffusers.keys() == {path for _, path in PUBLISHED[family]}
    assert all(torch.equal(original[path], diffusers[path]) for path in original)


def test_blocks_have_the_order_of_the_extension_people_know(
    true_size: Modules, write: Callable[[Tensors], Path]
) -> None:
    within = [f"OUT{number:02}" for number in range(12)]
    attending = [f"IN{number:02}" for number in (1, 2, 4, 5, 7, 8)]
    every = [f"IN{number:02}" for number in range(12)]
    expected = {
        "SD 1.5": (["BASE", *attending, "M00", *within[3:]], ["BASE", *every, "M00", *within]),
        "SDXL": (
            ["BASE", "IN04", "IN05", "IN07", "IN08", "M00", *within[:6]],
            ["BASE", *every[:9], "M00", *within[:9]],
        ),
    }
    for family, unet in true_size.items():
        path = "down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q"
        file = read_lora(write(lora(f"unet.{path}", 640, 640)), {"unet": unet})
        assert (list(file.blocks.attending), list(file.blocks.every)) == expected[family]
        assert file.blocks.block("unet", path) == "IN04"
        assert file.blocks.block("unet", "conv_in") == "IN00"
        assert file.blocks.block("unet", "up_blocks.1.resnets.2.conv2") == "OUT05"
        assert file.blocks.block("text_encoder", "text_model.encoder.layers.0.mlp.fc1") == "BASE"


def test_block_weights_scale_each_block_alone(modules: Modules, write: Callable[[Tensors], Path]) -> None:
    te, conv = "lora_te_text_model_encoder_layers_0_mlp_fc1", "lora_unet_" + tiny.CONV.replace(".", "_")
    tensors = lora(QUERY, 8, 8) | lora(te, 12, 8) | {
        f"{conv}.lora_down.weight": noise(2, 8, 3, 3), f"{conv}.lora_up.weight": noise(16, 2, 1, 1),
    }  # fmt: skip
    file = read_lora(write(tensors), modules)
    assert file.blocks.every == ("BASE", "IN00", "IN01", "IN02", "IN03", "M00", "OUT00", "OUT01", "OUT02", "OUT03")
    row = (0.5, 9, 0.25, 9, 4, 9, 9, 9, 9, 9)
    scaled = deltas(file, denoiser_weight=2.0, text_encoder_weight=3.0, blocks=row)
    for delta, ratio in zip(scaled, (1.5, 0.5, 8.0), strict=True):
        assert torch.equal(delta.change(noise(*DIMENSIONS[delta.path])), changed(file, *delta[:2], weight=ratio))
    # The short row names the blocks with attention only: IN03 has none and is left as it was.
    short = deltas(file, denoiser_weight=1.0, text_encoder_weight=1.0, blocks=(0, 1, 0, 0, 0))
    assert [delta.path for delta in short] == [tiny.QUERY]


def test_several_loras_add_up_and_leave_the_original_alone(modules: Modules) -> None:
    files = [read_lora(DATA / f"{case}.safetensors", modules) for case in ("kohya", "lycoris_dora", "lycoris_ia3")]
    each = [deltas(file, denoiser_weight=0.5, text_encoder_weight=0.5) for file in files]
    whole = combined(delta for some in each for delta in some)
    assert len({delta[:2] for delta in whole}) == len(whole) == 9
    original = EXPECTED[f"base|unet|{tiny.KEY}"]
    before = original.clone()
    change = next(delta.change for delta in whole if delta.path == tiny.KEY)
    alone = [delta.change(original) - original for some in each for delta in some if delta.path == tiny.KEY]
    assert torch.allclose(change(original), original + sum(alone), rtol=0, atol=TOLERANCE)
    backwards = combined(delta for some in reversed(each) for delta in some)
    again = next(delta.change for delta in backwards if delta.path == tiny.KEY)
    assert torch.allclose(again(original), change(original), rtol=0, atol=TOLERANCE)
    assert torch.equal(original, before)


def test_half_precision_files_are_computed_in_float32(modules: Modules, write: Callable[[Tensors], Path]) -> None:
    tensors = {name: each.to(torch.bfloat16) for name, each in lora(QUERY, 8, 8).items()}
    made = changed(read_lora(write(tensors), modules), "unet", tiny.QUERY)
    down, up = (each.float() for each in tensors.values())
    assert made.dtype == torch.float32
    assert torch.allclose(made, noise(8, 8) + up @ down, rtol=0, atol=TOLERANCE * 5)


def test_weight_zero_changes_nothing(modules: Modules) -> None:
    file = read_lora(DATA / "kohya.safetensors", modules)
    assert deltas(file, denoiser_weight=0.0, text_encoder_weight=0.0) == []
    assert {each.part for each in deltas(file, denoiser_weight=0.0, text_encoder_weight=1.0)} == {"text_encoder"}


def test_alpha_of_zero_means_the_rank(modules: Modules, write: Callable[[Tensors], Path]) -> None:
    plain = changed(read_lora(write(lora(QUERY, 8, 8)), modules), "unet", tiny.QUERY)
    zero = read_lora(write(lora(QUERY, 8, 8) | {f"{QUERY}.alpha": torch.tensor(0.0)}), modules)
    assert torch.equal(changed(zero, "unet", tiny.QUERY), plain)


def test_a_row_of_noughts_stays_finite_under_dora(modules: Modules, write: Callable[[Tensors], Path]) -> None:
    tensors = lora(QUERY, 8, 8) | {f"{QUERY}.dora_scale": torch.full((8, 1), 100.0)}
    tensors[f"{QUERY}.lora_up.weight"][3] = 0
    (delta,) = deltas(read_lora(write(tensors), modules), denoiser_weight=1.0, text_encoder_weight=1.0)
    made = delta.change(torch.zeros(8, 8))
    assert torch.allclose(made.norm(dim=1), torch.tensor([100.0] * 3 + [0.0] + [100.0] * 4))


def test_what_has_no_place_is_left_aside_and_said(modules: Modules, write: Callable[[Tensors], Path]) -> None:
    tensors = lora(QUERY, 8, 8) | lora("lora_unet_down_blocks_7_attentions_0_proj_in", 8, 8)
    tensors |= lora("lora_unet_conv_out", 8, 99) | {"bundle_emb.cat.string_to_param.*": noise(2, 12)}
    file = read_lora(write(tensors), modules)
    assert [layer.place.path for layer in file.layers] == [tiny.QUERY]
    assert file.note == "Left aside from the LoRA “my style.safetensors”: 4 tensors with no place in this model."


def test_a_file_with_both_kinds_of_names_counts_once(modules: Modules, write: Callable[[Tensors], Path]) -> None:
    twice = lora(QUERY, 8, 8) | lora("lora_unet_input_blocks_1_1_transformer_blocks_0_attn1_to_q", 8, 8)
    file = read_lora(write(twice), modules)
    assert (len(file.layers), file.left_aside) == (1, 2)


GLORA = {f"{QUERY}.{name}.weight": noise(8, 8) for name in ("a1", "a2", "b1", "b2")}
NAN = {f"{QUERY}.lora_down.weight": noise(2, 8), f"{QUERY}.lora_up.weight": torch.full((8, 2), math.nan)}
BAD: dict[str, tuple[Tensors, str]] = {
    "another cross-attention": (lora(KEY, 8, 2048), "made for Stable Diffusion XL; this model is a model with"),
    "FLUX": (lora("lora_unet_double_blocks_0_img_attn_proj", 8, 8), "made for FLUX"),
    "SD3": (lora("transformer.transformer_blocks.0.attn.add_q_proj", 8, 8), "made for Stable Diffusion 3"),
    "nothing fits": (lora("lora_unet_down_blocks_9_conv", 8, 8), "No layer of the LoRA “my style.safetensors” fits"),
    "text encoder of 768": (
        lora("lora_te_text_model_encoder_layers_5_self_attn_q_proj", 768, 768), "made for Stable Diffusion 1.x",
    ),
    "no LoRA": ({"model.diffusion_model.out.2.weight": noise(4, 4), "first_stage.bias": noise(4)}, "not a LoRA"),
    "not a number": (NAN, "has numbers that are none"),
    "infinite alpha": (lora(QUERY, 8, 8) | {f"{QUERY}.alpha": torch.tensor(math.inf)}, "has numbers that are none"),
    "ranks differ": (
        {f"{QUERY}.lora_down.weight": noise(3, 8), f"{QUERY}.lora_up.weight": noise(8, 2)},
        r"do not fit one another \(down \[3, 8\], up \[8, 2\]\)",
    ),
    "up is missing": ({f"{QUERY}.lora_down.weight": noise(2, 8)}, "it has only down"),
    "half of a LoHa": ({f"{QUERY}.hada_w1_a": noise(8, 2), f"{QUERY}.hada_w1_b": noise(2, 8)}, "it has only hada_w1_a"),
    "said twice": (lora(QUERY, 8, 8) | lora(f"unet.{tiny.QUERY}", 8, 8), "twice"),
    "absurd rank": (lora(QUERY, 8, 8, rank=9000), "the rank 9000"),
    "five axes": (lora(QUERY, 8, 8) | {f"{QUERY}.lora_mid.weight": noise(2, 2, 1, 1, 1)}, "none of a LoRA"),
    "rank nought": (lora(QUERY, 8, 8, rank=0), "none of a LoRA"),
    "whole numbers": ({name: each.to(torch.int8) for name, each in lora(QUERY, 8, 8).items()}, "none of a LoRA"),
    "IA3 for the other side": (
        {f"{KEY}.weight": noise(8), f"{KEY}.on_input": torch.tensor(1)}, "its numbers for .* are for another width",
    ),
    "GLoRA": (GLORA, "cannot merge: GLoRA"),
    "biases": (lora(QUERY, 8, 8) | {f"{QUERY}.diff_b": noise(8)}, "cannot merge: biases"),
}  # fmt: skip


@pytest.mark.parametrize("kind", BAD)
def test_bad_files_are_refused_by_name(kind: str, modules: Modules, write: Callable[[Tensors], Path]) -> None:
    tensors, sentence = BAD[kind]
    path = write(tensors)
    with pytest.raises(BadInput, match=sentence) as refusal:
        read_lora(path, modules)
    assert "my style.safetensors" in refusal.value.cause
    assert refusal.value.advice


def test_families_are_told_apart_by_their_real_sizes(true_size: Modules, write: Callable[[Tensors], Path]) -> None:
    sd1, sdxl = ({"unet": true_size[family]} for family in ("SD 1.5", "SDXL"))
    cross = "lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn2_to_k"
    for tensors, model, sentence in (
        (lora(cross, 640, 768), sdxl, "made for Stable Diffusion 1.x; this model is Stable Diffusion XL"),
        (lora(cross, 640, 1024), sd1, "made for Stable Diffusion 2.x; this model is Stable Diffusion 1.x"),
        (lora(cross, 640, 2048), sd1, "made for Stable Diffusion XL; this model is Stable Diffusion 1.x"),
        # Without cross-attention: by the second text encoder, or by deeper blocks than 1.x has.
        (lora(cross.replace("attn2", "attn1"), 640, 640) | lora("lora_te2_text_model_encoder_layers_0_mlp_fc1", 8, 8),
         sd1, "made for Stable Diffusion XL"),
        (lora(cross.replace("attn2", "attn1"), 640, 640)
         | lora("lora_unet_input_blocks_7_1_transformer_blocks_9_attn1_to_q", 1280, 1280), sd1, "Stable Diffusion XL"),
    ):  # fmt: skip
        with pytest.raises(BadInput, match=sentence):
            read_lora(write(tensors), model)
    assert read_lora(write(lora(cross, 640, 768)), sd1).layers


@pytest.mark.parametrize("keep", [0, 7, 60, 400])
def test_a_file_cut_off_is_refused(keep: int, tmp_path: Path, modules: Modules) -> None:
    path = tmp_path / "cut.safetensors"
    path.write_bytes((DATA / "kohya.safetensors").read_bytes()[:keep])
    with pytest.raises(BadInput, match=r"cut\.safetensors"):
        read_lora(path, modules)


def test_tensors_that_overlap_are_refused(tmp_path: Path, modules: Modules) -> None:
    entry = {"dtype": "F32", "shape": [2, 8], "data_offsets": [0, 64]}
    up = {"dtype": "F32", "shape": [8, 2], "data_offsets": [32, 96]}
    header = json.dumps({f"{QUERY}.lora_down.weight": entry, f"{QUERY}.lora_up.weight": up}).encode()
    path = tmp_path / "odd.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(96))
    with pytest.raises(BadInput, match=r"odd\.safetensors"):
        read_lora(path, modules)


@pytest.mark.parametrize(
    "settings", ["{", "[]", '{"r": 0, "lora_alpha": 8}', '{"r": 4, "lora_alpha": 1e999}', "[" * 99999]
)
def test_damaged_settings_beside_the_tensors_are_refused(settings: str, tmp_path: Path, modules: Modules) -> None:
    path = tmp_path / "adapter_model.safetensors"
    path.write_bytes((DATA / "peft_lora" / path.name).read_bytes())
    (tmp_path / "adapter_config.json").write_text(settings, "utf-8")
    with pytest.raises(BadInput, match="settings of the LoRA “adapter_model.safetensors” are damaged"):
        read_lora(path, modules)


@pytest.mark.parametrize("weight", [math.nan, math.inf, -math.inf, float("1e309"), 101.0])
@pytest.mark.parametrize("which", ["denoiser", "text encoder", "blocks"])
def test_weights_that_are_none_are_refused(weight: float, which: str, modules: Modules) -> None:
    file = read_lora(DATA / "kohya.safetensors", modules)
    with pytest.raises(BadInput, match=r"“kohya\.safetensors” cannot have the weight"):
        deltas(
            file,
            denoiser_weight=weight if which == "denoiser" else 1.0,
            text_encoder_weight=weight if which == "text encoder" else 1.0,
            blocks=(1, 1, 1, 1, weight) if which == "blocks" else None,
        )


def test_a_row_of_another_length_is_refused(modules: Modules) -> None:
    file = read_lora(DATA / "kohya.safetensors", modules)
    with pytest.raises(BadInput, match="was given 17 block weights") as refusal:
        deltas(file, denoiser_weight=1.0, text_encoder_weight=1.0, blocks=(1.0,) * 17)
    assert refusal.value.advice == "Give 5 or 10 for this model, BASE first."
