"""Merged checkpoints against torch's own arithmetic, diffusers' converters, and pictures drawn with the same LoRA."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from diffusers.loaders import single_file_utils as diffusers_reader
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from engine.cli import main
from engine.errors import BadInput, Cancelled, EaselError
from engine.families import FAMILIES
from engine.formats.safetensors import Header, Tensor, read_header
from engine.library import index
from engine.library.catalogue import Catalogue
from engine.library.checkpoints import slots
from engine.library.file_parts import Part
from engine.library.hashes import hash_next
from engine.library.headers import guess_header
from engine.library.opened_weights import Stored, Weights
from engine.library.recipes import Recipe, metadata
from engine.library.recognise import is_heavy, recognise
from engine.messages import ModelCard
from engine.settings import GenerateSettings, LoraUse
from engine.tasks.merging import merge
from tests.drawing import difference, drawn
from tests.headers.architectures import published
from tests.tiny_model import write_tiny_model
from tests.tiny_single import write_file, write_folder
from tests.weights import look

pytestmark = pytest.mark.usefixtures("home")

LAYER = "mid_block_attentions_0_transformer_blocks_0_attn2_to_v"
Tensors = dict[str, torch.Tensor]


@pytest.fixture(scope="session")
def originals(folders: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, int], Path]:
    """A checkpoint of a family, with that noise on every number; written once, not to be changed."""
    made: dict[tuple[str, int], Path] = {}

    def original(family: str, noise: int) -> Path:
        if (family, noise) not in made:
            path = write_file(folders(family), tmp_path_factory.mktemp("files") / "original.safetensors", family)
            if noise:
                save_file({key: each + noise * each.flip(0) for key, each in load_file(path).items()}, path)
            made[family, noise] = path
        return made[family, noise]

    return original


@pytest.fixture
def files(originals: Callable[[str, int], Path], tmp_path: Path) -> Callable[..., Path]:
    """A copy of one, under that name."""

    def file(name: str, family: str, noise: int = 0) -> Path:
        return Path(shutil.copyfile(originals(family, noise), tmp_path / f"{name}.safetensors"))

    return file


def easel(*arguments: object) -> int:
    return main(["models", "merge", *map(str, arguments)])


def _lora(path: Path, paths: dict[str, tuple[int, int]], rank: int = 2) -> Path:
    """Noise for layers of these names in kohya's form, with these heights and widths."""
    noise = torch.Generator().manual_seed(5)
    tensors: Tensors = {}
    for name, (high, wide) in paths.items():
        tensors[f"{name}.lora_down.weight"] = torch.randn(rank, wide, generator=noise) / wide**0.5
        tensors[f"{name}.lora_up.weight"] = torch.randn(high, rank, generator=noise)
        tensors[f"{name}.alpha"] = torch.tensor(1.0)
    save_file(tensors, path)
    return path


def _same(one: Tensors, other: Tensors) -> None:
    assert one.keys() == other.keys()
    for name, tensor in one.items():
        assert torch.equal(tensor, other[name]), name


@pytest.mark.parametrize(
    ("family", "precision", "dtype"), [("sd1", "fp32", torch.float32), ("sdxl", "fp16", torch.float16)]
)
def test_a_sum_of_two(
    files: Callable[..., Path], folders: Callable[[str], Path], tmp_path: Path, family: str, precision: str,
    dtype: torch.dtype,
) -> None:  # fmt: skip
    """A folder and a file go together; a checkpoint is as if the two had been loaded and added."""
    out, other = tmp_path / "mixed 混合.safetensors", files("other", family, 1)
    assert easel(folders(family), other, "--weight", "0.3", "--precision", precision, "--out", out) == 0
    one, two = load_file(files("one", family)), load_file(other)
    _same(load_file(out), {key: (one[key] * (1 - 0.3) + two[key] * 0.3).to(dtype) for key in one})
    assert not list(tmp_path.glob(".*"))


def test_three_by_difference_and_by_weight(files: Callable[..., Path], tmp_path: Path) -> None:
    paths = [files(f"model {noise}", "sd1", noise) for noise in range(3)]
    a, b, c = map(load_file, paths)
    add, sums = tmp_path / "add.safetensors", tmp_path / "sum.safetensors"
    assert easel(*paths, "--difference", "--weight", "0.7", "--precision", "fp32", "--out", add) == 0
    _same(load_file(add), {key: a[key] + 0.7 * (b[key] - c[key]) for key in a})
    assert easel(*paths, "--weight", "0.5,0.25", "--precision", "bf16", "--out", sums) == 0
    _same(load_file(sums), {key: (a[key] * 0.25 + b[key] * 0.5 + c[key] * 0.25).bfloat16() for key in a})


