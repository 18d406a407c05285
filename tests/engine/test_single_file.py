"""Checkpoints in one file against the folders they were made from, and against diffusers' own reading of them."""

import json
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import FluxTransformer2DModel, SD3Transformer2DModel, UNet2DConditionModel
from diffusers.loaders import single_file_utils as diffusers_reader
from safetensors.torch import load_file, save_file
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from engine.components import Component, load, original, tokenizer
from engine.errors import BadInput
from engine.families import FAMILIES
from engine.formats import sd_places, text_places, transformer_places
from engine.formats.safetensors import read_header
from engine.library import index
from engine.library.catalogue import Catalogue
from engine.library.recognise import is_heavy, read_json, recognise
from engine.library.roots import roots
from engine.library.scan import scan
from engine.library.single_file import opened
from engine.messages import Describe
from engine.paths import RESOURCES
from tests.headers.architectures import Shapes, checkpoint, clip, flux, of
from tests.tiny_single import placed, write_file, write_folder
from tests.weights import hollow

pytestmark = pytest.mark.usefixtures("home")


@pytest.fixture
def sd1(folders: Callable[[str], Path], tmp_path: Path) -> Path:
    return write_file(folders("sd1"), tmp_path / "my model 模型.safetensors", "sd1")


def _install(folder: Path, home: Path) -> Path:
    (home / "models").mkdir(parents=True, exist_ok=True)
    return Path(shutil.copytree(folder, home / "models" / folder.name))


def _part(folder: Path, family: str, part: str) -> dict[str, torch.Tensor]:
    return load(Component(part, FAMILIES[family].components[part], folder / part)).state_dict()


def _same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> None:
    assert one.keys() == other.keys()
    for name, tensor in one.items():
        assert torch.equal(tensor, other[name]), name


def _all_same(model: Path, folder: Path, family: str) -> None:
    for part in filter(is_heavy, FAMILIES[family].components):
        _same(_part(model, family, part), _part(folder, family, part))


def _changed(file: Path, change: Callable[[str, torch.Tensor], dict[str, torch.Tensor]]) -> None:
    """Write the file anew, each tensor as what `change` makes of it."""
    tensors = load_file(file)
    save_file({new: each for name, tensor in tensors.items() for new, each in change(name, tensor).items()}, file)


@pytest.mark.parametrize("family", list(FAMILIES))
def test_a_file_opens_as_the_folder_that_it_was_made_from(
    folders: Callable[[str], Path], tmp_path: Path, home: Path, family: str
) -> None:
    folder, file = folders(family), tmp_path / f"{family}.safetensors"
    if family in ("sd3", "flux"):  # T5's tokenizer is nowhere but in installed models
        _install(folder, home)
    model = opened(write_file(folder, file, family))
    found, made_from = recognise(model), recognise(folder)
    assert (found.family.name, found.parameters) == (family, made_from.parameters)
    assert found.size_bytes == file.stat().st_size
    _all_same(model, folder, family)
    denoiser = FAMILIES[family].denoiser
    theirs, ours = (read_json(each / denoiser / "config.json") for each in (folder, model))
    alike = ours.keys() - {"sample_size", "upcast_attention", "transformer_layers_per_block"}
    assert {name: ours[name] for name in alike} == {name: theirs[name] for name in alike}


def test_single_tensors_are_read_as_loras_need_them(sd1: Path, folders: Callable[[str], Path]) -> None:
    model = opened(sd1)
    for part, name in (
        ("unet", "mid_block.attentions.0.transformer_blocks.0.attn2.to_k.weight"),
        ("vae", "encoder.mid_block.attentions.0.to_q.weight"),
    ):
        kind = FAMILIES["sd1"].components[part]
        ours, theirs = (original(Component(part, kind, each / part), name) for each in (model, folders("sd1")))
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float8_e4m3fn])
def test_fewer_bits(folders: Callable[[str], Path], tmp_path: Path, dtype: torch.dtype) -> None:
    model = opened(write_file(folders("sd1"), tmp_path / "half.safetensors", "sd1", dtype=dtype))
    ours, theirs = (_part(each, "sd1", "unet") for each in (model, folders("sd1")))
    _same(ours, {name: tensor.to(dtype).float() for name, tensor in theirs.items()})


