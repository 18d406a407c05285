"""Every task and conditioning against diffusers' own pipeline for it, called as a person with diffusers would."""

import json
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from diffusers import ControlNetModel
from msgspec import structs
from PIL import Image
from safetensors.torch import load_file, save_file

from engine.library import index
from engine.pipelines import Pipelines
from engine.settings import ControlUse, GenerateSettings
from engine.tasks.masks import part
from tests.drawing import difference, drawn
from tests.reference.conftest import Agree, Cell
from tests.tiny_controlnet import write_tiny_controlnet
from tests.tiny_model import write_tiny_model
from tests.tiny_xl import write_tiny_xl

SIZE = (96, 64)
PLAIN = GenerateSettings(
    prompt="a red house", negative_prompt="blue", seed=7, steps=5, guidance_scale=5.0, width=96, height=64, strength=0.7
)
LEVELS = {"torch": 0, "openvino": 1}
"""Of 255. torch runs the same code on the same numbers; OpenVINO adds up float32 in another order."""
CONTROLS = {"": (), "one net": (0.8,), "two nets": (0.8, 0.4)}
TASKS = ("text-to-image", "image-to-image", "inpaint")


@pytest.fixture(scope="module", params=["sd1", "sd2", "sdxl"])
def model(request: pytest.FixtureRequest, tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model of the family."""
    if request.param == "sd1":
        return tiny_model
    folder = tmp_path_factory.mktemp(request.param)
    return write_tiny_xl(folder) if request.param == "sdxl" else write_tiny_model(folder, request.param)


@pytest.fixture(scope="module")
def nets(model: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("nets")
    return [write_tiny_controlnet(model, folder / f"net {seed} 控制", seed) for seed in (2, 3)]


@pytest.fixture(scope="module")
def kept() -> dict[tuple[str, Path], Pipelines]:
    """The loaded model of each backend."""
    return {}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A source, a mask and two control pictures of the size that is drawn."""
    folder = tmp_path_factory.mktemp("pictures 图")
    noise = np.random.default_rng(1)
    made = {
        "source": Image.fromarray(noise.integers(0, 256, (8, 12, 3), np.uint8)).resize(SIZE, Image.Resampling.BICUBIC),
        "mask": Image.fromarray(np.pad(np.full((32, 40), 255, np.uint8), ((16, 16), (24, 32)))),
        "control 0": Image.fromarray(255 * (noise.random((64, 96, 1)) > 0.9).repeat(3, 2).astype(np.uint8)),
        "control 1": Image.fromarray(255 * (noise.random((64, 96, 1)) > 0.7).repeat(3, 2).astype(np.uint8)),
    }
    for name, image in made.items():
        image.save(folder / f"{name}.png")
    return {name: folder / f"{name}.png" for name in made}


def _asked(
    task: str, pictures: dict[str, Path], model: Path, nets: list[Path], weights: tuple[float, ...]
) -> GenerateSettings:
    given = {"image-to-image": ("source",), "inpaint": ("source", "mask")}.get(task, ())
    controls = tuple(
        ControlUse(kind="none", image=str(pictures[f"control {place}"]), net=str(nets[place]), weight=weight, end=0.8)
        for place, weight in enumerate(weights)
    )
    paths = {name: str(pictures[name]) for name in given}
    return structs.replace(PLAIN, model=str(model), controls=controls, **paths)


def _theirs(settings: GenerateSettings, nets: list[Path]) -> Image.Image:
    """By diffusers' Auto pipelines, with the scheduler that the settings name."""
    family = "StableDiffusionXL" if (Path(settings.model) / "text_encoder_2").exists() else "StableDiffusion"
    task = {"text-to-image": "", "image-to-image": "Img2Img", "inpaint": "Inpaint"}[settings.task]
    count = len(settings.controls)
    kind = getattr(diffusers, f"{family}{'ControlNet' if count else ''}{task}Pipeline")
    own: dict[str, Any] = {}
    if count:
        loaded = [
            ControlNetModel.from_pretrained(net, local_files_only=True, torch_dtype=torch.float32)
            for net in nets[:count]
        ]
        own["controlnet"] = loaded[0] if count == 1 else loaded
    pipeline = kind.from_pretrained(settings.model, local_files_only=True, torch_dtype=torch.float32, **own)
    pipeline.set_progress_bar_config(disable=True)
    pipeline.scheduler = diffusers.DPMSolverMultistepScheduler.from_config(
        pipeline.scheduler.config, algorithm_type="dpmsolver++", solver_order=2, timestep_spacing="trailing"
    )
    arguments: dict[str, Any] = {}
    if settings.task != "image-to-image":
        arguments |= {"width": settings.width, "height": settings.height}
    if settings.source:
        arguments |= {"image": Image.open(settings.source), "strength": settings.strength}
    if settings.mask:
        arguments["mask_image"] = Image.open(settings.mask)
    if count:
        images = [Image.open(each.image) for each in settings.controls]
        arguments["control_image" if settings.source else "image"] = images if count > 1 else images[0]
        weights = [each.weight for each in settings.controls]
        arguments |= {
            "controlnet_conditioning_scale": weights if count > 1 else weights[0],
            "control_guidance_end": 0.8,
        }
    return pipeline(
        prompt=settings.prompt,
        negative_prompt=settings.negative_prompt,
        num_inference_steps=settings.steps,
        guidance_scale=settings.guidance_scale,
        generator=torch.Generator("cpu").manual_seed(settings.seed or 0),
        **arguments,
    ).images[0]


def _family(model: Path) -> str:
    return index.find(str(model)).family


@pytest.mark.parametrize("backend", LEVELS)
@pytest.mark.parity(controls=["one net"])
@pytest.mark.parametrize("controls", CONTROLS)
@pytest.mark.parametrize("task", TASKS)
def test_a_task_is_diffusers_own(
    task: str,
    controls: str,
    backend: str,
    model: Path,
    nets: list[Path],
    pictures: dict[str, Path],
    kept: dict[tuple[str, Path], Pipelines],
    agree: Agree,
) -> None:
    settings = _asked(task, pictures, model, nets, CONTROLS[controls])
    ours = drawn(settings, backend, "fp32", kept.setdefault((backend, model), Pipelines()))
    theirs = _theirs(settings, nets)
    if task == "inpaint":  # theirs is the drawn part; ours is put into the source
        source, mask = Image.open(pictures["source"]), Image.open(pictures["mask"])
        theirs = part(source, mask, SIZE, padding=None, feather=settings.mask_feather).back(theirs)
        outside = np.asarray(mask) == 0
        assert np.array_equal(np.asarray(ours)[outside], np.asarray(source)[outside])
    agree(ours, theirs, Cell(_family(model), task, controls or "prompt", backend, "fp32"))


@pytest.mark.parity(precision=["int8"])
@pytest.mark.parametrize("precision", ["bf16", "int8"])
def test_fewer_bits_are_near(precision: str, model: Path, agree: Agree) -> None:
    settings = structs.replace(PLAIN, model=str(model))
    ours = drawn(settings, "openvino", precision)
    agree(ours, _theirs(settings, []), Cell(_family(model), "text-to-image", "prompt", "openvino", precision))


@pytest.mark.parametrize("backend", LEVELS)
def test_a_consistency_model_is_told_its_guidance(
    backend: str, tmp_path_factory: pytest.TempPathFactory, agree: Agree
) -> None:
    """One that reads the guidance scale as an input; the prompt changes on the way, which must not make two of it."""
    model = write_tiny_model(tmp_path_factory.mktemp("lcm"), "sd1-lcm")
    settings = structs.replace(PLAIN, model=str(model), guidance_scale=8.0)
    pipelines = Pipelines()
    ours = drawn(settings, backend, "fp32", pipelines)
    agree(ours, _theirs(settings, []), Cell("sd1", "text-to-image", "consistency model", backend, "fp32"))
    weaker = structs.replace(settings, guidance_scale=2.0, prompt="[a red house:a cat:0.5]")
    assert difference(drawn(weaker, backend, "fp32", pipelines), ours) > 0


@pytest.mark.parametrize("backend", LEVELS)
def test_an_inpainting_model_is_diffusers_own(
    backend: str, pictures: dict[str, Path], tmp_path_factory: pytest.TempPathFactory, agree: Agree
) -> None:
    """One with nine channels, which sees the mask and what is around it."""
    model = write_tiny_model(tmp_path_factory.mktemp("nine"), "sd1-inpaint")
    settings = _asked("inpaint", pictures, model, [], ())
    source, mask = Image.open(pictures["source"]), Image.open(pictures["mask"])
    back = part(source, mask, SIZE, padding=None, feather=settings.mask_feather).back
    agree(
        drawn(settings, backend), back(_theirs(settings, [])), Cell("sd1", "inpaint", "nine channels", backend, "fp32")
    )


def test_a_control_changes_the_picture(model: Path, nets: list[Path], pictures: dict[str, Path]) -> None:
    pipelines = Pipelines()
    plain, steered = (
        drawn(_asked("text-to-image", pictures, model, nets, weights), pipelines=pipelines) for weights in ((), (0.8,))
    )
    assert difference(plain, steered) > 8


@pytest.mark.parametrize("backend", LEVELS)
def test_an_embedding_is_diffusers_own(
    model: Path, backend: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two vectors, in both prompts, one of them beside other words."""
    monkeypatch.setattr("engine.paths.adapters", lambda kind: (tmp_path / kind, tmp_path / "none"))
    (tmp_path / "embeddings").mkdir()
    noise = torch.Generator().manual_seed(9)
    two = (model / "text_encoder_2").exists()
    own = json.loads((model / "text_encoder" / "config.json").read_text())["hidden_size"]
    widths = {"clip_l": 768, "clip_g": 1280} if two else {"emb_params": own}
    file = tmp_path / "embeddings" / "Easel-Word.safetensors"
    save_file({name: torch.randn(2, width, generator=noise) for name, width in widths.items()}, file)
    settings = structs.replace(PLAIN, model=str(model), prompt="a easel-word house", negative_prompt="easel-word")
    ours = drawn(settings, backend)
    kind = diffusers.StableDiffusionXLPipeline if two else diffusers.StableDiffusionPipeline
    pipeline: Any = kind.from_pretrained(model, local_files_only=True, torch_dtype=torch.float32)
    if two:  # whose end token transformers takes for the highest id, which the new words' now are
        pipeline.text_encoder_2.text_model.eos_token_id = 513
    for name, place in zip(widths, ("text_encoder", "text_encoder_2"), strict=False):
        vectors = load_file(file)[name]
        tokenizer = getattr(pipeline, place.replace("text_encoder", "tokenizer"))
        pipeline.load_textual_inversion(
            {"easel-word": vectors}, "easel-word", text_encoder=getattr(pipeline, place), tokenizer=tokenizer
        )
    pipeline.set_progress_bar_config(disable=True)
    pipeline.scheduler = diffusers.DPMSolverMultistepScheduler.from_config(
        pipeline.scheduler.config, algorithm_type="dpmsolver++", solver_order=2, timestep_spacing="trailing"
    )
    theirs = pipeline(
        prompt=settings.prompt,
        negative_prompt=settings.negative_prompt,
        num_inference_steps=settings.steps,
        guidance_scale=settings.guidance_scale,
        width=96,
        height=64,
        generator=torch.Generator("cpu").manual_seed(7),
    ).images[0]
    assert difference(ours, theirs) <= LEVELS[backend]


@pytest.mark.parametrize("backend", LEVELS)
def test_drawing_again_larger_is_two_pipelines_in_a_row(model: Path, backend: str) -> None:
    settings = structs.replace(PLAIN, model=str(model), hires_scale=1.5, hires_strength=0.6)
    small = _theirs(structs.replace(settings, hires_scale=1.0), [])
    ours = drawn(settings, backend)
    assert ours.size == (144, 96)
    kind = (
        diffusers.StableDiffusionXLImg2ImgPipeline if "xl" in model.name else diffusers.StableDiffusionImg2ImgPipeline
    )
    pipeline: Any = kind.from_pretrained(model, local_files_only=True, torch_dtype=torch.float32)
    pipeline.set_progress_bar_config(disable=True)
    pipeline.scheduler = diffusers.DPMSolverMultistepScheduler.from_config(
        pipeline.scheduler.config, algorithm_type="dpmsolver++", solver_order=2, timestep_spacing="trailing"
    )
    theirs = pipeline(
        prompt=settings.prompt,
        negative_prompt=settings.negative_prompt,
        image=small.resize((144, 96), Image.Resampling.LANCZOS),
        strength=0.6,
        num_inference_steps=settings.steps,
        guidance_scale=settings.guidance_scale,
        generator=torch.Generator("cpu").manual_seed(7),
    ).images[0]
    assert difference(ours, theirs) <= 3 * LEVELS[backend]


def test_nothing_may_change_and_all_may_change(model: Path, pictures: dict[str, Path]) -> None:
    source = Image.open(pictures["source"]).convert("RGB")
    asked = structs.replace(PLAIN, model=str(model), source=str(pictures["source"]))
    pipelines = Pipelines()
    kept, changed = (drawn(structs.replace(asked, strength=strength), pipelines=pipelines) for strength in (0.0, 1.0))
    assert kept.tobytes() == source.tobytes()
    assert difference(changed, source) > 8


@pytest.mark.parametrize("backend", LEVELS)
def test_a_variation_lies_between_two_seeds(tiny_model: Path, backend: str) -> None:
    pipelines = Pipelines()
    asked = structs.replace(PLAIN, model=str(tiny_model), scheduler="DDIM")
    one, two = (drawn(structs.replace(asked, seed=seed), backend, "fp32", pipelines) for seed in (7, 8))
    between = [
        drawn(structs.replace(asked, variation_seed=8, variation_strength=share), backend, "fp32", pipelines)
        for share in (0.0, 0.1, 0.3, 1.0)
    ]
    assert between[0].tobytes() == one.tobytes()
    assert difference(between[3], two) <= 1
    apart = [np.abs(np.asarray(each, np.float32) - np.asarray(one, np.float32)).mean() for each in between]
    assert apart[0] == 0 < apart[1] < apart[2] < apart[3]


def test_a_variation_of_a_source_lies_between_two_seeds(tiny_model: Path, pictures: dict[str, Path]) -> None:
    """Whatever is drawn from it; the source is in the latents once, so two seeds have two samples of it."""
    pipelines = Pipelines()
    asked = structs.replace(PLAIN, model=str(tiny_model), scheduler="DDIM", source=str(pictures["source"]))
    for task in ({}, {"mask": str(pictures["mask"])}, {"upscale_factor": 2.0, "width": 192, "height": 128}):
        settings = structs.replace(asked, variation_seed=8, **task)
        plain, *varied = (
            np.asarray(drawn(structs.replace(settings, variation_strength=share), pipelines=pipelines), np.float32)
            for share in (0.0, 0.1, 1.0)
        )
        apart = [np.abs(each - plain).mean() for each in varied]
        assert 0 < apart[0] < apart[1]


@pytest.mark.parametrize("backend", LEVELS)
def test_latents_that_are_enlarged_are_two_pipelines_in_a_row(model: Path, backend: str) -> None:
    """A1111's hires fix by “Latent”: the first one's latents, four weighed for each, are the second one's picture."""
    settings = structs.replace(PLAIN, model=str(model), hires_scale=1.5, hires_strength=0.6, upscaler="latent")
    ours = drawn(settings, backend)
    family = "StableDiffusionXL" if "xl" in model.name else "StableDiffusion"
    made: Any = None
    runs: dict[str, dict[str, Any]] = {
        "Pipeline": {"width": 96, "height": 64, "output_type": "latent"},
        "Img2ImgPipeline": {"strength": 0.6},
    }
    for kind, own in runs.items():
        whole: Any = getattr(diffusers, family + kind)
        pipeline = whole.from_pretrained(model, local_files_only=True, torch_dtype=torch.float32)
        pipeline.set_progress_bar_config(disable=True)
        pipeline.scheduler = diffusers.DPMSolverMultistepScheduler.from_config(
            pipeline.scheduler.config, algorithm_type="dpmsolver++", solver_order=2, timestep_spacing="trailing"
        )
        if made is not None:
            own["image"] = torch.nn.functional.interpolate(made, size=(12, 18), mode="bilinear", antialias=False)
        made = pipeline(
            prompt=settings.prompt,
            negative_prompt=settings.negative_prompt,
            num_inference_steps=settings.steps,
            guidance_scale=settings.guidance_scale,
            generator=torch.Generator("cpu").manual_seed(7),
            **own,
        ).images
    assert ours.size == (144, 96)
    assert difference(ours, made[0]) <= 3 * LEVELS[backend]
    assert difference(ours, drawn(structs.replace(settings, upscaler="Lanczos"), backend)) > 8
