"""Guidance, FreeU, seamless pictures and other autoencoders against plain diffusers, as its documentation has them."""

import json
import shutil
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL, ControlNetModel
from msgspec import structs
from PIL import Image

from engine.errors import BadInput
from engine.pipelines import Pipelines
from engine.settings import ControlUse, GenerateSettings
from engine.tasks.stages import Redrawing
from engine.uses import RegionUse
from tests.drawing import difference, drawn, family_of, prepared
from tests.reference.conftest import Agree, Cell
from tests.tiny_controlnet import write_tiny_controlnet
from tests.tiny_xl import write_tiny_xl

PLAIN = GenerateSettings(
    prompt="a red house", negative_prompt="blue", seed=7, steps=5, guidance_scale=6.0, width=96, height=64,
    strength=0.7, scheduler="DDIM",
)  # fmt: skip
LEVELS = {"torch": 0, "openvino": 1}
"""Of 255. torch runs the same code on the same numbers; OpenVINO adds up float32 in another order."""


@pytest.fixture(scope="module")
def xl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_xl(tmp_path_factory.mktemp("xl"))


@pytest.fixture(scope="module", params=["sd1 torch", "xl torch", "sd1 openvino"])
def case(request: pytest.FixtureRequest, tiny_model: Path, xl: Path) -> tuple[Path, str]:
    """A tiny model of the family, and what draws; XL on OpenVINO has a test of its own."""
    family, backend = request.param.split()
    return xl if family == "xl" else tiny_model, backend


@pytest.fixture(scope="module")
def model(case: tuple[Path, str]) -> Path:
    return case[0]


@pytest.fixture(scope="module")
def backend(case: tuple[Path, str]) -> str:
    return case[1]


@pytest.fixture(scope="module")
def pipelines(case: tuple[Path, str]) -> Pipelines:
    return Pipelines()


def _theirs(model: Path, kind: str = "", **options: Any) -> Any:
    """diffusers' own pipeline, with the scheduler of the settings."""
    family = "StableDiffusionXL" if (model / "text_encoder_2").exists() else "StableDiffusion"
    pipeline: Any = getattr(diffusers, f"{family}{kind}Pipeline").from_pretrained(
        model, local_files_only=True, torch_dtype=torch.float32, **options
    )
    pipeline.set_progress_bar_config(disable=True)
    pipeline.unet.requires_grad_(False)  # with gradients torch takes other kernels at small sizes, and other last bits
    pipeline.scheduler = diffusers.DDIMScheduler.from_config(pipeline.scheduler.config)
    return pipeline


def _run(pipeline: Any, settings: GenerateSettings, **more: Any) -> Image.Image:
    size = {} if "image" in more else {"width": settings.width, "height": settings.height}
    return pipeline(
        prompt=settings.prompt,
        negative_prompt=settings.negative_prompt,
        num_inference_steps=settings.steps,
        guidance_scale=settings.guidance_scale,
        generator=torch.Generator("cpu").manual_seed(settings.seed or 0),
        **size,
        **more,
    ).images[0]


def _asked(model: Path, **more: Any) -> GenerateSettings:
    return structs.replace(PLAIN, model=str(model), **more)


def _same(asked: GenerateSettings, theirs: Image.Image, cell: Cell, pipelines: Pipelines, agree: Agree) -> None:
    """As theirs is, and not by chance: without what was asked for it is another picture."""
    backend = cell.backend
    ours = drawn(asked, backend, "fp32", pipelines)
    agree(ours, theirs, cell)
    assert difference(drawn(_asked(Path(asked.model), source=asked.source), backend, "fp32", pipelines), ours) > 4


def _cell(asked: GenerateSettings, what: str, backend: str) -> Cell:
    return Cell(family_of(Path(asked.model)), asked.task, what, backend, "fp32")


def test_guidance_rescale(model: Path, backend: str, pipelines: Pipelines, agree: Agree) -> None:
    asked = _asked(model, guidance_rescale=0.7, guidance_scale=12.0)
    theirs = _run(_theirs(model), asked, guidance_rescale=0.7)
    agree(drawn(asked, backend, "fp32", pipelines), theirs, _cell(asked, "guidance rescale", backend))
    assert difference(drawn(structs.replace(asked, guidance_rescale=0.0), backend, "fp32", pipelines), theirs) > 4


@pytest.mark.parametrize("scale", [6.0, 1.0])
def test_perturbed_attention_guidance(
    scale: float, model: Path, backend: str, pipelines: Pipelines, agree: Agree
) -> None:
    asked = _asked(model, pag_scale=3.0, guidance_scale=scale, guidance_rescale=0.5)
    theirs = _run(_theirs(model, "PAG", pag_applied_layers=["mid"]), asked, pag_scale=3.0, guidance_rescale=0.5)
    _same(asked, theirs, _cell(asked, f"PAG, guidance {scale:g}", backend), pipelines, agree)


