"""A picture from one file against the same picture from the folder that the file was made from."""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from engine import paths
from engine.errors import BadInput
from engine.formats import sd_places
from engine.library.recognise import read_json
from engine.pipelines import Pipelines
from engine.settings import GenerateSettings
from tests.drawing import difference, drawn, prepared
from tests.headers.architectures import of
from tests.tiny_model import write_tokenizer
from tests.tiny_single import placed, write_bare, write_file, write_folder
from tests.weights import hollow


@pytest.fixture(scope="module", autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home of its own, where CLIP's vocabulary is that of the small models."""
    folder = tmp_path_factory.mktemp("single files")
    write_tokenizer(folder / "clip")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(os.environ, "EASEL_HOME", str(folder / "home"))
        patch.setattr(paths, "CLIP", folder / "clip")
        yield folder


def _asked(model: Path, vae: Path | str = "") -> GenerateSettings:
    return GenerateSettings(
        prompt="a red house", model=str(model), seed=1, width=64, height=64, steps=2, scheduler="Euler", vae=str(vae)
    )


@pytest.fixture(scope="module")
def folder(home: Path) -> Path:
    return write_folder(home / "home" / "models" / "sd1", "sd1")


@pytest.fixture(scope="module")
def file(home: Path, folder: Path) -> Path:
    return write_file(folder, home / "sd1 file.safetensors", "sd1")


def test_torch_draws_the_same(folder: Path, file: Path) -> None:
    assert difference(drawn(_asked(file)), drawn(_asked(folder))) == 0


@pytest.fixture(scope="module")
def pickled(home: Path, file: Path) -> Path:
    """The same as it was published in 2022, beside the state of its training."""
    old = home / "old 旧.ckpt"
    torch.save({"state_dict": load_file(file), "global_step": 3, "optimizer_states": [{"m": torch.ones(9)}]}, old)
    return old


@pytest.mark.parametrize("beside", ["", ".vae.pt"])
def test_pytorchs_file_draws_bit_for_bit_as_the_same_weights(file: Path, pickled: Path, beside: str) -> None:
    head = "first_stage_model."
    if beside:
        vae = {n.removeprefix(head): each * 1.1 for n, each in load_file(file).items() if n.startswith(head)}
        torch.save({"state_dict": vae}, pickled.with_name(f"{pickled.stem}{beside}"))
        save_file(vae, file.with_name(f"{file.stem}.vae.safetensors"))
    try:
        assert drawn(_asked(pickled)).tobytes() == drawn(_asked(file)).tobytes()
    finally:
        for each in (*file.parent.glob("*.vae.pt"), *file.parent.glob("*.vae.safetensors")):
            each.unlink()


def test_openvino_draws_the_same(folder: Path, pickled: Path) -> None:
    assert difference(drawn(_asked(pickled), "openvino"), drawn(_asked(folder))) <= 1


def test_both_text_encoders_of_xl_are_the_same(home: Path) -> None:
    folder = write_folder(home / "home" / "models" / "xl", "sdxl")
    file = write_file(folder, home / "xl file.safetensors", "sdxl")
    assert difference(drawn(_asked(file)), drawn(_asked(folder))) == 0


def test_flux_whose_parts_lie_in_files_of_their_own_draws_the_same(home: Path) -> None:
    folder = write_folder(home / "flux folder", "flux")
    heavy = ("text_encoder", "text_encoder_2", "vae")
    file = write_file(folder, home / "flux1-dev.safetensors", "flux", leave=heavy)
    for part in heavy:
        write_bare(folder, "flux", part, home / "home" / "text_encoders" / f"{part}.safetensors")
    shutil.copy(folder / "tokenizer_2" / "tokenizer.json", home / "home" / "text_encoders")
    assert difference(drawn(_asked(file)), drawn(_asked(folder))) == 0


@pytest.fixture(scope="module")
def vae(home: Path, folder: Path) -> Path:
    """Another autoencoder, as a folder of diffusers."""
    other = Path(shutil.copytree(folder / "vae", home / "other vae 解码器"))
    (weights,) = other.glob("*.safetensors")
    tensors = load_file(weights)
    save_file({name: each + 0.05 * torch.randn_like(each) for name, each in tensors.items()}, weights)
    return other


@pytest.fixture(scope="module")
def pipelines() -> Pipelines:
    return Pipelines()


@pytest.mark.parametrize(
    ("form", "backend"), [("original", "torch"), ("diffusers", "torch"), ("pt", "torch"), ("pt", "openvino")]
)
def test_a_vae_in_a_file_draws_as_its_folder(
    home: Path, folder: Path, file: Path, vae: Path, form: str, backend: str, pipelines: Pipelines
) -> None:
    tensors = load_file(next(vae.glob("*.safetensors")))
    if form != "diffusers":
        places = sd_places.vae_places(read_json(vae / "config.json"))
        tensors = {name: each.contiguous() for name, each in placed(tensors, places).items()}
    ours = home / "home" / "vae"
    ours.mkdir(exist_ok=True)
    if form == "pt":
        torch.save({"state_dict": tensors, "epoch": 3}, ours / f"{form}.pt")
    else:
        save_file(tensors, ours / f"{form}.safetensors")
    theirs = drawn(_asked(folder, vae), pipelines=pipelines)
    if backend == "openvino":
        assert difference(drawn(_asked(file, form), backend), theirs) <= 1
    else:
        assert difference(drawn(_asked(folder, form), pipelines=pipelines), theirs) == 0
        assert difference(drawn(_asked(folder), pipelines=pipelines), theirs) > 4


def test_a_vae_in_a_file_that_does_not_fit_is_refused(home: Path, folder: Path, vae: Path) -> None:
    ours = home / "home" / "vae"
    ours.mkdir(exist_ok=True)
    tensors = load_file(next(vae.glob("*.safetensors")))
    save_file({name: each for name, each in tensors.items() if "up_blocks.3" not in name}, ours / "small.safetensors")
    save_file({"decoder.conv_in.weight": torch.ones(1)}, ours / "none.safetensors")
    (ours / "page.pt").write_text("<!doctype html><html>")
    for name, told in (
        ("none", "holds no VAE"),
        ("nowhere", "no VAE named “nowhere”"),
        ("small", "is missing"),
        ("page", "is a web page"),
    ):
        with pytest.raises(BadInput, match=told):
            prepared(_asked(folder, name))


@pytest.mark.parametrize(("family", "said"), [("flux", ""), ("sdxl", "SDXL 1.0")])
def test_a_vae_for_another_family_is_refused(home: Path, folder: Path, family: str, said: str) -> None:
    """FLUX.1's has more channels; of XL's nothing but its card tells what it is for. Of the true size, on no disk."""
    file = hollow(home / "home" / "vae" / f"for {family}.safetensors", of(family, "vae"))
    if said:
        file.with_suffix(".civitai.info").write_text(json.dumps({"baseModel": said}))
    with pytest.raises(BadInput, match=f"“for {family}.safetensors” is made for other models than"):
        prepared(_asked(folder, file.stem))