def test_a_model_for_inpainting_takes_from_ordinary_ones(files: Callable[..., Path], tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "nine", "sd1", in_channels=9)
    out, ordinary, base = tmp_path / "out.safetensors", files("ordinary", "sd1", 1), files("base", "sd1")
    assert easel(folder, ordinary, base, "--difference", "--weight", "1", "--precision", "fp32", "--out", out) == 0
    key = "model.diffusion_model.input_blocks.0.0.weight"
    nine, b, c = (
        load_file(each)[key] for each in (write_file(folder, tmp_path / "9.safetensors", "sd1"), ordinary, base)
    )
    made = load_file(out)[key]
    assert torch.equal(made[:, :4], nine[:, :4] + 1.0 * (b - c))
    assert torch.equal(made[:, 4:], nine[:, 4:])
    with pytest.raises(BadInput, match=r"“unet\.conv_in\.weight” is 32 x 4 x 3 x 3 in the one and 32 x 9 x 3 x 3"):
        easel(ordinary, folder, "--out", tmp_path / "turned.safetensors")


@pytest.mark.parametrize("family", ["sd1", "sd2", "sdxl"])
def test_diffusers_reads_what_is_written(folders: Callable[[str], Path], tmp_path: Path, family: str) -> None:
    """By its own converters, on the way that its `from_single_file` goes; and the library opens it again."""
    folder, out = folders(family), tmp_path / "one.safetensors"
    assert easel(folder, "--precision", "fp32", "--out", out) == 0
    whole = load_file(out)
    unet = UNet2DConditionModel.from_pretrained(folder, subfolder="unet")
    vae = AutoencoderKL.from_pretrained(folder, subfolder="vae")
    kinds: dict[str, Any] = {"class_embed_type": None, "addition_embed_type": None}
    _same(diffusers_reader.convert_ldm_unet_checkpoint(dict(whole), kinds | dict(unet.config)), unet.state_dict())
    _same(diffusers_reader.convert_ldm_vae_checkpoint(dict(whole), dict(vae.config)), vae.state_dict())
    prefixes = {"sd2": "cond_stage_model.model.", "sdxl": "conditioner.embedders.1.model."}
    if family in prefixes:
        part, kind = (
            ("text_encoder", CLIPTextModel) if family == "sd2" else ("text_encoder_2", CLIPTextModelWithProjection)
        )
        encoder = kind.from_pretrained(folder / part)
        assert isinstance(encoder.config, CLIPTextConfig)
        text = {key: each for key, each in whole.items() if "resblocks.3." not in key}  # which nobody runs
        if family == "sd2":
            text[f"{prefixes[family]}text_projection"] = torch.eye(1024)
        _same(diffusers_reader.convert_open_clip_checkpoint(encoder, text, prefixes[family]), encoder.state_dict())
    card = index.find(str(out))
    assert (card.family, card.parameters) == (family, recognise(folder).parameters)


@pytest.mark.parametrize("family", ["sd1", "sd2", "sdxl", "sdxl-refiner"])
def test_published_models_stay_what_they_are(tmp_path: Path, family: str) -> None:
    """Of the true sizes, without a number: the header that would be written is a whole checkpoint of the family."""
    parts = {part: _published(family, part) for part in filter(is_heavy, FAMILIES[family].components)}
    begin, tensors = 0, {}
    for slot in slots("published", FAMILIES[family], parts):
        end = begin + 2 * torch.Size(slot.shape).numel()
        tensors[slot.key], begin = Tensor("F16", slot.shape, begin, end), end
    recipe = Recipe(models=(ModelCard(name="a", path=str(_schedule(tmp_path, {})), family=family),))
    guess = guess_header(Header(tensors, metadata(recipe, "a title", {})), "x.safetensors")
    said = ("epsilon",) if family == "sd2" else ()
    assert (guess.kind, guess.family, guess.variants) == ("checkpoint", family, said)


def _published(family: str, part: str) -> Part:
    config = published(family, part)
    kinds: dict[str, Callable[[], torch.nn.Module]] = {
        "UNet2DConditionModel": lambda: UNet2DConditionModel(**config),
        "AutoencoderKL": lambda: AutoencoderKL(**config),
        "CLIPTextModel": lambda: CLIPTextModel(CLIPTextConfig(**config)),
        "CLIPTextModelWithProjection": lambda: CLIPTextModelWithProjection(CLIPTextConfig(**config)),
    }
    with torch.device("meta"):
        state = kinds[FAMILIES[family].components[part]]().state_dict()
    return Part(config, Weights((), {name: Stored(0, name, tuple(each.shape)) for name, each in state.items()}))


