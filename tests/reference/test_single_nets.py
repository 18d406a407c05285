"""ControlNets and T2I-Adapters that are one file against diffusers' own pipelines with the nets in them."""

from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from diffusers import ControlNetModel, T2IAdapter
from PIL import Image

from engine.library import index
from engine.library.nets import net_for
from engine.settings import GenerateSettings
from engine.uses import ControlUse
from tests.drawing import difference, drawn
from tests.reference.conftest import Agree, Cell
from tests.single_nets import original_names, published_net, published_unet, write_file
from tests.tiny_model import write_tiny_model
from tests.tiny_t2i_adapter import write_tiny_t2i_adapter

BACKENDS = ("torch", "openvino")


@pytest.fixture(scope="module")
def model(shared_home: Path) -> Path:
    """One whose U-Net has the hidden numbers of Stable Diffusion 1.x, which a net's file does not tell."""
    folder = write_tiny_model(shared_home / "models" / "as published")
    published_unet("sd1").save_pretrained(folder / "unet", safe_serialization=True)
    return folder


@pytest.fixture(scope="module")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pictures") / "lines.png"
    lines = 255 * (np.random.default_rng(1).random((64, 128, 1)) > 0.8).repeat(3, 2).astype(np.uint8)
    Image.fromarray(lines).save(path)
    return path


@pytest.fixture(scope="module")
def net(model: Path) -> ControlNetModel:
    return published_net(published_unet("sd1"))


@pytest.fixture(scope="module")
def file(net: ControlNetModel, shared_home: Path) -> Path:
    """The net as people have it."""
    tensors = {f"control_model.{name}": tensor for name, tensor in original_names(net).items()}
    return write_file(shared_home / "controlnet" / "control_v11p_sd15_Canny.safetensors", tensors)


def _asked(model: Path, picture: Path, net: Path) -> GenerateSettings:
    return GenerateSettings(
        prompt="a red house", negative_prompt="blue", seed=7, steps=3, guidance_scale=5.0, width=128, height=64,
        scheduler="DDIM", model=str(model), controls=(ControlUse(kind="none", image=str(picture), net=str(net)),),
    )  # fmt: skip


def _theirs(settings: GenerateSettings, class_name: str, **net: Any) -> Image.Image:
    kind: Any = getattr(diffusers, class_name)
    pipeline = kind.from_pretrained(settings.model, local_files_only=True, torch_dtype=torch.float32, **net)
    pipeline.set_progress_bar_config(disable=True)
    pipeline.unet.requires_grad_(False)  # with gradients torch adds up small layers in another order
    pipeline.scheduler = diffusers.DDIMScheduler.from_config(pipeline.scheduler.config)
    return pipeline(
        prompt=settings.prompt, negative_prompt=settings.negative_prompt, image=Image.open(settings.controls[0].image),
        num_inference_steps=settings.steps, guidance_scale=settings.guidance_scale, width=128, height=64,
        generator=torch.Generator("cpu").manual_seed(settings.seed or 0),
    ).images[0]  # fmt: skip


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_controlnet_in_one_file(
    backend: str, model: Path, net: ControlNetModel, file: Path, picture: Path, agree: Agree
) -> None:
    settings = _asked(model, picture, file)
    theirs = _theirs(settings, "StableDiffusionControlNetPipeline", controlnet=net)
    cell = Cell("sd1", "text-to-image", "ControlNet in one file", backend, "fp32")
    ours = drawn(settings, backend, "fp32")
    agree(ours, theirs, cell)
    assert net_for(ControlUse(kind="canny", image="x"), index.find(str(model))) == file


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_t2i_adapter_in_one_file(backend: str, model: Path, picture: Path, tmp_path: Path, agree: Agree) -> None:
    folder = write_tiny_t2i_adapter(tmp_path / "folder", (32, 64, 128), "full_adapter")
    adapter: Any = T2IAdapter.from_pretrained(folder, local_files_only=True)
    settings = _asked(model, picture, write_file(tmp_path / "adapter.safetensors", adapter.state_dict()))
    theirs = _theirs(settings, "StableDiffusionAdapterPipeline", adapter=adapter)
    cell = Cell("sd1", "text-to-image", "T2I-Adapter in one file", backend, "fp32")
    ours = drawn(settings, backend, "fp32")
    agree(ours, theirs, cell, 1)  # that pipeline of diffusers scales the latents otherwise before it decodes them
    assert difference(ours, drawn(_asked(model, picture, folder), backend, "fp32")) == 0
