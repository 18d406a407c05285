"""ControlNets of FLUX.1 and Stable Diffusion 3 against diffusers' own pipelines for them."""

import json
import shutil
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from diffusers import FluxControlNetModel, SD3ControlNetModel
from msgspec import structs
from PIL import Image

from engine.adapters.transformer_nets import FluxControlNets
from engine.backends.openvino import converted
from engine.backends.openvino.convert import convert
from engine.errors import BadInput
from engine.library import index
from engine.library.nets import net_for
from engine.pipelines import Pipelines
from engine.settings import ControlUse, GenerateSettings
from engine.tasks.masks import part
from tests.drawing import difference, drawn, family_of, prepared
from tests.reference.conftest import Agree, Cell
from tests.reference.test_against_diffusers import psnr
from tests.tiny_flux import write_tiny_flux
from tests.tiny_sd3 import write_tiny_sd3
from tests.tiny_single import write_folder
from tests.tiny_transformer_nets import KINDS, write_tiny_transformer_net

SIZE = (96, 64)
PLAIN = GenerateSettings(
    prompt="a red house", negative_prompt="blue", seed=7, steps=3, guidance_scale=3.5, width=96, height=64,
    strength=0.8, scheduler="Euler",
)  # fmt: skip
LEVELS = {"torch": 0, "openvino": 2}
"""Of 255. torch runs the same code on the same numbers; OpenVINO adds up float32 in another order."""
PLAIN_ONES = ("flux", "flux shallow")
"""A graph of the Union net is one of these, and more."""
MODES = {"canny": 0, "tile": 1, "depth": 2, "blur": 3, "pose": 4}
"""https://huggingface.co/InstantX/FLUX.1-dev-Controlnet-Union"""
TASKS = {"text-to-image": "", "image-to-image": "Img2Img", "inpaint": "Inpaint"}


@pytest.fixture(scope="module", autouse=True)
def _converted_here() -> Iterator[None]:
    """In this process: another one for each of so many nets would spend its time on imports."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(converted, "_run", lambda what, _report: convert(what, lambda _done: None))
        yield


@pytest.fixture(scope="module")
def models(shared_home: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A tiny model of each family."""
    folder = tmp_path_factory.mktemp("models 模型")
    return {"flux": write_tiny_flux(folder / "flux"), "sd3": write_tiny_sd3(folder / "sd3")}


