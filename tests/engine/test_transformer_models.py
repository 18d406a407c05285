"""Folders of FLUX.1 and Stable Diffusion 3: recognised, read in pieces, and their prompts encoded."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import FluxPipeline, StableDiffusion3Pipeline
from safetensors.torch import load_file, save_file

from engine.backends import on_torch
from engine.components import Component, load, original, tokenizer
from engine.conditioning import Conditioning, conditioned
from engine.errors import BadInput
from engine.expand import expand
from engine.families import FAMILIES
from engine.library.recognise import parts_of, recognise
from engine.messages import ModelCard
from engine.settings import GenerateSettings
from tests.tiny_flux import write_tiny_flux
from tests.tiny_sd3 import write_tiny_sd3

CONFIGS: dict[str, list[dict[str, Any]]] = {
    "sd1": [{"_class_name": "UNet2DConditionModel", "cross_attention_dim": 768}],
    "sd2": [{"_class_name": "UNet2DConditionModel", "cross_attention_dim": 1024}],
    "sdxl": [{"_class_name": "UNet2DConditionModel", "cross_attention_dim": 2048}],
    "sd3": [{"_class_name": "SD3Transformer2DModel", "in_channels": 16, "patch_size": 2, "num_layers": 38}],
    "flux": [{"_class_name": "FluxTransformer2DModel", "in_channels": 64, "guidance_embeds": False}],
    "": [
        {"_class_name": "Flux2Transformer2DModel", "in_channels": 128},
        {"_class_name": "FluxTransformer2DModel", "in_channels": 384},
        {"_class_name": "SD3Transformer2DModel", "in_channels": 33, "patch_size": 2},
        {"_class_name": "ChromaTransformer2DModel", "in_channels": 64},
        {"_class_name": "PixArtTransformer2DModel", "cross_attention_dim": 1152},
    ],
}
"""Of denoisers, as published; of the last kind, without a name, Easel runs none."""


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("models 模型")
    return {"flux": write_tiny_flux(folder / "flux"), "sd3": write_tiny_sd3(folder / "sd3")}


@pytest.fixture(params=["flux", "sd3"])
def model(request: pytest.FixtureRequest, models: dict[str, Path], tmp_path: Path) -> Path:
    return Path(shutil.copytree(models[request.param], tmp_path / request.param))


@pytest.fixture(scope="module")
def pipelines(models: dict[str, Path]) -> dict[str, Any]:
    kinds = {"flux": FluxPipeline, "sd3": StableDiffusion3Pipeline}
    return {
        name: kind.from_pretrained(models[name], local_files_only=True, torch_dtype=torch.float32)
        for name, kind in kinds.items()
    }


@pytest.mark.parametrize("name", CONFIGS)
def test_a_configuration_is_of_one_family_or_of_none(name: str) -> None:
    for config in CONFIGS[name]:
        found = [family.name for family in FAMILIES.values() if family.recognises(config)]
        assert found == ([name] if name else [])


def test_a_folder_that_diffusers_wrote_is_recognised(model: Path) -> None:
    found = recognise(model)
    assert found.family.name == model.name
    assert found.native_size == {"flux": 1024, "sd3": 64}[model.name]
    assert found.size_multiple == 16
    assert found.size_bytes == sum(file.stat().st_size for file in model.glob("*/*.safetensors"))


@pytest.mark.parametrize(
    "file",
    [
        "transformer/config.json",
        "transformer/diffusion_pytorch_model.safetensors",
        "vae/diffusion_pytorch_model.safetensors",
        "text_encoder_2/model.safetensors",
        "tokenizer_2/tokenizer_config.json",
        "scheduler/scheduler_config.json",
    ],
)
def test_a_missing_file_is_named(model: Path, file: str) -> None:
    (model / file).unlink()
    with pytest.raises(BadInput, match=file.rpartition("/")[2].replace(".", r"\.")):
        recognise(model)


def test_a_missing_or_damaged_sentence_tokenizer_is_named(model: Path) -> None:
    folder = model / {"flux": "tokenizer_2", "sd3": "tokenizer_3"}[model.name]
    (folder / "tokenizer.json").write_text('{"model": {"vocab": [["a", "b"]]}}')
    with pytest.raises(BadInput, match=f"{folder.name}/tokenizer.json” holds no pieces"):
        tokenizer(folder, "T5Tokenizer")
    (folder / "tokenizer.json").unlink()
    with pytest.raises(BadInput, match=f"{folder.name}/tokenizer.json"):
        recognise(model)


def test_only_what_may_be_left_out_may_be_left_out(model: Path) -> None:
    index = json.loads((model / "model_index.json").read_text())
    index["text_encoder_2"] = [None, None]
    (model / "model_index.json").write_text(json.dumps(index))
    with pytest.raises(BadInput, match="text_encoder_2"):
        recognise(model)
    index["text_encoder_2"] = [
        "transformers",
        "T5EncoderModel" if model.name == "flux" else "CLIPTextModelWithProjection",
    ]
    index["text_encoder_3"] = index["tokenizer_3"] = [None, None]
    (model / "model_index.json").write_text(json.dumps(index))
    assert "text_encoder_3" not in parts_of(model, recognise(model).family)


def _in_pieces(file: Path) -> None:
    """What diffusers writes of a large part: several files and an index."""
    tensors = load_file(file)
    weight_map: dict[str, str] = {}
    for number, names in enumerate((sorted(tensors)[::2], sorted(tensors)[1::2]), start=1):
        piece = f"{file.stem}-{number:05}-of-00002.safetensors"
        save_file({name: tensors[name] for name in names}, file.with_name(piece))
        weight_map |= dict.fromkeys(names, piece)
    file.unlink()
    file.with_name(f"{file.name}.index.json").write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))


def test_weights_in_several_files_are_read_as_from_one(model: Path) -> None:
    component = Component("transformer", FAMILIES[model.name].components["transformer"], model / "transformer")
    before, size = load(component).state_dict(), recognise(model).parameters
    _in_pieces(model / "transformer" / "diffusion_pytorch_model.safetensors")
    after = load(component).state_dict()
    assert after.keys() == before.keys()
    assert all(torch.equal(after[name], before[name]) for name in before)
    assert recognise(model).parameters == size
    assert torch.equal(original(component, "proj_out.weight"), before["proj_out.weight"])
    next((model / "transformer").glob("*-00002-of-*")).unlink()
    with pytest.raises(BadInput, match="00002-of-00002.safetensors"):
        recognise(model)


def test_t5_keeps_in_float32_what_float16_cannot_hold(models: dict[str, Path]) -> None:
    t5 = Component("text_encoder_2", "T5EncoderModel", models["flux"] / "text_encoder_2")
    placed = on_torch.place([t5], "cpu", "fp16", lambda what, done: None)["text_encoder_2"]
    kept = {path for path, weight in placed.named_parameters() if weight.dtype == torch.float32}
    assert kept == {f"encoder.block.{number}.layer.1.DenseReluDense.wo.weight" for number in range(2)}


# ---------------------------------------------------------------- prompts


def read(pipeline: Any, prompt: str, negative: str = "", steps: int = 4, **more: Any) -> Conditioning:
    settings = GenerateSettings(prompt=prompt, negative_prompt=negative, **more)
    return conditioned(pipeline, settings, {}, steps)


@pytest.mark.parametrize("prompt", ["", "a red house", "一只猫", "A, B.  c!\nD"])
def test_prompts_are_diffusers_own_bit_for_bit(pipelines: dict[str, Any], prompt: str) -> None:
    ours = read(pipelines["flux"], prompt, "blue").first
    tokens, pooled, _ = pipelines["flux"].encode_prompt(prompt, None)
    assert torch.equal(ours.positive.tokens, tokens)
    assert torch.equal(ours.positive.pooled, pooled)
    ours = read(pipelines["sd3"], prompt, "blue").first
    tokens, negative, pooled, negative_pooled = pipelines["sd3"].encode_prompt(
        prompt, None, None, negative_prompt="blue"
    )
    for one, other in zip(
        (*ours.positive, *ours.negative), (tokens, pooled, negative, negative_pooled), strict=True
    ):  # fmt: skip
        assert torch.equal(one, other)


def test_a_weight_makes_its_tokens_stronger_and_no_others(pipelines: dict[str, Any]) -> None:
    plain, louder = (read(pipelines["flux"], each).first.positive for each in ("a red house", "a (red:1.5) house"))
    torch.testing.assert_close(louder.tokens[:, 1], 1.5 * plain.tokens[:, 1])
    for place in (0, 2, 3, 100):
        assert torch.equal(louder.tokens[:, place], plain.tokens[:, place])
    assert torch.equal(louder.pooled, plain.pooled)
    plain, louder = (read(pipelines["sd3"], each).first.positive for each in ("a red house", "a (red:1.5) house"))
    torch.testing.assert_close(louder.tokens[:, 77 + 1], 1.5 * plain.tokens[:, 77 + 1])
    ratio = louder.tokens / plain.tokens
    for one, other in ((0, 768), (768, 2048)):  # each encoder's mean is as it was
        within, beside = ratio[0, 2:5, one:other], ratio[0, 10:77, one:other]  # the tiny tokenizer reads letters
        torch.testing.assert_close(within, 1.5 * beside[:3], rtol=1e-3, atol=0)


def test_a_long_prompt_is_read_to_its_end(pipelines: dict[str, Any]) -> None:
    words = " ".join(["red house"] * 140)  # 280 pieces, 1,120 letters
    flux = pipelines["flux"]
    assert read(flux, words).first.positive.tokens.shape[1] == 512
    assert read(flux, f"{words} {words}").first.positive.tokens.shape[1] == 1024
    both = read(pipelines["sd3"], words, "blue").first
    assert both.positive.tokens.shape == both.negative.tokens.shape == (1, 77 * 15 + 512, 4096)


def test_a_prompt_that_changes_keeps_its_length(pipelines: dict[str, Any]) -> None:
    words = " ".join(["red house"] * 280)
    made = read(pipelines["flux"], f"[a:{words}:0.5]", steps=4)
    (later,) = made.changes.values()
    assert later.positive.tokens.shape == made.first.positive.tokens.shape == (1, 1024, 4096)


@pytest.mark.parametrize(("family", "usual", "guidance_scale"), [("flux", 3.5, 3.5), ("sd3", 4.5, 1.0)])
def test_few_steps_go_by_the_familys_own_scheduler(family: str, usual: float, guidance_scale: float) -> None:
    """FLUX.1 reads the guidance scale as a number, distilled or not."""
    card = ModelCard(name=f"{family} turbo", path="", family=family, native_size=1024, size_multiple=16)
    (made,) = expand(GenerateSettings(guidance_scale=usual, steps=28), card)
    assert (made.scheduler, made.steps, made.guidance_scale) == ("Euler", 4, guidance_scale)
    assert FAMILIES[family].notes(made) == ()