@pytest.mark.parametrize("one_a_row", [False, True])
def test_eight_bits_with_their_scales(
    folders: Callable[[str], Path], tmp_path: Path, home: Path, one_a_row: bool
) -> None:
    """ComfyUI's: what is stored, times its scale; of a tensor that is several in one, times its own rows' scales."""
    _install(folders("sd3"), home)
    file = write_file(folders("sd3"), tmp_path / "scaled.safetensors", "sd3")

    def scaled(name: str, tensor: torch.Tensor) -> dict[str, torch.Tensor]:
        if not name.endswith("qkv.weight"):
            return {name: tensor}
        scale = tensor.abs().amax(1) if one_a_row else tensor.abs().max()
        stored = (tensor / (scale[:, None] if one_a_row else scale)).to(torch.float8_e4m3fn)
        return {name: stored, name.replace(".weight", ".scale_weight"): scale}

    _changed(file, scaled)
    stored = load_file(file)
    key = "model.diffusion_model.joint_blocks.1.x_block.attn.qkv."
    scale = stored[f"{key}scale_weight"]
    whole = stored[f"{key}weight"].float() * (scale[:, None] if one_a_row else scale)
    ours = _part(opened(file), "sd3", "transformer")
    for place, name in enumerate(("to_q", "to_k", "to_v")):
        assert torch.equal(ours[f"transformer_blocks.1.attn.{name}.weight"], whole.chunk(3)[place])


def test_moving_averages_stand_in_for_a_unet_that_is_not_there(sd1: Path, folders: Callable[[str], Path]) -> None:
    def averaged(name: str, tensor: torch.Tensor) -> dict[str, torch.Tensor]:
        bare = name.removeprefix("model.diffusion_model.")
        return {name if bare == name else f"model_ema.diffusion_model{bare.replace('.', '')}": tensor}

    _changed(sd1, averaged)
    _all_same(opened(sd1), folders("sd1"), "sd1")


def test_moving_averages_beside_a_unet_are_left_aside(sd1: Path, folders: Callable[[str], Path]) -> None:
    ema = "model_ema.diffusion_modelout2weight"
    _changed(sd1, lambda name, each: {name: each} | ({ema: each + 1} if name.endswith("out.2.weight") else {}))
    _all_same(opened(sd1), folders("sd1"), "sd1")


def test_a_text_encoder_without_its_outer_name(sd1: Path, folders: Callable[[str], Path]) -> None:
    _changed(sd1, lambda name, each: {name.replace("transformer.text_model.", "transformer."): each})
    _all_same(opened(sd1), folders("sd1"), "sd1")


@pytest.mark.parametrize("form", ["original", "diffusers", "pt"])
def test_an_autoencoder_beside_the_file_is_worn(
    sd1: Path, folders: Callable[[str], Path], form: str, home: Path
) -> None:
    own = _part(opened(sd1), "sd1", "vae")
    other = {name: tensor + 1 for name, tensor in own.items()}
    config = read_json(folders("sd1") / "vae" / "config.json")
    stored = other if form == "diffusers" else placed(other, sd_places.vae_places(config))
    stored = {name: each.contiguous() for name, each in stored.items()}
    if form == "pt":
        torch.save({"state_dict": stored}, sd1.with_name(f"{sd1.stem}.vae.pt"))
    else:
        save_file(stored, sd1.with_name(f"{sd1.stem}.vae.safetensors"))
    _same(_part(opened(sd1), "sd1", "vae"), other)


def test_a_denoiser_alone_borrows_from_an_installed_model(
    folders: Callable[[str], Path], tmp_path: Path, home: Path
) -> None:
    folder = folders("sd1")
    file = write_file(folder, tmp_path / "unet.safetensors", "sd1", leave=("vae", "text_encoder"))
    lacks = r"“unet\.safetensors” comes without a text encoder \(CLIP-L\) and a VAE, .*Add a Stable Diffusion 1.x model"
    with pytest.raises(BadInput, match=lacks):
        opened(file)
    installed = _install(folder, home)
    model = opened(file)
    _all_same(model, folder, "sd1")
    shutil.rmtree(installed)
    with pytest.raises(BadInput, match="without a text encoder"):
        opened(file)


