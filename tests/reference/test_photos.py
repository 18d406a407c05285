"""A person's own picture through the engine: changed, extended, enlarged, and back with all its file held."""

from pathlib import Path

import cv2
import diffusers
import numpy as np
import pytest
import torch
from msgspec import structs
from PIL import ExifTags, Image, ImageCms
from PIL.PngImagePlugin import PngInfo
from safetensors.torch import save_file

from engine.expand import expand
from engine.library import index
from engine.pictures import size
from engine.pipelines import Pipelines
from engine.settings import Extension, GenerateSettings
from engine.tasks.draw import Drawn, draw
from engine.upscalers import compact
from tests.drawing import prepared

PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


@pytest.fixture(scope="module")
def pipelines() -> Pipelines:
    return Pipelines()


@pytest.fixture(scope="module")
def asked(tiny_model: Path) -> GenerateSettings:
    return GenerateSettings(prompt="a red house", model="tiny", seed=7, steps=4, guidance_scale=5.0, strength=0.7)


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """96 x 64 pixels of 16 bits with alpha, EXIF and a profile."""
    noise = np.random.default_rng(1)
    deep = cv2.resize(noise.integers(0, 2**16, (8, 12, 4), np.uint16), (96, 64), interpolation=cv2.INTER_LINEAR)
    deep[..., 3] = np.where(np.arange(96) < 20, 30_000, 65_535)
    path = tmp_path / "照片 🏠.png"
    done, data = cv2.imencode(".png", deep)
    assert done
    bare = data.tobytes()
    shell = tmp_path / "shell.png"
    exif = Image.Exif()
    exif[ExifTags.Base.Artist] = "Somebody"
    Image.new("RGB", (1, 1)).save(shell, icc_profile=PROFILE, exif=exif)
    told = shell.read_bytes()
    path.write_bytes(bare[:33] + b"".join(_chunks(told, (b"iCCP", b"eXIf"))) + bare[33:])
    return path


def _chunks(png: bytes, kinds: tuple[bytes, ...]) -> list[bytes]:
    found, at = [], 8
    while at < len(png):
        end = at + int.from_bytes(png[at : at + 4], "big") + 12
        found += [png[at:end]] if png[at + 4 : at + 8] in kinds else []
        at = end
    return found


def _made(settings: GenerateSettings, pipelines: Pipelines, backend: str = "torch") -> Drawn:
    (decided,) = expand(settings, index.find(settings.model), size(Path(settings.source)))
    return draw(prepared(decided, backend, "fp32", pipelines), lambda *_: None)


def _back(drawn: Drawn, folder: Path) -> tuple[np.ndarray, Image.Image]:
    """The values in the file, RGBA, and the file as Pillow sees it."""
    path = folder / "made.png"
    path.write_bytes(drawn.encoded(PngInfo()))
    values = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert values is not None
    return values[..., [2, 1, 0, 3]], Image.open(path)


def _kept(image: Image.Image) -> None:
    assert image.info["icc_profile"] == PROFILE
    assert image.getexif()[ExifTags.Base.Artist] == "Somebody"


def test_outside_the_mask_all_16_bits_stay(
    photo: Path, asked: GenerateSettings, pipelines: Pipelines, tmp_path: Path
) -> None:
    mask = Image.fromarray(np.pad(np.full((32, 40), 255, np.uint8), ((16, 16), (24, 32))))
    mask.save(tmp_path / "mask.png")
    made = _made(structs.replace(asked, source=str(photo), mask=str(tmp_path / "mask.png")), pipelines)
    values, image = _back(made, tmp_path)
    before = cv2.imread(str(photo), cv2.IMREAD_UNCHANGED)
    assert before is not None
    outside = np.asarray(mask) == 0
    assert values.dtype == np.uint16
    assert np.array_equal(values[outside], before[..., [2, 1, 0, 3]][outside])
    assert not np.array_equal(values[~outside], before[..., [2, 1, 0, 3]][~outside])
    _kept(image)


@pytest.mark.parametrize("strength", [0.0, 0.7])
def test_image_to_image_keeps_profile_exif_and_alpha(
    photo: Path, asked: GenerateSettings, pipelines: Pipelines, tmp_path: Path, strength: float
) -> None:
    values, image = _back(_made(structs.replace(asked, source=str(photo), strength=strength), pipelines), tmp_path)
    _kept(image)
    assert values.dtype == np.uint16
    assert image.size == (80, 64), "96 x 64 without 8 pixels on either side"
    assert (values[:, :12, 3] == 30_000).all()
    assert (values[:, 12:, 3] == 65_535).all()