def test_freeu(model: Path, backend: str, pipelines: Pipelines, agree: Agree) -> None:
    asked = _asked(model, freeu_b1=1.5, freeu_b2=1.6, freeu_s1=0.9, freeu_s2=0.2)
    pipeline = _theirs(model)
    pipeline.enable_freeu(s1=0.9, s2=0.2, b1=1.5, b2=1.6)
    _same(asked, _run(pipeline, asked), _cell(asked, "FreeU", backend), pipelines, agree)


def test_seamless_both_ways(model: Path, backend: str, pipelines: Pipelines, agree: Agree) -> None:
    """The recipe that people know: every convolution of the U-Net and the VAE padded in a circle."""
    asked = _asked(model, seamless="both ways")
    pipeline = _theirs(model)
    for each in (*pipeline.unet.modules(), *pipeline.vae.modules()):
        if isinstance(each, torch.nn.Conv2d):
            each.padding_mode = "circular"
    _same(asked, _run(pipeline, asked), _cell(asked, "seamless", backend), pipelines, agree)


def test_everything_on_openvino_with_xl(xl: Path) -> None:
    asked = _asked(xl, freeu_b1=1.5, freeu_s2=0.2, pag_scale=2.0, guidance_rescale=0.5, seamless="both ways")
    pipelines = Pipelines()
    for each in (asked, _asked(xl)):
        assert difference(drawn(each, "openvino", "fp32", pipelines), drawn(each)) <= LEVELS["openvino"]


@pytest.mark.parametrize("way", ["sideways", "up and down"])
def test_seamless_one_way(way: str, model: Path, backend: str, pipelines: Pipelines) -> None:
    """A picture that is shifted around by whole latents is drawn shifted the same way, along the way that wraps."""
    across = way == "sideways"
    (ours, other), asked = ({}, {}), _asked(model, seamless=way)
    torch.manual_seed(0)
    noise = torch.randn(1, 4, 8, 12)
    for shift in (0, 4):
        for axis, found in ((3 if across else 2, ours), (2 if across else 3, other)):
            found[shift] = np.roll(_from(asked, noise.roll(shift, axis), backend, pipelines), -8 * shift, axis - 2)
    apart = [int(np.abs(each[0] - each[4]).max()) for each in (ours, other)]
    assert apart[0] <= 1 < 4 < apart[1]


def _from(asked: GenerateSettings, latents: torch.Tensor, backend: str, pipelines: Pipelines) -> np.ndarray:
    """The picture from that noise."""
    (stage,) = prepared(asked, backend, "fp32", pipelines).stages
    assert isinstance(stage, Redrawing)
    tokens = stage.words.first
    pooled = {"pooled_prompt_embeds": tokens.positive.pooled, "negative_pooled_prompt_embeds": tokens.negative.pooled}
    image = stage.pipeline(
        prompt_embeds=tokens.positive.tokens, negative_prompt_embeds=tokens.negative.tokens, latents=latents,
        num_inference_steps=2, width=96, height=64, **{key: each for key, each in pooled.items() if each is not None},
    ).images[0]  # fmt: skip
    return np.asarray(image, np.int16)


def test_guidance_in_a_part_of_the_steps(model: Path, backend: str, pipelines: Pipelines, agree: Agree) -> None:
    """In the middle three of five steps; the others are drawn with the prompt alone."""
    asked = _asked(model, guidance_start=0.2, guidance_end=0.8, negative_prompt="")
    pipeline = _theirs(model)
    plain = pipeline.unet.forward
    steps: list[int] = []

    def some(sample: torch.Tensor, timestep: Any, **given: Any) -> Any:
        steps.append(1)
        if 1 < len(steps) < 5:
            return plain(sample, timestep, **given)
        added = {name: each[1:] for name, each in (given["added_cond_kwargs"] or {}).items()}
        words = {"encoder_hidden_states": given["encoder_hidden_states"][1:], "added_cond_kwargs": added}
        return (plain(sample[1:], timestep, return_dict=False, **words)[0].repeat(2, 1, 1, 1),)

    pipeline.unet.forward = some
    _same(asked, _run(pipeline, asked), _cell(asked, "guidance interval", backend), pipelines, agree)


def test_unguided_steps_cost_half(tiny_model: Path) -> None:
    (stage,) = prepared(_asked(tiny_model, guidance_end=0.4)).stages
    assert isinstance(stage, Redrawing)
    seen: list[int] = []
    plain = stage.pipeline.unet.conv_in.forward
    stage.pipeline.unet.conv_in.forward = lambda sample: (seen.append(len(sample)), plain(sample))[1]
    stage.run(None, lambda *_: None)
    assert seen == [2, 2, 1, 1, 1]


@pytest.mark.parametrize("backend", LEVELS)
def test_another_autoencoder(tiny_model: Path, backend: str, tmp_path: Path, agree: Agree) -> None:
    torch.manual_seed(9)
    model, pipelines = tiny_model, Pipelines()
    other = AutoencoderKL.from_config(AutoencoderKL.load_config(model / "vae"))
    folder = tmp_path / "other 解码器"
    other.save_pretrained(folder)
    asked = _asked(model, vae=str(folder))
    pipeline = _theirs(model)
    pipeline.vae = AutoencoderKL.from_pretrained(folder, local_files_only=True)
    plain = drawn(_asked(model), backend, "fp32", pipelines)
    _same(asked, _run(pipeline, asked), _cell(asked, "another VAE", backend), pipelines, agree)
    assert drawn(_asked(model), backend, "fp32", pipelines).tobytes() == plain.tobytes()