@pytest.mark.parametrize("family", list(FAMILIES))
def test_a_denoiser_taken_out_of_its_folder_opens(
    folders: Callable[[str], Path], tmp_path: Path, home: Path, family: str
) -> None:
    denoiser = FAMILIES[family].denoiser
    folder = _install(folders(family), home)
    file = Path(shutil.copy(next((folder / denoiser).glob("*.safetensors")), tmp_path))
    model = opened(file)
    assert recognise(model).family.name == family
    _same(_part(model, family, denoiser), _part(folder, family, denoiser))
    theirs, ours = (read_json(each / denoiser / "config.json") for each in (folder, model))
    alike = ours.keys() - {"sample_size", "upcast_attention", "transformer_layers_per_block"}
    assert {name: ours[name] for name in alike} == {name: theirs[name] for name in alike}
    _changed(file, lambda name, each: {name: each, f"more.{name}": each + 1})
    with pytest.raises(BadInput, match=r"nothing of its kind has a tensor “more\."):
        opened(file)


def test_a_consistency_model_taken_out_of_its_folder_is_told_its_guidance(tmp_path: Path, home: Path) -> None:
    folder = write_folder(home / "models" / "lcm", "sd1", time_cond_proj_dim=32)
    file = shutil.copy(folder / "unet" / "diffusion_pytorch_model.safetensors", tmp_path / "lcm unet.safetensors")
    assert index.find(str(file)).reads_guidance
    _all_same(opened(file), folder, "sd1")


def test_all_parts_of_diffusers_in_one_file(folders: Callable[[str], Path], tmp_path: Path) -> None:
    folder = folders("sd1")
    files = {part: next((folder / part).glob("*.safetensors")) for part in ("unet", "vae", "text_encoder")}
    whole = {f"{part}.{name}": each for part, file in files.items() for name, each in load_file(file).items()}
    save_file(whole, tmp_path / "all.safetensors")
    _all_same(opened(tmp_path / "all.safetensors"), folder, "sd1")


def test_flux_without_a_t5_tokenizer_is_told(folders: Callable[[str], Path], tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="comes without T5's tokenizer"):
        opened(write_file(folders("flux"), tmp_path / "flux.safetensors", "flux"))


def test_sd3_does_without_t5(folders: Callable[[str], Path], tmp_path: Path) -> None:
    model = opened(write_file(folders("sd3"), tmp_path / "sd3.safetensors", "sd3"))
    assert recognise(model).family.name == "sd3"
    assert not (model / "text_encoder_3").exists()


def test_a_changed_file_is_opened_anew_and_an_unchanged_one_is_not(sd1: Path) -> None:
    model = opened(sd1)
    before = (model / "unet" / "config.json").stat().st_mtime_ns
    assert opened(sd1) == model
    assert (model / "unet" / "config.json").stat().st_mtime_ns == before
    _changed(sd1, lambda name, each: {name: each + 1})
    bias = _part(opened(sd1), "sd1", "unet")["conv_out.bias"]
    assert torch.equal(bias, load_file(sd1)["model.diffusion_model.out.2.bias"])


def test_variants_reach_the_scheduler(sd1: Path, folders: Callable[[str], Path], tmp_path: Path) -> None:
    def steps(file: Path, *variants: str) -> dict[str, Any]:
        return read_json(opened(file, "", variants) / "scheduler" / "scheduler_config.json")

    assert steps(sd1)["prediction_type"] == "epsilon"
    told = steps(sd1, "v-prediction", "zero terminal SNR")
    assert (told["prediction_type"], told["rescale_betas_zero_snr"], told["timestep_spacing"]) == (
        "v_prediction", True, "trailing",
    )  # fmt: skip
    sd2 = write_file(folders("sd2"), tmp_path / "sd2.safetensors", "sd2")
    assert steps(sd2)["prediction_type"] == "epsilon"
    assert recognise(opened(sd2)).native_size == 512
    assert steps(sd2, "v-prediction")["prediction_type"] == "v_prediction"
    assert recognise(opened(sd2, "", ["v-prediction"])).native_size == 768