def _schedule(folder: Path, changes: dict[str, Any]) -> Path:
    file = folder / "scheduler" / "scheduler_config.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps((json.loads(file.read_text()) if file.exists() else {}) | changes))
    return folder


def test_velocity_and_zero_snr_are_told(folders: Callable[[str], Path], tmp_path: Path) -> None:
    plain, out = folders("sdxl"), tmp_path / "v.safetensors"
    folder = Path(shutil.copytree(plain, tmp_path / "v model"))
    _schedule(folder, {"prediction_type": "v_prediction", "rescale_betas_zero_snr": True})
    assert easel(folder, "--out", out) == 0
    header = read_header(out)
    assert {name: header.tensors[name].shape for name in ("v_pred", "ztsnr")} == {"v_pred": (0,), "ztsnr": (0,)}
    assert header.metadata["modelspec.prediction_type"] == "v"
    with pytest.raises(BadInput, match="“sdxl” predicts the noise, and “v model” velocity"):
        easel(plain, folder, "--out", tmp_path / "never.safetensors")


def test_a_merged_lora_draws_as_the_lora_does(
    folders: Callable[[str], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    layers = {
        f"lora_unet_{LAYER}": (64, 768),
        f"lora_unet_{LAYER.replace('2_to_v', '1_to_q')}": (64, 64),
        "lora_te_text_model_encoder_layers_0_mlp_fc1": (64, 768),
        "lora_unet_nowhere": (8, 8),
    }
    lora, out = _lora(tmp_path / "style.safetensors", layers), tmp_path / "styled.safetensors"
    assert easel(folders("sd1"), "--lora", f"{lora}:0.7", "--precision", "fp32", "--out", out) == 0
    said = capsys.readouterr().out.splitlines()
    assert said == ["Left aside from the LoRA “style.safetensors”: 3 tensors with no place in this model.", str(out)]
    asked = {"prompt": "a red house", "seed": 1, "width": 64, "height": 64, "steps": 2, "scheduler": "Euler"}
    plain, merged = (drawn(GenerateSettings(model=str(each), **asked)) for each in (folders("sd1"), out))  # pyright: ignore[reportArgumentType]
    use = (LoraUse(name=str(lora), weight=0.7),)
    worn = drawn(GenerateSettings(model=str(folders("sd1")), loras=use, **asked))  # pyright: ignore[reportArgumentType]
    assert difference(plain, worn) > 8
    assert difference(merged, worn) <= 1


@pytest.mark.parametrize("form", ["folder", "checkpoint", "diffusers file", "pt"])
def test_another_vae(files: Callable[..., Path], folders: Callable[[str], Path], tmp_path: Path, form: str) -> None:
    other = files("other", "sd1", 1)
    own = {key: each for key, each in load_file(other).items() if key.startswith("first_stage_model.")}
    vae = other
    if form != "checkpoint":
        vae = Path(shutil.copytree(folders("sd1") / "vae", tmp_path / "vae")) / "diffusion_pytorch_model.safetensors"
        state = load_file(vae)
        theirs = diffusers_reader.convert_ldm_vae_checkpoint(own, published("sd1", "vae", block_out_channels=[32] * 4))
        assert theirs.keys() == state.keys()
        save_file(theirs, vae)
    if form == "pt":
        vae = tmp_path / "其他.vae.pt"
        torch.save({"state_dict": theirs}, vae)
    out = tmp_path / "out.safetensors"
    assert (
        easel(folders("sd1"), "--vae", vae.parent if form == "folder" else vae, "--precision", "fp32", "--out", out)
        == 0
    )
    _same(load_file(out), load_file(files("plain", "sd1")) | own)


def test_the_file_says_what_it_was_made_of(
    files: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    one, two = (files(name, "sd1", noise).rename(folder / f"{name}.safetensors") for noise, name in enumerate("ab"))
    catalogue = Catalogue()
    catalogue.add_root(folder)
    look(catalogue)
    while hash_next(catalogue):
        pass
    entry = catalogue.entry(str(one))
    catalogue.close()
    two.touch()  # so that nobody knows its hash
    out, again = tmp_path / "both.safetensors", tmp_path / "again" / "both.safetensors"
    for target in (out, again):
        assert easel(one, two, "--json", "--out", target) == 0
    assert out.read_bytes() == again.read_bytes()
    with safe_open(out, "pt") as file:
        said = file.metadata()
    assert said["modelspec.architecture"] == "stable-diffusion-v1"
    assert (said["modelspec.title"], said["modelspec.merged_from"]) == ("both", "a, b")
    assert entry is not None
    assert json.loads(said["easel.recipe"]) == {
        "models": [{"name": "a", "sha256": entry.sha256}, {"name": "b"}],
        "method": "sum", "weights": [0.5], "loras": [], "vae": None, "precision": "fp16",
    }  # fmt: skip
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {line["kind"] for line in lines if "kind" in line} == {"preparing"}
    assert lines[-1]["merged"] == str(again)
    assert lines[-1]["bytes"] == again.stat().st_size


def test_nothing_is_replaced_and_nothing_half_done_stays(
    files: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "out" / "made.safetensors"
    recipe = Recipe(models=(index.find(str(files("a", "sd1"))),))
    target.parent.mkdir()
    (target.parent / ".easel-4194305-killed.safetensors.part").touch()  # a higher number than a process has
    first, second = (merge(recipe, target, lambda *_: None, {}).path for _ in range(2))
    assert (first, second.name) == (target, "made-2.safetensors")

    def cancelled(what: str, done: float) -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        merge(recipe, target, cancelled, {})
    full = shutil.disk_usage(tmp_path)._replace(free=10**6)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: full)
    with pytest.raises(EaselError, match=r"“made\.safetensors” takes 0\.0 GB, and 0\.0 GB is free"):
        merge(recipe, target, lambda *_: None, {})
    assert sorted(target.parent.iterdir()) == sorted((first, second))


def test_numbers_that_half_precision_cannot_hold(files: Callable[..., Path], tmp_path: Path) -> None:
    large, out = files("large", "sd1"), tmp_path / "out.safetensors"
    save_file(
        {key: each.fill_(70_000) if key.endswith("out.2.bias") else each for key, each in load_file(large).items()},
        large,
    )
    with pytest.raises(BadInput, match=r"out\.2\.bias” has numbers that fp16 cannot hold"):
        easel(large, "--out", out)
    assert not out.exists()
    assert easel(large, "--precision", "bf16", "--out", out) == 0


def test_what_cannot_be_merged_is_said(
    files: Callable[..., Path], folders: Callable[[str], Path], tmp_path: Path
) -> None:
    one, xl, out = files("one", "sd1"), folders("sdxl"), tmp_path / "out.safetensors"
    wider = write_folder(tmp_path / "wider", "sd1", block_out_channels=(32, 96))
    (tmp_path / "there.safetensors").touch()
    lora = _lora(tmp_path / "xl lora.safetensors", {f"lora_unet_{LAYER}": (64, 2048)})
    for arguments, said in (
        ((one, xl, "--out", out), "“one” is Stable Diffusion 1.x, and “sdxl” is Stable Diffusion XL"),
        ((one, wider, "--out", out), r"“one” and “wider” cannot be mixed: “unet\..*” is .*64.* in the one and .*96"),
        ((one, one, "--out", tmp_path / "there.safetensors"), "is there already"),
        ((one, one), "Use --out FILE"),
        ((one, one, "--out", tmp_path / "x.ckpt"), "ends with .safetensors"),
        ((one, one, one, one, "--out", out), "4 models are too many"),
        ((one, one, "--difference", "--out", out), "A difference takes three models"),
        ((one, one, one, "--out", out), "3 models and 1 weights.*Use --weight B,C"),
        ((one, "--weight", "0.5", "--out", out), "1 models and 1 weights"),
        ((one, one, "--weight", "nan", "--out", out), "weight cannot be nan"),
        ((one, one, "--weight", "much", "--out", out), "“much” is no number"),
        ((one, "--precision", "int8", "--out", out), "No checkpoint is in int8. Use fp16"),
        ((one, "--vae", xl / "vae", "--out", out), "VAE “vae” is made for other models"),
        ((one, "--vae", lora, "--out", out), "VAE in “xl lora.safetensors” cannot be used"),
        ((one, "--lora", lora, "--out", out), "was made for Stable Diffusion XL"),
        ((write_tiny_model(tmp_path / "odd"), "--out", out), "“odd” cannot be written as one checkpoint: of its"),
        ((folders("sd3"), "--out", out), "Easel writes no checkpoints of Stable Diffusion 3.*does so of: Stable"),
    ):
        with pytest.raises(BadInput, match=said):
            easel(*arguments)
    assert not list(tmp_path.glob(".*"))
    assert not out.exists()