def test_an_extended_picture_keeps_its_own_part(
    photo: Path, asked: GenerateSettings, pipelines: Pipelines, tmp_path: Path
) -> None:
    by = Extension(left=32, bottom=64)
    values, image = _back(_made(structs.replace(asked, source=str(photo), extend=by, strength=1), pipelines), tmp_path)
    before = cv2.imread(str(photo), cv2.IMREAD_UNCHANGED)
    assert before is not None
    assert image.size == (128, 128)
    _kept(image)
    drawn_anew = 16  # of its edges towards what is new
    own = values[: 64 - drawn_anew, 32 + drawn_anew :]
    assert np.array_equal(own, before[..., [2, 1, 0, 3]][: 64 - drawn_anew, drawn_anew:])
    assert values[:, :32, 3].min() == 65_535
    assert values[:, :32, :3].std() > 0


@pytest.mark.parametrize(("network", "factor"), [("", 2.0), ("compact", 2.5)])
@pytest.mark.parametrize("backend", ["torch", "openvino"])
def test_enlarging_needs_no_model(
    photo: Path, asked: GenerateSettings, tmp_path: Path, network: str, factor: float, backend: str
) -> None:
    name = "Lanczos"
    if network:
        torch.manual_seed(0)
        weights = compact.SRVGGNetCompact(compact.Config(channels=3, width=6, convs=1, scale=3)).state_dict()
        name = str(tmp_path / "tiny 放大.safetensors")
        save_file(weights, name)
    pipelines = Pipelines()
    settings = structs.replace(asked, source=str(photo), upscale_factor=factor, upscaler=name, strength=0)
    values, image = _back(_made(settings, pipelines, backend), tmp_path)
    assert image.size == (96 * factor, 64 * factor)
    assert not pipelines._parts
    assert values[:, :40, 3].max() < 40_000
    _kept(image)


@pytest.mark.parametrize("backend", ["torch", "openvino"])
def test_enlarging_with_a_model_is_image_to_image_of_the_larger_picture(
    tiny_model: Path, photo: Path, asked: GenerateSettings, tmp_path: Path, backend: str
) -> None:
    """Where one window sees all of it; the tiny model's windows are 96 pixels."""
    source = tmp_path / "small.png"
    Image.open(photo).convert("RGB").resize((48, 32)).save(source)
    settings = structs.replace(asked, source=str(source), upscale_factor=2, strength=0.5, scheduler="DDIM")
    ours = _made(settings, Pipelines(), backend).image
    pipeline = diffusers.StableDiffusionImg2ImgPipeline.from_pretrained(
        tiny_model, local_files_only=True, torch_dtype=torch.float32
    )
    pipeline.set_progress_bar_config(disable=True)
    theirs = pipeline(
        prompt=settings.prompt,
        image=Image.open(source).resize((96, 64), Image.Resampling.LANCZOS),
        strength=0.5,
        num_inference_steps=settings.steps,
        guidance_scale=settings.guidance_scale,
        generator=torch.Generator("cpu").manual_seed(7),
    ).images[0]
    apart = np.abs(np.asarray(ours, np.int16) - np.asarray(theirs, np.int16)).max()
    assert apart <= (backend == "openvino")


def test_a_large_one_is_drawn_in_windows_and_told_of(
    photo: Path, asked: GenerateSettings, pipelines: Pipelines
) -> None:
    settings = structs.replace(asked, source=str(photo), upscale_factor=3, strength=0.5)
    (decided,) = expand(settings, index.find("tiny"), (96, 64))
    ready = prepared(decided, "torch", "fp32", pipelines)
    heard: list[tuple[int, int, bool]] = []
    made = draw(ready, lambda step, of, latents: heard.append((step, of, latents is not None)))
    assert made.image.size == (288, 192)
    of = sum(each.steps for each in ready.stages)
    assert of > 4 * 2  # two steps in several windows, and the enlarging
    assert [step for step, *_ in heard] == sorted(step for step, *_ in heard)
    assert heard[-1][:2] == (of, of)