def test_what_the_person_says_of_a_models_prediction_holds(home: Path, tmp_path: Path) -> None:
    """Against what its one telling tensor says; of a model of the true size, whose other numbers are on no disk."""
    file = hollow(home / "models" / "sd2.safetensors", checkpoint("sd2"))
    telling = read_header(file).tensors["model.diffusion_model.output_blocks.11.1.transformer_blocks.0.norm1.bias"]
    with file.open("r+b") as opened_file:
        opened_file.seek(8 + int.from_bytes(opened_file.read(8), "little") + telling.begin)
        opened_file.write(struct.pack("<320e", *([1.0, -1.0] * 160)))

    def drawn_from() -> tuple[str, int]:
        card = index.find(str(file))
        return read_json(Path(card.path) / "scheduler" / "scheduler_config.json")["prediction_type"], card.native_size

    assert drawn_from() == ("v_prediction", 768)
    catalogue = Catalogue()
    for _ in scan(catalogue, roots([])):
        pass
    assert drawn_from() == ("v_prediction", 768)
    for answer, expected in (("epsilon", ("epsilon", 512)), ("v-prediction", ("v_prediction", 768))):
        catalogue.describe(Describe(path=str(file), answers=(("prediction", answer),)))
        assert drawn_from() == expected
    catalogue.close()


@pytest.mark.parametrize(
    ("shapes", "told"),
    [
        (lambda: flux(blocks=1, channels=384), "FLUX.1 Fill, which paints into a picture .* Easel runs .*FLUX.1"),
        (lambda: flux(blocks=1, channels=128), "FLUX.1 Depth or Canny, which reads a control image"),
        (lambda: of("flux", "transformer", in_channels=384, num_layers=1, num_single_layers=1), "FLUX.1 Fill"),
        (lambda: checkpoint("sd1", in_channels=8), "reads a second picture"),
        (lambda: of("sd2", "unet", in_channels=5), "depth-to-image model"),
        (lambda: of("flux", "vae"), "“kind.safetensors” holds a VAE, no model"),
        (lambda: clip(768, 12), "“kind.safetensors” holds a text encoder, no model"),
    ],
)
def test_other_kinds_are_named_kindly_and_not_loaded(tmp_path: Path, shapes: Callable[[], Shapes], told: str) -> None:
    file = hollow(tmp_path / "kind.safetensors", shapes())
    with pytest.raises(BadInput, match=f"“kind” cannot be used. .*{told}"):
        index.find(str(file))


def _without(name: str) -> Callable[[str, torch.Tensor], dict[str, torch.Tensor]]:
    return lambda each, tensor: {} if each == name else {each: tensor}


def _with(name: str) -> Callable[[str, torch.Tensor], dict[str, torch.Tensor]]:
    return lambda each, tensor: {each: tensor, name: torch.ones(1)}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (_without("model.diffusion_model.out.0.weight"), r"U-Net .* “out\.0\.weight” is missing"),
        (_with("model.diffusion_model.extra.weight"), r"nothing of its kind has .*extra\.weight"),
        (_without("model.diffusion_model.input_blocks.0.0.weight"), "no model of a kind that Easel runs"),
        (_without("first_stage_model.decoder.conv_out.bias"), r"VAE .* “decoder\.conv_out\.bias” is missing"),
        (lambda name, each: {name: each.to(torch.int8)}, "packed in a way that Easel does not read"),
        (
            lambda name, each: {name: each.flatten() if name.endswith("encoder.conv_out.weight") else each},
            "do not fit its configuration",
        ),
    ],
)
def test_what_is_wrong_with_a_file_is_told(
    sd1: Path, change: Callable[[str, torch.Tensor], dict[str, torch.Tensor]], told: str
) -> None:
    _changed(sd1, change)
    with pytest.raises(BadInput, match=told):
        _part(opened(sd1), "sd1", "vae")


def test_a_folder_elsewhere_may_not_name_files(sd1: Path, tmp_path: Path) -> None:
    """A model from the internet that did could make Easel read any file, on any computer of the network."""
    model = opened(sd1)
    stranger = Path(shutil.copytree(model, tmp_path / "stranger" / "model"))
    with pytest.raises(BadInput, match="lacks the file"):
        recognise(stranger)


def test_a_file_is_found_by_its_path_and_in_the_models_folder(sd1: Path, home: Path) -> None:
    card = index.find(str(sd1))
    assert (card.name, card.family) == (sd1.stem, "sd1")
    (home / "models").mkdir(parents=True)
    shutil.copy(sd1, home / "models" / "Installed.safetensors")
    assert index.find("installed").family == "sd1"
    (home / "models" / "page.safetensors").write_text("<html>")
    with pytest.raises(BadInput, match="“page” cannot be used.* is a web page"):
        index.find("page")


