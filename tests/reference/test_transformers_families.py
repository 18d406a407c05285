"""FLUX.1 and Stable Diffusion 3.5: every task against diffusers' own pipeline for it, called directly."""

from pathlib import Path
from typing import Any, NamedTuple

import diffusers
import numpy as np
import openvino
import pytest
import torch
from msgspec import structs
from PIL import Image
from safetensors.torch import save_file

from engine.backends.openvino.exports import graphs_of
from engine.backends.openvino.graphs import Graph
from engine.backends.openvino.shells import make_denoiser
from engine.components import Component, load
from engine.errors import BadInput
from engine.families import FAMILIES
from engine.pipelines import Pipelines
from engine.settings import GenerateSettings, LoraUse
from engine.tasks.masks import part
from engine.tasks.preview import decoded
from tests.drawing import difference, drawn, foreseen, prepared
from tests.reference.conftest import Agree, Cell
from tests.reference.test_against_diffusers import psnr
from tests.tiny_flux import write_tiny_flux
from tests.tiny_sd3 import write_tiny_sd3

SIZE = (96, 64)
PLAIN = GenerateSettings(
    prompt="a red house 猫, Two",
    negative_prompt="blue",
    seed=7,
    steps=4,
    guidance_scale=3.5,
    width=96,
    height=64,
    strength=0.7,
    scheduler="Euler",
)
LEVELS = {"torch": 0, "openvino": 2}
"""Of 255. torch runs the same code on the same numbers; OpenVINO adds up float32 in another order."""
PSNR = {"bf16": 40.0, "int8": 40.0}
"""In dB against float32; of int8 one layer in a model this narrow, the prompt's way in."""
TASKS = {"text-to-image": "", "image-to-image": "Img2Img", "inpaint": "Inpaint"}


class Tiny(NamedTuple):
    """A model of a family, and what diffusers' pipelines of it begin with."""

    family: str
    folder: Path
    pipelines: str


