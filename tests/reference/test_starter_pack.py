"""The parts of the starter pack do what they are for, in the plain diffusers pipelines that others use."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import (
    ControlNetModel,
    DPMSolverMultistepScheduler,
    LCMScheduler,
    StableDiffusionControlNetPipeline,
    StableDiffusionInpaintPipeline,
    StableDiffusionPipeline,
)
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file

from engine.formats.lora_keys import modules_by_kohya_name
from engine.paths import STARTER
from resources.starter_recipe.controlnet import drawn_lines
from resources.starter_recipe.drawing import draw
from resources.starter_recipe.lines import agreement, lines
from resources.starter_recipe.lora import merged
from resources.starter_recipe.pack import CONTROLNET, EMBEDDING, FEW_STEPS, PREVIEW, STYLE, write_single_file
from resources.starter_recipe.world import Scene

PACK = STARTER.parent


@pytest.fixture
def pipeline() -> StableDiffusionPipeline:
    """The base model as diffusers loads it, in float32."""
    made = StableDiffusionPipeline.from_pretrained(STARTER, local_files_only=True, torch_dtype=torch.float32)
    made.set_progress_bar_config(disable=True)
    made.scheduler = DPMSolverMultistepScheduler.from_config(
        made.scheduler.config, algorithm_type="dpmsolver++", timestep_spacing="trailing"
    )
    return made


def pictures(pipeline, prompts: list[str], steps: int = 12, guidance: float = 6.0, **settings) -> np.ndarray:
    """Pictures in 0 to 1, float [n, h, w, 3], from seeds 0, 1, 2, …"""
    noise = [torch.Generator().manual_seed(seed) for seed in range(len(prompts))]
    settings = {"width": 128, "height": 128} | settings
    return pipeline(
        prompts, num_inference_steps=steps, guidance_scale=guidance, generator=noise, output_type="np", **settings
    ).images


def test_the_pack_is_small() -> None:
    size = sum(path.stat().st_size for path in PACK.rglob("*.safetensors"))
    assert size <= 80e6


def test_the_lora_files_name_modules_of_the_model(pipeline: StableDiffusionPipeline) -> None:
    known = modules_by_kohya_name({"unet": dict(pipeline.unet.named_modules())})
    for file in (STYLE, FEW_STEPS):
        with safe_open(PACK / file, "pt") as opened:
            names = {name.split(".", 1)[0] for name in opened.keys()}  # noqa: SIM118  not a dict
        assert names
        assert names <= set(known)


def test_the_style_lora_makes_old_prints(pipeline: StableDiffusionPipeline) -> None:
    """Brown has more red than green and more green than blue, a day at sea has not."""
    prompts = ["a green house on a meadow by day", "a blue car in the snow by day", "a pink cat at sea by day"]
    brown: dict[float, float] = {}
    for weight in (0.0, 1.0):
        with merged(pipeline.unet, PACK / STYLE, weight):
            red, green, blue = pictures(pipeline, prompts).reshape(-1, 3).T
            brown[weight] = float(((red > green) & (green > blue)).mean())
    assert brown[0.0] < 0.4 < 0.6 < brown[1.0]


def test_a_merged_lora_leaves_no_trace(pipeline: StableDiffusionPipeline) -> None:
    before = {name: weights.clone() for name, weights in pipeline.unet.named_parameters()}
    with merged(pipeline.unet, PACK / STYLE, 1.0):
        changed = [name for name, weights in pipeline.unet.named_parameters() if not torch.equal(weights, before[name])]
    assert changed
    assert all(torch.equal(weights, before[name]) for name, weights in pipeline.unet.named_parameters())


def test_four_steps_are_enough_with_the_few_step_lora(pipeline: StableDiffusionPipeline) -> None:
    prompts = ["a red balloon on a meadow by day", "a green balloon on a meadow by day", "a blue balloon at sea by day"]
    pipeline.scheduler = LCMScheduler.from_config(pipeline.scheduler.config)
    with merged(pipeline.unet, PACK / FEW_STEPS, 1.0):
        made = pictures(pipeline, prompts, steps=4, guidance=1.0)
    for number, picture in enumerate(made):
        colourful = picture[10:80].reshape(-1, 3)
        strongest = colourful[(colourful.max(1) - colourful.min(1)).argsort()[-600:]]
        assert int(np.argmax(strongest.mean(0))) == number, prompts[number]


def test_the_embedding_brings_its_colour(pipeline: StableDiffusionPipeline) -> None:
    prompts = ["an easel-teal balloon in the desert at sunset", "an easel-teal house in the desert at sunset"]
    pipeline.load_textual_inversion(PACK / EMBEDDING, token="easel-teal", local_files_only=True)
    made = pictures(pipeline, [pipeline.maybe_convert_prompt(prompt, pipeline.tokenizer) for prompt in prompts])
    for picture in made:
        red, green, blue = picture[20:110, 20:108].reshape(-1, 3).T
        teal = (green > red + 0.15) & (blue > red + 0.15) & (np.abs(green - blue) < 0.25)
        assert teal.mean() > 0.05


def test_both_forms_of_the_embedding_hold_the_same() -> None:
    a1111 = load_file(PACK / EMBEDDING)["emb_params"]
    diffusers = load_file(PACK / EMBEDDING.replace(".safetensors", ".diffusers.safetensors"))["easel-teal"]
    assert a1111.shape[1] == 768
    assert torch.equal(a1111, diffusers)


def test_the_controlnet_draws_along_the_lines(pipeline: StableDiffusionPipeline) -> None:
    net = ControlNetModel.from_pretrained(PACK / CONTROLNET, local_files_only=True, torch_dtype=torch.float32)
    guided = StableDiffusionControlNetPipeline.from_pipe(pipeline, controlnet=net)
    asked = [Scene("house", "red"), Scene("cat", "blue", place="snow"), Scene("car", "yellow", place="desert")]
    drawn = np.stack([draw(scene, 70 + number) for number, scene in enumerate(asked)])
    control = drawn_lines(drawn, list(range(len(asked))))
    prompts = ["a red house on a meadow by day", "a blue cat in the snow by day", "a yellow car in the desert by day"]
    agreements: dict[float, float] = {}
    for weight in (0.0, 1.0):
        made = pictures(guided, prompts, image=list(control), controlnet_conditioning_scale=weight)
        found = lines(torch.from_numpy(made).permute(0, 3, 1, 2))
        agreements[weight] = float(agreement(found, control[:, :1]).mean())
    assert agreements[1.0] > agreements[0.0] + 0.2


def test_the_base_model_fills_a_mask(pipeline: StableDiffusionPipeline) -> None:
    source = Image.fromarray(draw(Scene("tree", "green", place="snow"), 4))
    mask = Image.new("L", source.size)
    mask.paste(255, (24, 16, 112, 120))
    filling = StableDiffusionInpaintPipeline.from_pipe(pipeline)
    made = pictures(filling, ["a red house in the snow by day"], image=source, mask_image=mask, strength=1.0)[0]
    red, green, _ = made[16:120, 24:112].reshape(-1, 3).T
    before = np.asarray(source)[16:120, 24:112].reshape(-1, 3).T / 255
    assert (red > green + 0.25).mean() > 0.08 > (before[0] > before[1] + 0.25).mean()


def test_the_preview_decoder_shows_what_the_full_one_does(pipeline: StableDiffusionPipeline) -> None:
    from diffusers import AutoencoderTiny

    tiny = AutoencoderTiny.from_pretrained(PACK / PREVIEW, local_files_only=True, torch_dtype=torch.float32)
    pixels = torch.from_numpy(draw(Scene("balloon", "red"), 9)).permute(2, 0, 1)[None].float() / 127.5 - 1
    with torch.no_grad():
        scaled = pipeline.vae.encode(pixels).latent_dist.mode() * pipeline.vae.config.scaling_factor
        full = pipeline.vae.decode(scaled / pipeline.vae.config.scaling_factor).sample
        preview = tiny.decode(scaled).sample
    assert (full - preview).abs().mean() < 0.12


def test_the_single_file_is_one_of_stable_diffusion(tmp_path: Path) -> None:
    target = tmp_path / "easel-starter.safetensors"
    write_single_file(PACK, target)
    with safe_open(target, "pt") as opened:
        names = set(opened.keys())
        first = opened.get_tensor("model.diffusion_model.input_blocks.0.0.weight")
    assert {name.split(".", 1)[0] for name in names} == {"model", "first_stage_model", "cond_stage_model"}
    assert first.shape[1] == json.loads((STARTER / "unet" / "config.json").read_text("utf-8"))["in_channels"] == 4
