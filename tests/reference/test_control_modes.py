"""What counts more, prompt or control image: against diffusers' pipelines with nets whose residuals are weighed so."""

from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from diffusers import ControlNetModel
from msgspec import structs
from PIL import Image

from engine.errors import BadInput
from engine.pipelines import Pipelines
from engine.settings import ControlUse, GenerateSettings, checked
from tests.drawing import difference, drawn, family_of
from tests.reference.conftest import Agree, Cell
from tests.tiny_controlnet import write_tiny_controlnet
from tests.tiny_t2i_adapter import write_tiny_t2i_adapter

PLAIN = GenerateSettings(
    prompt="a red house", negative_prompt="blue", seed=7, steps=4, guidance_scale=5.0, width=96, height=64,
    scheduler="DDIM",
)  # fmt: skip


@pytest.fixture(scope="module", params=["sd1", "sdxl"])
def model(request: pytest.FixtureRequest, tiny_model: Path, tiny_xl: Path) -> Path:
    """A tiny model of the family."""
    return tiny_xl if request.param == "sdxl" else tiny_model


@pytest.fixture(scope="module")
def nets(model: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("nets")
    return [write_tiny_controlnet(model, folder / f"net {seed}", seed) for seed in (2, 3)]


@pytest.fixture(scope="module")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pictures") / "control.png"
    noise = np.random.default_rng(1)
    Image.fromarray(255 * (noise.random((64, 96, 1)) > 0.9).repeat(3, 2).astype(np.uint8)).save(path)
    return path


@pytest.fixture(scope="module")
def pipelines() -> Pipelines:
    """What keeps the loaded model."""
    return Pipelines()


def _weighed(net: Path, mode: str) -> ControlNetModel:
    """diffusers' net, its residuals weighed as AUTOMATIC1111's web UI weighs them."""
    loaded: Any = ControlNetModel.from_pretrained(net, local_files_only=True, torch_dtype=torch.float32)

    def weigh(_: Any, __: Any, found: Any) -> Any:
        steps, middle = found
        every = [each * 0.825 ** (len(steps) - level) for level, each in enumerate([*steps, middle])]
        if mode == "control":
            every = [torch.cat((torch.zeros_like(each[:1]), each[1:])) for each in every]
        return every[:-1], every[-1]

    if mode != "balanced":
        loaded.register_forward_hook(weigh)
    return loaded.requires_grad_(False)


def _theirs(settings: GenerateSettings) -> Image.Image:
    xl = "XL" if (Path(settings.model) / "text_encoder_2").exists() else ""
    kind = getattr(diffusers, f"StableDiffusion{xl}ControlNetPipeline")
    pipeline: Any = kind.from_pretrained(
        settings.model, local_files_only=True, torch_dtype=torch.float32,
        controlnet=[_weighed(Path(each.net), each.mode) for each in settings.controls],
    )  # fmt: skip
    pipeline.set_progress_bar_config(disable=True)
    pipeline.unet.requires_grad_(False)  # with gradients torch adds up small layers in another order
    pipeline.scheduler = diffusers.DDIMScheduler.from_config(pipeline.scheduler.config)
    return pipeline(
        prompt=settings.prompt,
        negative_prompt=settings.negative_prompt,
        image=[Image.open(each.image) for each in settings.controls],
        num_inference_steps=settings.steps,
        guidance_scale=settings.guidance_scale,
        generator=torch.Generator("cpu").manual_seed(settings.seed or 0),
        width=settings.width,
        height=settings.height,
        controlnet_conditioning_scale=[each.weight for each in settings.controls],
    ).images[0]


def _asked(model: Path, nets: list[Path], picture: Path, *modes: str) -> GenerateSettings:
    controls = tuple(
        ControlUse(kind="none", image=str(picture), net=str(net), weight=0.9, mode=mode)  # pyright: ignore[reportArgumentType]
        for net, mode in zip(nets, modes, strict=False)
    )
    return structs.replace(PLAIN, model=str(model), controls=controls)


@pytest.mark.parametrize("modes", [("prompt",), ("control",), ("balanced", "control")])
def test_a_mode_weighs_the_residuals(
    modes: tuple[str, ...], model: Path, nets: list[Path], picture: Path, pipelines: Pipelines, agree: Agree
) -> None:
    """On torch, bit for bit; what the nets gave is weighed outside of them, on every backend by the same code."""
    settings = _asked(model, nets, picture, *modes)
    cell = Cell(family_of(model), "text-to-image", f"nets, mode {' and '.join(modes)}", "torch", "fp32")
    agree(drawn(settings, pipelines=pipelines), _theirs(settings), cell)


def test_the_modes_differ(model: Path, nets: list[Path], picture: Path, pipelines: Pipelines) -> None:
    plain = drawn(structs.replace(PLAIN, model=str(model)), pipelines=pipelines)
    seen = {
        mode: drawn(_asked(model, nets, picture, mode), pipelines=pipelines)
        for mode in ("balanced", "prompt", "control")
    }
    apart = {mode: np.abs(np.asarray(each, float) - np.asarray(plain, float)).mean() for mode, each in seen.items()}
    assert 0 < apart["prompt"] < apart["balanced"]
    assert difference(seen["control"], seen["prompt"]) > 2


def test_without_guidance_there_is_only_what_the_prompt_asks_for(model: Path, nets: list[Path], picture: Path) -> None:
    control, prompt = (
        drawn(structs.replace(_asked(model, nets, picture, mode), guidance_scale=1.0)) for mode in ("control", "prompt")
    )
    assert control.tobytes() == prompt.tobytes()


def test_an_adapter_has_modes_too(tiny_model: Path, picture: Path, tmp_path: Path) -> None:
    adapter = write_tiny_t2i_adapter(tmp_path / "sketch")
    pipelines = Pipelines()
    seen = {
        mode: np.asarray(
            drawn(_asked(tiny_model, [adapter], picture, *([mode] * bool(mode))), pipelines=pipelines), float
        )
        for mode in ("", "balanced", "prompt", "control")
    }
    assert 0 < np.abs(seen["prompt"] - seen[""]).mean() < np.abs(seen["balanced"] - seen[""]).mean()
    assert np.abs(seen["control"] - seen["prompt"]).max() > 0


@pytest.mark.parametrize("wrong", [{"mode": "controll"}, {"shows": "canyn"}])
def test_what_is_not_known_is_said(wrong: dict[str, Any]) -> None:
    use = ControlUse(kind="none", image="x.png", **wrong)
    with pytest.raises(BadInput, match="Did you mean"):
        checked(GenerateSettings(controls=(use,)))