def test_a_folder_of_2022_loads(folders: Callable[[str], Path], tmp_path: Path) -> None:
    old = Path(shutil.copytree(folders("sd1") / "vae", tmp_path / "vae"))
    (weights,) = old.glob("*.safetensors")
    ages = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}

    def aged(name: str, tensor: torch.Tensor) -> dict[str, torch.Tensor]:
        for new, then in ages.items():
            name = name.replace(f"mid_block.attentions.0.{new}.", f"mid_block.attentions.0.{then}.")
        return {name: tensor}

    _changed(weights, aged)
    assert any("proj_attn" in name for name in load_file(weights))
    _same(_part(tmp_path, "sd1", "vae"), _part(folders("sd1"), "sd1", "vae"))


def test_a_folder_of_half_precision_only_loads(folders: Callable[[str], Path], tmp_path: Path) -> None:
    model = Path(shutil.copytree(folders("sd1"), tmp_path / "model"))
    for file in model.glob("*/*.safetensors"):
        file.rename(file.with_name(f"{file.stem}.fp16.safetensors"))
    _all_same(model, folders("sd1"), "sd1")


# Against diffusers' own converters, on small models of the same architecture and on the true ones' names and shapes.


def _config(family: str, part: str) -> dict[str, Any]:
    return read_json(RESOURCES / "configs" / family / part / "config.json")


def _empty(made: Callable[[], torch.nn.Module]) -> dict[str, torch.Tensor]:
    with torch.device("meta"):
        return made().state_dict()


@pytest.mark.parametrize(("family", "count"), [("sd1", 686), ("sd2", 686), ("sdxl", 1680), ("sdxl-refiner", 1220)])
def test_diffusers_reads_published_unets_so(family: str, count: int) -> None:
    config = _config(family, "unet")
    state = _empty(lambda: UNet2DConditionModel(**config))  # pyright: ignore[reportArgumentType]
    whole = placed(state, sd_places.unet_places(config))
    assert len(state) == count == len(whole)
    shapes = {f"model.diffusion_model.{key}": each for key, each in whole.items()}
    theirs = diffusers_reader.convert_ldm_unet_checkpoint(
        dict(shapes), {"layers_per_block": 2, "class_embed_type": None, "addition_embed_type": None} | config
    )
    ours = sd_places.unet_places(config | sd_places.unet_config(_shapes(whole), config))
    assert theirs.keys() == ours.keys() == state.keys()
    assert all(theirs[name] is shapes[f"model.diffusion_model.{place.key}"] for name, place in ours.items())


def _shapes(whole: dict[str, torch.Tensor]) -> Callable[[str], tuple[int, ...] | None]:
    return lambda name: tuple(whole[name].shape) if name in whole else None


@pytest.mark.parametrize("family", ["sd1", "sd2", "sdxl", "sdxl-refiner"])
def test_published_unets_are_measured_right(family: str) -> None:
    config = _config(family, "unet")
    whole = placed(_empty(lambda: UNet2DConditionModel(**config)), sd_places.unet_places(config))  # pyright: ignore[reportArgumentType]
    told = sd_places.unet_config(_shapes(whole), config)
    depths, levels = config["transformer_layers_per_block"], len(config["block_out_channels"])
    deep = [depths] * levels if isinstance(depths, int) else depths
    if told["down_block_types"][0] == "DownBlock2D":  # XL's first level attends to nothing, however deep it is said
        deep = [1, *deep[1:]]
    assert told == {name: config[name] for name in told} | {"transformer_layers_per_block": deep}
    named = _shapes(_empty(lambda: UNet2DConditionModel(**config)))  # pyright: ignore[reportArgumentType]
    assert sd_places.diffusers_unet_config(named, config) == told