def test_an_autoencoder_that_does_not_fit_is_refused(tiny_model: Path, tmp_path: Path) -> None:
    for changed, cause in (({"latent_channels": 16}, "made for other models"), ({"scaling_factor": 0.13}, "made for")):
        folder = tmp_path / next(iter(changed))
        shutil.copytree(tiny_model / "vae", folder)
        config = json.loads((folder / "config.json").read_text("utf-8"))
        (folder / "config.json").write_text(json.dumps(config | changed), "utf-8")
        with pytest.raises(BadInput, match=cause):
            prepared(_asked(tiny_model, vae=str(folder)))
    with pytest.raises(BadInput, match="no VAE named “none”"):
        prepared(_asked(tiny_model, vae="none"))


def test_all_of_it_in_other_tasks_and_gone_again(
    model: Path, backend: str, pipelines: Pipelines, tmp_path: Path, agree: Agree
) -> None:
    source = tmp_path / "source.png"
    noise = np.random.default_rng(1).integers(0, 256, (8, 12, 3), np.uint8)
    Image.fromarray(noise).resize((96, 64), Image.Resampling.BICUBIC).save(source)
    asked = _asked(model, source=str(source), pag_scale=2.0, guidance_rescale=0.6)
    before = drawn(_asked(model, source=str(source)), backend, "fp32", pipelines)
    theirs = _run(
        _theirs(model, "PAGImg2Img", pag_applied_layers=["mid"]), asked,
        image=Image.open(source), strength=0.7, pag_scale=2.0, **_if_taken(model, guidance_rescale=0.6),
    )  # fmt: skip
    if not _if_taken(model, guidance_rescale=0.6):
        asked = structs.replace(asked, guidance_rescale=0.0)
    _same(asked, theirs, _cell(asked, "PAG", backend), pipelines, agree)
    assert drawn(_asked(model, source=str(source)), backend, "fp32", pipelines).tobytes() == before.tobytes()


def _if_taken(model: Path, **arguments: Any) -> dict[str, Any]:
    """Stable Diffusion's image to image with PAG knows no rescale; XL's does."""
    return arguments if (model / "text_encoder_2").exists() else {}


def test_with_a_controlnet(tiny_model: Path, tmp_path: Path) -> None:
    net = write_tiny_controlnet(tiny_model, tmp_path / "net")
    lines = tmp_path / "lines.png"
    Image.fromarray(255 * (np.random.default_rng(1).random((64, 96, 1)) > 0.8).repeat(3, 2).astype(np.uint8)).save(
        lines
    )
    control = ControlUse(kind="none", image=str(lines), net=str(net), weight=0.8, end=0.7)
    asked = _asked(tiny_model, pag_scale=2.0, controls=(control,))
    pipeline = _theirs(
        tiny_model, "ControlNetPAG", pag_applied_layers=["mid"],
        controlnet=ControlNetModel.from_pretrained(net, local_files_only=True).requires_grad_(False),
    )  # fmt: skip
    theirs = _run_with_control(pipeline, asked, Image.open(lines))
    pipelines = Pipelines()
    assert difference(drawn(asked, pipelines=pipelines), theirs) <= 1  # their ControlNet sees three examples at once
    for more in ({"guidance_start": 0.4}, {"regions": (RegionUse(mask=str(lines), prompt="a tree"),)}):
        assert difference(drawn(structs.replace(asked, **more), pipelines=pipelines), theirs) > 4


def _run_with_control(pipeline: Any, settings: GenerateSettings, image: Image.Image) -> Image.Image:
    return pipeline(
        prompt=settings.prompt,
        negative_prompt=settings.negative_prompt,
        image=image,
        controlnet_conditioning_scale=0.8,
        control_guidance_end=0.7,
        num_inference_steps=settings.steps,
        guidance_scale=settings.guidance_scale,
        pag_scale=settings.pag_scale,
        generator=torch.Generator("cpu").manual_seed(settings.seed or 0),
        width=settings.width,
        height=settings.height,
    ).images[0]


@pytest.mark.parity
def test_int8_graphs_do_it_as_exactly_as_they_draw(tiny_model: Path) -> None:
    pipelines = {precision: Pipelines() for precision in ("int8", "fp32")}

    def apart(asked: GenerateSettings) -> float:
        one, other = (drawn(asked, "openvino", precision, each) for precision, each in pipelines.items())
        return float(np.abs(np.asarray(one, np.float32) - np.asarray(other, np.float32)).mean())

    plain = apart(_asked(tiny_model))
    for more in ({"freeu_b1": 1.5, "freeu_s2": 0.2}, {"pag_scale": 3.0}, {"seamless": "both ways"}):
        assert apart(_asked(tiny_model, **more)) < 2 * plain + 0.5