@pytest.fixture(scope="module", params=["flux", "sd3"])
def model(request: pytest.FixtureRequest, shared_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    folder = tmp_path_factory.mktemp(f"{request.param} 模型")
    if request.param == "flux":
        return Tiny("flux", write_tiny_flux(folder), "Flux")
    return Tiny("sd3", write_tiny_sd3(folder), "StableDiffusion3")


@pytest.fixture(scope="module")
def kept() -> dict[tuple[str, Path], Pipelines]:
    """The loaded model of each backend."""
    return {}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A source and a mask of the size that is drawn."""
    folder = tmp_path_factory.mktemp("pictures 图")
    noise = np.random.default_rng(1)
    made = {
        "source": Image.fromarray(noise.integers(0, 256, (8, 12, 3), np.uint8)).resize(SIZE, Image.Resampling.BICUBIC),
        "mask": Image.fromarray(np.pad(np.full((32, 40), 255, np.uint8), ((16, 16), (24, 32)))),
    }
    for name, image in made.items():
        image.save(folder / f"{name}.png")
    return {name: folder / f"{name}.png" for name in made}


def _asked(model: Tiny, task: str, pictures: dict[str, Path]) -> GenerateSettings:
    given = {"image-to-image": ("source",), "inpaint": ("source", "mask")}.get(task, ())
    return structs.replace(PLAIN, model=str(model.folder), **{name: str(pictures[name]) for name in given})


def _pipeline(model: Tiny, settings: GenerateSettings, **absent: None) -> Any:
    kind = getattr(diffusers, f"{model.pipelines}{TASKS[settings.task]}Pipeline")
    pipeline = kind.from_pretrained(model.folder, local_files_only=True, torch_dtype=torch.float32, **absent)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def _theirs(model: Tiny, settings: GenerateSettings, pipeline: Any = None) -> Image.Image:
    arguments: dict[str, Any] = {} if model.family == "flux" else {"negative_prompt": settings.negative_prompt}
    if settings.source:
        arguments |= {"image": Image.open(settings.source), "strength": settings.strength}
    if settings.mask:
        arguments["mask_image"] = Image.open(settings.mask)
    return (pipeline or _pipeline(model, settings))(
        settings.prompt,
        num_inference_steps=settings.steps,
        guidance_scale=settings.guidance_scale,
        width=settings.width,
        height=settings.height,
        generator=torch.Generator("cpu").manual_seed(settings.seed or 0),
        **arguments,
    ).images[0]


@pytest.mark.parametrize("backend", LEVELS)
@pytest.mark.parametrize("task", TASKS)
def test_a_task_is_diffusers_own(
    task: str,
    backend: str,
    model: Tiny,
    pictures: dict[str, Path],
    kept: dict[tuple[str, Path], Pipelines],
    agree: Agree,
) -> None:
    settings = _asked(model, task, pictures)
    ours = drawn(settings, backend, "fp32", kept.setdefault((backend, model.folder), Pipelines()))
    theirs = _theirs(model, settings)
    if task == "inpaint":  # theirs is the drawn part; ours is put into the source
        source, mask = Image.open(pictures["source"]), Image.open(pictures["mask"])
        theirs = part(source, mask, SIZE, padding=None, feather=settings.mask_feather).back(theirs)
        outside = np.asarray(mask) == 0
        assert np.array_equal(np.asarray(ours)[outside], np.asarray(source)[outside])
    agree(ours, theirs, Cell(model.family, task, "prompt", backend, "fp32"), LEVELS[backend])


def test_everything_that_is_asked_is_seen(model: Tiny, pictures: dict[str, Path]) -> None:
    """What the tasks above compare would not be alike if the prompt or the guidance were lost on the way."""
    pipelines = Pipelines()
    asked = _asked(model, "text-to-image", pictures)
    plain = drawn(asked, pipelines=pipelines)
    for other in ({"prompt": "boat"}, {"guidance_scale": 5.0}, {"seed": 8}):
        assert difference(drawn(structs.replace(asked, **other), pipelines=pipelines), plain) > 8
    negative = drawn(structs.replace(asked, negative_prompt="boat"), pipelines=pipelines)
    assert (difference(negative, plain) > 8) == ("negative_prompt" not in FAMILIES[model.family].without)


@pytest.mark.parity(precision=["int8"], model=["sd3"])
@pytest.mark.parametrize("precision", PSNR)
def test_fewer_bits_draw_nearly_the_same(model: Tiny, precision: str, pictures: dict[str, Path], agree: Agree) -> None:
    settings = _asked(model, "text-to-image", pictures)
    ours, theirs = drawn(settings, "openvino", precision), _theirs(model, settings)
    agree(ours, theirs, Cell(model.family, "text-to-image", "prompt", "openvino", precision))
    assert psnr(ours, theirs) > PSNR[precision]


def test_each_scheduler_is_diffusers_own(model: Tiny, pictures: dict[str, Path]) -> None:
    pipelines = Pipelines()
    for name, chosen in FAMILIES[model.family].schedulers.items():
        settings = structs.replace(_asked(model, "image-to-image", pictures), scheduler=name)
        pipeline = _pipeline(model, settings)
        kind = getattr(diffusers, chosen.diffusers_class)
        pipeline.scheduler = kind.from_config(pipeline.scheduler.config, **chosen.options)
        assert difference(drawn(settings, pipelines=pipelines), _theirs(model, settings, pipeline)) == 0


def test_a_scheduler_for_other_models_is_replaced_and_said(model: Tiny, pictures: dict[str, Path]) -> None:
    settings = _asked(model, "text-to-image", pictures)
    other = prepared(structs.replace(settings, scheduler="DPM++ 2M Karras"))
    assert "FlowMatchEuler" in type(other.pipeline.scheduler).__name__
    assert any("DPM++ 2M Karras" in note and "Euler" in note for note in other.notes)
    assert not any("scheduler" in note.casefold() for note in prepared(settings).notes)


def test_a_negative_prompt_that_is_not_read_is_said(model: Tiny, pictures: dict[str, Path]) -> None:
    notes = prepared(_asked(model, "text-to-image", pictures)).notes
    assert any("negative prompt" in note for note in notes) == ("negative_prompt" in FAMILIES[model.family].without)


def test_a_variation_and_a_prompt_that_changes(model: Tiny, pictures: dict[str, Path]) -> None:
    pipelines = Pipelines()
    asked = structs.replace(_asked(model, "text-to-image", pictures), steps=2)

    def made(**other: Any) -> Image.Image:
        return drawn(structs.replace(asked, **other), pipelines=pipelines)

    assert difference(made(variation_seed=8, variation_strength=1.0), made(seed=8)) <= 1
    one, two, changed = (made(prompt=prompt) for prompt in ("red house", "a boat", "[red house:a boat:0.5]"))
    assert min(difference(changed, one), difference(changed, two)) > 2


def test_latents_that_are_enlarged_are_two_pipelines_in_a_row(model: Tiny, pictures: dict[str, Path]) -> None:
    """FLUX.1 hands its latents on two by two in a row."""
    asked = _asked(model, "text-to-image", pictures)
    settings = structs.replace(asked, hires_scale=1.5, hires_strength=0.6, upscaler="Latent")
    shared = {"num_inference_steps": asked.steps, "guidance_scale": asked.guidance_scale}
    shared |= {} if model.family == "flux" else {"negative_prompt": asked.negative_prompt}
    first, second = _pipeline(model, asked), _pipeline(model, structs.replace(asked, source="anything"))
    seed = torch.Generator("cpu").manual_seed
    latents = first(
        asked.prompt, **shared, width=96, height=64, generator=seed(asked.seed or 0), output_type="latent"
    ).images
    if model.family == "flux":
        latents = first._unpack_latents(latents, 64, 96, first.vae_scale_factor)
    large = torch.nn.functional.interpolate(latents, scale_factor=1.5, mode="bilinear")
    theirs = second(
        asked.prompt, **shared, image=large, strength=0.6, width=144, height=96, generator=seed(asked.seed or 0)
    ).images[0]
    assert difference(drawn(settings), theirs) == 0


def test_what_is_foreseen_last_is_what_comes(model: Tiny, pictures: dict[str, Path]) -> None:
    settings = _asked(model, "text-to-image", pictures)
    seen = foreseen(settings)
    assert [each.shape for each in seen] == [(1, 16, 8, 12)] * settings.steps
    pipelines = Pipelines()
    ready = prepared(settings, pipelines=pipelines)
    preview = decoded(ready.pipeline, pipelines.preview_decoder, seen[-1])
    assert difference(preview, drawn(settings, pipelines=pipelines)) <= 1


def test_stable_diffusion_3_without_the_large_text_encoder(shared_home: Path, tmp_path: Path) -> None:
    model = Tiny("sd3", write_tiny_sd3(tmp_path / "sd3", with_t5=False), "StableDiffusion3")
    settings = structs.replace(PLAIN, model=str(model.folder))
    pipeline = _pipeline(model, settings, text_encoder_3=None, tokenizer_3=None)
    assert difference(drawn(settings), _theirs(model, settings, pipeline)) == 0


@torch.no_grad()
def test_flux_that_takes_no_guidance(shared_home: Path, tmp_path: Path) -> None:
    model = Tiny("flux", write_tiny_flux(tmp_path / "schnell", guided=False), "Flux")
    settings = structs.replace(PLAIN, model=str(model.folder))
    assert difference(drawn(settings), _theirs(model, settings)) == 0
    component = Component("transformer", "FluxTransformer2DModel", model.folder / "transformer")
    (graph,) = graphs_of(component, torch.Tensor.clone).values()
    openvino.save_model(graph, tmp_path / "transformer.xml", compress_to_fp16=False)
    shell = make_denoiser(component, Graph(tmp_path / "transformer.xml", "fp32"))
    torch.manual_seed(5)
    places = torch.cartesian_prod(torch.zeros(1), torch.arange(4.0), torch.arange(6.0))
    seen = {
        "hidden_states": torch.randn(2, 24, 64),
        "encoder_hidden_states": torch.randn(2, 16, 4096) * 0.1,
        "pooled_projections": torch.randn(2, 768),
        "timestep": torch.tensor([0.7, 0.7]),
        "img_ids": places,
        "txt_ids": torch.zeros(16, 3),
    }
    ours, theirs = shell(**seen).sample, load(component)(**seen).sample
    assert float((ours - theirs).abs().max()) < 1e-4 < float(theirs.abs().max())


LAYERS = {
    "flux": (
        "transformer_blocks.1.attn.to_q",
        "transformer_blocks.0.attn.add_k_proj",
        "single_transformer_blocks.1.proj_mlp",
    ),
    "sd3": (
        "transformer_blocks.1.attn.to_q",
        "transformer_blocks.0.attn.add_k_proj",
        "transformer_blocks.0.attn2.to_v",
    ),
}


def _lora(layers: dict[str, torch.nn.Linear], file: Path) -> dict[str, torch.Tensor]:
    """A LoRA file with PEFT's names, and the change that it stands for, by layer."""
    noise = torch.Generator().manual_seed(3)
    tensors: dict[str, torch.Tensor] = {}
    for path, layer in layers.items():
        tensors[f"transformer.{path}.lora_A.weight"] = torch.randn(4, layer.in_features, generator=noise) * 0.3
        tensors[f"transformer.{path}.lora_B.weight"] = torch.randn(layer.out_features, 4, generator=noise) * 0.3
    save_file(tensors, file)
    return {
        path: tensors[f"transformer.{path}.lora_B.weight"] @ tensors[f"transformer.{path}.lora_A.weight"]
        for path in layers
    }


@pytest.mark.parametrize("backend", LEVELS)
def test_a_lora_is_its_change_of_the_weights(
    model: Tiny, backend: str, tmp_path: Path, pictures: dict[str, Path], kept: dict[tuple[str, Path], Pipelines]
) -> None:
    asked = _asked(model, "text-to-image", pictures)
    pipeline = _pipeline(model, asked)
    layers = {path: pipeline.transformer.get_submodule(path) for path in LAYERS[model.family]}
    file = tmp_path / "style 样.safetensors"
    with torch.no_grad():
        for path, change in _lora(layers, file).items():
            layers[path].weight += 0.8 * change
    theirs = _theirs(model, asked, pipeline)
    pipelines = kept.setdefault((backend, model.folder), Pipelines())
    plain = drawn(asked, backend, "fp32", pipelines)
    ours = drawn(structs.replace(asked, loras=(LoraUse(name=str(file), weight=0.8),)), backend, "fp32", pipelines)
    assert difference(ours, plain) > 8
    assert difference(ours, theirs) <= max(1, LEVELS[backend])
    assert drawn(asked, backend, "fp32", pipelines).tobytes() == plain.tobytes()


KOHYA = {
    "double_blocks_1_img_attn_qkv": [f"transformer_blocks.1.attn.to_{each}" for each in "qkv"],
    "single_blocks_0_linear1": [
        *(f"single_transformer_blocks.0.attn.to_{each}" for each in "qkv"),
        "single_transformer_blocks.0.proj_mlp",
    ],
    "double_blocks_0_txt_mlp_0": ["transformer_blocks.0.ff_context.net.0.proj"],
}
"""What FLUX.1's original code holds as one, and kohya's names for it."""


@torch.no_grad()
def _fused_lora(transformer: Any, file: Path, weight: float) -> None:
    """Write a LoRA with kohya's names and change the weights as it would the fused ones."""
    noise = torch.Generator().manual_seed(4)
    tensors: dict[str, torch.Tensor] = {}
    for name, paths in KOHYA.items():
        weights = [transformer.get_submodule(path).weight for path in paths]
        whole = torch.cat(weights)
        down, up = (torch.randn(shape, generator=noise) * 0.3 for shape in ((4, whole.shape[1]), (len(whole), 4)))
        tensors |= {f"lora_unet_{name}.lora_down.weight": down, f"lora_unet_{name}.lora_up.weight": up}
        tensors[f"lora_unet_{name}.alpha"] = torch.tensor(2.0)
        changed = torch.add(whole, up @ down, alpha=2.0 / 4 * weight)
        for each, new in zip(weights, changed.split([len(each) for each in weights]), strict=True):
            each.copy_(new)
    save_file(tensors, file)


@pytest.mark.parametrize("model", ["flux"], indirect=True)
@pytest.mark.parametrize("backend", LEVELS)
def test_a_lora_of_fused_layers(
    model: Tiny, backend: str, tmp_path: Path, pictures: dict[str, Path], kept: dict[tuple[str, Path], Pipelines]
) -> None:
    asked = _asked(model, "text-to-image", pictures)
    pipeline, file = _pipeline(model, asked), tmp_path / "kohya.safetensors"
    _fused_lora(pipeline.transformer, file, 0.8)
    theirs = _theirs(model, asked, pipeline)
    pipelines = kept.setdefault((backend, model.folder), Pipelines())
    ours = drawn(structs.replace(asked, loras=(LoraUse(name=str(file), weight=0.8),)), backend, "fp32", pipelines)
    assert difference(ours, theirs) <= LEVELS[backend]
    assert difference(ours, drawn(asked, backend, "fp32", pipelines)) > 8


def test_a_lora_of_another_family_is_refused(model: Tiny, tmp_path: Path, pictures: dict[str, Path]) -> None:
    asked = _asked(model, "text-to-image", pictures)
    noise = {"down": torch.ones(2, 32), "up": torch.ones(32, 2)}
    others = {
        "sd3": "transformer.single_transformer_blocks.0.attn.to_q",
        "flux": "transformer.joint_blocks.0.attn.to_q",
    }
    for name, why in (
        (others[model.family], "was made for"),
        ("lora_unet_mid_block_attentions_0_x_attn2_to_k", "made for"),
    ):
        file = tmp_path / "style.safetensors"
        save_file({f"{name}.lora_{role}.weight": tensor for role, tensor in noise.items()}, file)
        with pytest.raises(BadInput, match=why):
            drawn(structs.replace(asked, loras=(LoraUse(name=str(file)),)))