@pytest.mark.parametrize(("family", "part"), [("sd2", "text_encoder"), ("sdxl", "text_encoder_2")])
def test_diffusers_reads_open_clip_so(family: str, part: str) -> None:
    """A class with a projection has it; the other one leaves the last layer out."""
    config = _config(family, part) | {"hidden_size": 128, "intermediate_size": 8, "num_attention_heads": 2}
    config |= {"vocab_size": 7, "projection_dim": 128, "num_hidden_layers": 23 if family == "sd2" else 3}
    made = CLIPTextModel if family == "sd2" else CLIPTextModelWithProjection
    model = made(CLIPTextConfig(**config))
    state = {name: torch.randn_like(each) for name, each in model.state_dict().items()}
    prefix = "cond_stage_model.model." if family == "sd2" else "conditioner.embedders.1.model."
    whole = {prefix + key: each for key, each in placed(state, text_places.open_clip_places(config)).items()}
    if family == "sd2":
        whole[f"{prefix}text_projection"] = torch.eye(128)
    _same(diffusers_reader.convert_open_clip_checkpoint(model, whole, prefix), state)


@pytest.mark.parametrize("changes", [{}, {"dual_attention_layers": [0, 1], "qk_norm": "rms_norm"}])
def test_diffusers_reads_sd3_so(changes: dict[str, Any]) -> None:
    config = _config("sd3", "transformer") | {"num_layers": 3, "num_attention_heads": 2, "joint_attention_dim": 8}
    config |= {"caption_projection_dim": 128, "pooled_projection_dim": 8, "pos_embed_max_size": 4} | changes
    state = SD3Transformer2DModel(**config).state_dict()
    state = {name: torch.randn_like(each) for name, each in state.items()}
    whole = placed(state, transformer_places.sd3_places(config))
    assert transformer_places.sd3_config(_shapes(whole), config).items() <= config.items()
    assert transformer_places.diffusers_sd3_config(_shapes(state), config).items() <= config.items()
    _same(diffusers_reader.convert_sd3_transformer_checkpoint_to_diffusers(dict(whole)), state)


def test_diffusers_reads_flux_so() -> None:
    """Its converter knows the published width alone; a column of each matrix is enough."""
    config = _config("flux", "transformer") | {"num_layers": 2, "num_single_layers": 2}
    state = _empty(lambda: FluxTransformer2DModel(**config))  # pyright: ignore[reportArgumentType]
    rows = {
        name: (torch.rand(each.shape[0]) if each.ndim == 1 else torch.rand(each.shape[0], 1))
        for name, each in state.items()
    }
    whole = placed(rows, transformer_places.flux_places(config))
    _same(diffusers_reader.convert_flux_transformer_checkpoint_to_diffusers(dict(whole)), rows)
    told = transformer_places.flux_config(_shapes(placed(state, transformer_places.flux_places(config))), config)
    assert told.items() <= config.items()
    assert transformer_places.diffusers_flux_config(_shapes(state), config) == told


# CLIP's vocabulary, which ships with Easel; the numbers were given by open_clip 3.3.0 from the same list of merges.

_GOLDEN = {
    "a photo of a cat": [320, 1125, 539, 320, 2368],
    "Masterpiece, best quality, highly-detailed": [12066, 267, 949, 3027, 267, 5302, 268, 12609],
    "it's  1girl, hello_world": [585, 568, 272, 1611, 267, 3306, 318, 1002],
    "Ünïcödé 家 🏠!  (masterpiece:1.2), 4k": [
        6522, 77, 35689, 66, 7255, 67, 4166, 27047, 370, 1109, 254, 256, 263, 12066, 281, 272, 269, 273, 2361, 275, 330,
    ],
    "": [],
}  # fmt: skip


@pytest.mark.parametrize("text", list(_GOLDEN))
def test_clips_vocabulary(text: str, tmp_path: Path) -> None:
    shutil.copytree(RESOURCES / "tokenizers" / "clip", tmp_path / "tokenizer")
    (tmp_path / "tokenizer" / "tokenizer_config.json").write_text("{}")
    words = tokenizer(tmp_path / "tokenizer")
    assert len(words) == 49_408
    assert words(text)["input_ids"] == [49406, *_GOLDEN[text], 49407]


def test_clips_vocabulary_is_made_from_its_merges() -> None:
    from resources.tokenizers.__main__ import MERGES, vocabulary_of

    folder = RESOURCES / "tokenizers" / "clip"
    merges = (folder / "merges.txt").read_text("utf-8").split("\n")[1:-1]
    assert len(merges) == MERGES
    assert json.loads((folder / "vocab.json").read_text("utf-8")) == vocabulary_of(merges)