@pytest.fixture(scope="module")
def nets(models: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("nets 控制")
    return {kind: write_tiny_transformer_net(models[kind.split()[0]], folder / kind, kind) for kind in KINDS}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A source, a mask and two control images of the size that is drawn."""
    folder, noise = tmp_path_factory.mktemp("pictures"), np.random.default_rng(1)
    lines = [255 * (noise.random((64, 96, 1)) > share).repeat(3, 2).astype(np.uint8) for share in (0.8, 0.6)]
    made = {
        "first": Image.fromarray(lines[0]),
        "second": Image.fromarray(lines[1]),
        "source": Image.fromarray(noise.integers(0, 256, (8, 12, 3), np.uint8)).resize(SIZE, Image.Resampling.BICUBIC),
        "mask": Image.fromarray(np.pad(np.full((32, 40), 255, np.uint8), ((16, 16), (24, 32)))),
    }
    for name, image in made.items():
        image.save(folder / f"{name}.png")
    return {name: folder / f"{name}.png" for name in made}


@pytest.fixture(scope="module")
def kept() -> dict[str, Pipelines]:
    """The loaded model of each backend."""
    return {}


@pytest.fixture
def asked(models: dict[str, Path], nets: dict[str, Path], pictures: dict[str, Path]) -> Any:
    """A function from kinds of nets to settings with a control for each; weight, end and more by keyword."""

    def made(*kinds: str, shows: str = "", task: str = "", **use: Any) -> GenerateSettings:
        controls = tuple(
            ControlUse(kind="none", shows=shows, image=str(pictures[name]), net=str(nets[kind]), weight=weight, **use)
            for kind, name, weight in zip(kinds, ("first", "second"), (0.9, 0.5), strict=False)
        )
        given = {"image-to-image": ("source",), "inpaint": ("source", "mask")}.get(task, ())
        paths = {name: str(pictures[name]) for name in given}
        return structs.replace(PLAIN, model=str(models[kinds[0].split()[0]]), controls=controls, **paths)

    return made


@lru_cache
def _parts(model: str) -> dict[str, Any]:
    loaded: Any = diffusers.DiffusionPipeline.from_pretrained(model, local_files_only=True, torch_dtype=torch.float32)
    loaded.transformer.requires_grad_(False)
    return {name: each for name, each in loaded.components.items() if each is not None}


def _theirs(settings: GenerateSettings, one: bool = False) -> Image.Image:
    is_flux = family_of(Path(settings.model)) == "flux"
    class_name = f"FluxControlNet{TASKS[settings.task]}Pipeline" if is_flux else "StableDiffusion3ControlNetPipeline"
    kind: Any = FluxControlNetModel if is_flux else SD3ControlNetModel
    loaded = [kind.from_pretrained(each.net, local_files_only=True).requires_grad_(False) for each in settings.controls]
    pipeline = getattr(diffusers, class_name)(**_parts(settings.model), controlnet=loaded[0] if one else loaded)
    pipeline.set_progress_bar_config(disable=True)
    uses = settings.controls
    images, weights = [Image.open(each.image) for each in uses], [each.weight for each in uses]
    arguments: dict[str, Any] = {} if is_flux else {"negative_prompt": settings.negative_prompt}
    if is_flux:
        modes = [MODES.get(each.shows) for each in uses]
        arguments["control_mode"] = modes[0] if one else modes
    if settings.source:
        arguments |= {"image": Image.open(settings.source), "strength": settings.strength}
    if settings.mask:
        arguments["mask_image"] = Image.open(settings.mask)
    torch.manual_seed(settings.seed or 0)
    return pipeline(
        settings.prompt,
        control_image=images[0] if one else images,
        controlnet_conditioning_scale=weights[0] if one else weights,
        control_guidance_start=uses[0].start,
        control_guidance_end=uses[0].end,
        num_inference_steps=settings.steps,
        guidance_scale=settings.guidance_scale,
        width=settings.width,
        height=settings.height,
        generator=torch.Generator("cpu").manual_seed(settings.seed or 0),
        **arguments,
    ).images[0]


@pytest.mark.parametrize(
    ("kind", "backend"),
    [*((kind, "torch") for kind in KINDS), *((kind, "openvino") for kind in KINDS if kind not in PLAIN_ONES)],
)
def test_a_net_is_diffusers_own(kind: str, backend: str, asked: Any, kept: dict[str, Pipelines], agree: Agree) -> None:
    settings = asked(kind, shows="depth" if "union" in kind else "")
    pipelines = kept.setdefault(backend, Pipelines())
    ours, family = drawn(settings, backend, "fp32", pipelines), kind.split()[0]
    agree(ours, _theirs(settings, one=True), Cell(family, "text-to-image", f"ControlNet, {kind}", backend, "fp32"),
          LEVELS[backend])  # fmt: skip
    plain = drawn(structs.replace(settings, controls=()), backend, "fp32", pipelines)
    assert difference(ours, plain) > 8


@pytest.mark.parametrize(
    ("kind", "backend"),
    [("flux", "torch"), *((kind, backend) for kind in ("flux union", "sd3") for backend in LEVELS)],
)
def test_several_nets_are_diffusers_own(
    kind: str, backend: str, asked: Any, kept: dict[str, Pipelines], agree: Agree
) -> None:
    settings = asked(kind, kind, shows="pose" if "union" in kind else "", start=0.3, end=0.7)
    pipelines = kept.setdefault(backend, Pipelines())
    ours, family = drawn(settings, backend, "fp32", pipelines), kind.split()[0]
    conditioning = f"two ControlNets, {kind}, from 0.3 to 0.7"
    agree(ours, _theirs(settings), Cell(family, "text-to-image", conditioning, backend, "fp32"), LEVELS[backend])


@pytest.mark.parametrize("backend", LEVELS)
@pytest.mark.parametrize("task", ["image-to-image", "inpaint"])
def test_in_a_source_too(
    task: str, backend: str, asked: Any, pictures: dict[str, Path], kept: dict[str, Pipelines], agree: Agree
) -> None:
    settings = asked("flux union", shows="canny", task=task)
    pipelines = kept.setdefault(backend, Pipelines())
    ours, theirs = drawn(settings, backend, "fp32", pipelines), _theirs(settings, one=True)
    if task == "inpaint":  # theirs is the drawn part; ours is put into the source
        source, mask = Image.open(pictures["source"]), Image.open(pictures["mask"])
        theirs = part(source, mask, SIZE, padding=None, feather=settings.mask_feather).back(theirs)
    agree(ours, theirs, Cell("flux", task, "ControlNet, flux union", backend, "fp32"), LEVELS[backend])
    assert difference(ours, drawn(structs.replace(settings, controls=()), backend, "fp32", pipelines)) > 8


@torch.no_grad()
def test_nets_of_different_depths_are_added_up(nets: dict[str, Path], models: dict[str, Path], asked: Any) -> None:
    """diffusers leaves out what only one of them has, and what only the second has: here all of it counts."""
    kinds = ("flux shallow", "flux")
    loaded = [FluxControlNetModel.from_pretrained(nets[kind], local_files_only=True) for kind in kinds]
    config = json.loads((models["flux"] / "transformer" / "config.json").read_text())
    noise = torch.Generator().manual_seed(3)

    def random(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=noise)

    images, scales = [random(1, 24, 64), random(1, 24, 64)], [0.9, 0.5]
    seen = {
        "hidden_states": random(1, 24, 64), "encoder_hidden_states": random(1, 16, 4096),
        "pooled_projections": random(1, 768), "timestep": torch.tensor([0.7]), "guidance": torch.tensor([3.5]),
        "img_ids": torch.zeros(24, 3), "txt_ids": torch.zeros(16, 3), "return_dict": False,
    }  # fmt: skip
    uses = asked(*kinds).controls

    def added(*places: int) -> Any:
        together = FluxControlNets([loaded[each] for each in places], [uses[each] for each in places], config)
        of = {"controlnet_cond": [images[each] for each in places], "controlnet_mode": [torch.tensor([-1])] * 2}
        return together(**seen, **of, conditioning_scale=[scales[each] for each in places])

    shallow, deep, both = added(0), added(1), added(0, 1)
    assert [len(each) for each in both] == [config["num_layers"], config["num_single_layers"]]
    assert all(torch.equal(a + b, c) for a, b, c in zip(shallow[0], deep[0], both[0], strict=True))
    assert shallow[1] is None
    assert all(map(torch.equal, deep[1], both[1]))


def test_fewer_bits_draw_nearly_the_same(asked: Any, agree: Agree) -> None:
    settings = asked("flux union", shows="depth")
    ours, theirs = drawn(settings, "openvino", "bf16"), _theirs(settings, one=True)
    agree(ours, theirs, Cell("flux", "text-to-image", "ControlNet, flux union", "openvino", "bf16"))
    assert psnr(ours, theirs) > 35


def test_a_net_in_one_file_is_found_by_its_kind(
    shared_home: Path, pictures: dict[str, Path], tmp_path: Path, agree: Agree
) -> None:
    """Of a model with heads as wide as published ones, which a net's file does not tell."""
    model = write_folder(tmp_path / "flux", "flux")
    net = write_tiny_transformer_net(model, tmp_path / "net", "flux union")
    file = shared_home / "controlnet" / "FLUX Union.safetensors"
    file.parent.mkdir(exist_ok=True)
    shutil.copy(net / "diffusion_pytorch_model.safetensors", file)
    use = ControlUse(kind="none", shows="tile", image=str(pictures["first"]), weight=0.7)
    settings = structs.replace(PLAIN, model=str(model), controls=(use,))
    assert net_for(use, index.find(str(model))) == file
    ours = drawn(settings)
    theirs = _theirs(structs.replace(settings, controls=(structs.replace(use, net=str(net)),)), one=True)
    file.unlink()
    agree(ours, theirs, Cell("flux", "text-to-image", "Union net in one file", "torch", "fp32"))


def test_a_variation_begins_where_the_picture_does(asked: Any, kept: dict[str, Pipelines]) -> None:
    """FLUX.1's pipeline asks the seed's generator for a control image's noise first."""
    settings, pipelines = asked("flux"), kept.setdefault("torch", Pipelines())
    barely = structs.replace(settings, variation_seed=8, variation_strength=1e-6)
    assert difference(drawn(barely, pipelines=pipelines), drawn(settings, pipelines=pipelines)) <= 1


def test_a_kind_that_a_union_knows_is_told(asked: Any, kept: dict[str, Pipelines]) -> None:
    pipelines = kept.setdefault("torch", Pipelines())
    depth, pose = (drawn(asked("flux union", shows=kind), pipelines=pipelines) for kind in ("depth", "pose"))
    assert difference(depth, pose) > 0
    for kind in ("", "segmentation"):
        with pytest.raises(BadInput, match="does not know control images of the kind"):
            prepared(asked("flux union", shows=kind))


def test_what_these_nets_cannot_do_is_said(asked: Any, models: dict[str, Path], kept: dict[str, Pipelines]) -> None:
    def refused(settings: GenerateSettings) -> str:
        with pytest.raises(BadInput) as found:
            prepared(settings, pipelines=kept.setdefault("torch", Pipelines()))
        return f"{found.value.cause} {found.value.advice}"

    assert "made for another model" in refused(structs.replace(asked("flux"), model=str(models["sd3"])))
    assert "made for another model" in refused(structs.replace(asked("sd3"), model=str(models["flux"])))
    for mode in ("prompt", "control"):
        assert "no other mode than “balanced”" in refused(asked("flux", mode=mode))
    assert "from words alone" in refused(asked("sd3", task="image-to-image"))
    assert "hires scale of 1" in refused(structs.replace(asked("sd3"), hires_scale=2.0))
    assert "cannot steer one picture together" in refused(asked("flux", "flux of pixels"))
    assert "cannot steer one picture together" in refused(asked("sd3", "sd3 large"))


def test_a_net_fits_by_its_kind_and_by_its_numbers(
    asked: Any, models: dict[str, Path], nets: dict[str, Path], tmp_path: Path
) -> None:
    """A net of another width, and one for inpainting alone; without a name the first that fits is taken."""
    config = json.loads((nets["flux"] / "config.json").read_text())
    wide = _like(nets["flux"], tmp_path / "wide", config | {"num_attention_heads": 4})
    settings = asked("flux")
    with pytest.raises(BadInput, match="made for another model"):
        prepared(structs.replace(settings, controls=(structs.replace(settings.controls[0], net=str(wide)),)))
    paints = json.loads((nets["sd3"] / "config.json").read_text()) | {"extra_conditioning_channels": 1}
    alone = _like(nets["sd3"], tmp_path / "alone", paints)
    settings = asked("sd3")
    with pytest.raises(BadInput, match="for inpainting alone"):
        prepared(structs.replace(settings, controls=(structs.replace(settings.controls[0], net=str(alone)),)))


def _like(net: Path, folder: Path, config: dict[str, Any]) -> Path:
    shutil.copytree(net, folder)
    (folder / "config.json").write_text(json.dumps(config))
    return folder
