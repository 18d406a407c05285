"""A person's pictures of every kind as sources and masks."""

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from engine import pictures
from engine.errors import BadInput
from engine.tasks.sources import read_mask, read_source

RED = (200, 20, 40)


def _saved(folder: Path, image: Image.Image, name: str = "picture 图 🐱.png", **options: object) -> Path:
    image.save(folder / name, **options)
    return folder / name


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF"])
@pytest.mark.parametrize("mode", ["RGB", "L", "P", "1", "RGBA", "LA", "CMYK"])
def test_every_kind_and_mode_is_read_as_rgb(tmp_path: Path, kind: str, mode: str) -> None:
    image = Image.new("RGB", (24, 16), RED).convert(mode)
    try:
        path = _saved(tmp_path, image, f"x.{kind.lower()}", format=kind)
    except (OSError, ValueError):
        pytest.skip("Pillow cannot write that")
    source = read_source(path)
    assert (source.mode, source.size) == ("RGB", (24, 16))
    red, green, blue = np.asarray(source).reshape(-1, 3).mean(0)
    if mode in ("RGB", "P", "RGBA", "CMYK"):
        assert (red > 150, green < 70, blue < 90) == (True, True, True)
    else:
        assert max(red, green, blue) - min(red, green, blue) < 1, "grey, but for what JPEG and WebP lose"


def test_sixteen_bits_are_shortened(tmp_path: Path) -> None:
    values = np.linspace(0, 65535, 256, dtype=np.uint16).reshape(16, 16)
    source = np.asarray(read_source(_saved(tmp_path, Image.fromarray(values))))
    assert np.abs(source[..., 0].reshape(-1).astype(int) - np.arange(256)).max() <= 1


def test_a_camera_s_turn_is_applied(tmp_path: Path) -> None:
    image = Image.new("RGB", (30, 20), "black")
    image.putpixel((0, 0), (255, 255, 255))
    exif = Image.Exif()
    exif[0x0112] = 6  # shown turned a quarter clockwise
    path = _saved(tmp_path, image, exif=exif)
    assert pictures.size(path) == (20, 30)
    source = read_source(path)
    assert source.size == (20, 30)
    assert source.getpixel((19, 0)) == (255, 255, 255)


def test_transparency_lies_on_white(tmp_path: Path) -> None:
    image = Image.new("RGBA", (16, 16), (0, 0, 0, 0))
    assert read_source(_saved(tmp_path, image)).getpixel((3, 3)) == (255, 255, 255)
    clear = Image.new("P", (16, 16), 3)
    assert read_source(_saved(tmp_path, clear, "clear.gif", transparency=3)).getpixel((3, 3)) == (255, 255, 255)


def test_of_an_animation_the_first_picture_is_taken(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (16, 16), colour) for colour in ("red", "blue")]
    path = tmp_path / "moving.gif"
    frames[0].save(path, save_all=True, append_images=frames[1:])
    assert read_source(path).getpixel((0, 0)) == (255, 0, 0)


def test_a_profile_does_no_harm(tmp_path: Path) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert read_source(_saved(tmp_path, Image.new("RGB", (16, 16), RED), icc_profile=profile)).getpixel((1, 1)) == RED


def _truncated(folder: Path) -> Path:
    data = BytesIO()
    Image.effect_noise((64, 64), 50).save(data, "PNG")
    (folder / "cut.png").write_bytes(data.getvalue()[:700])
    return folder / "cut.png"


def _text(folder: Path) -> Path:
    (folder / "no.png").write_text("<svg/>", "utf-8")
    return folder / "no.png"


@pytest.mark.parametrize(
    ("make", "cause"),
    [
        (_truncated, "“cut.png” is not a picture that can be read"),
        (_text, "“no.png” is not a picture that can be read"),
        (lambda folder: folder / "gone.png", "There is no file"),
        (lambda folder: folder, "is a folder"),
        (lambda folder: _saved(folder, Image.new("L", (1, 1)), "dot.png"), "“dot.png” is only 1 x 1 pixels"),
        (lambda folder: _saved(folder, Image.new("1", (20_000, 20_000)), "huge.png"), "“huge.png” is too large"),
    ],
)
def test_what_cannot_be_a_source_is_refused_with_its_name(tmp_path: Path, make: object, cause: str) -> None:
    with pytest.raises(BadInput, match=cause):
        read_source(make(tmp_path))  # pyright: ignore[reportCallIssue]


# ---------------------------------------------------------------- masks


def _disc(size: tuple[int, int]) -> Image.Image:
    mask = Image.new("L", size)
    mask.paste(255, (size[0] // 4, size[1] // 4, size[0] // 2, size[1] // 2))
    return mask


def test_a_mask_is_its_brightness_or_its_transparency(tmp_path: Path) -> None:
    white = _disc((40, 20))
    clear = Image.merge("RGBA", [Image.new("L", (40, 20), 255)] * 3 + [white])
    opaque = white.convert("RGBA")
    for name, image in (("grey", white), ("clear", clear), ("opaque", opaque), ("bits", white.convert("1"))):
        mask = read_mask(_saved(tmp_path, image, f"{name}.png"), (40, 20))
        assert mask.tobytes() == white.tobytes(), name


def test_one_of_another_size_is_scaled_and_of_another_shape_refused(tmp_path: Path) -> None:
    path = _saved(tmp_path, _disc((40, 20)), "mask.png")
    assert read_mask(path, (400, 200)).size == (400, 200)
    with pytest.raises(BadInput, match="“mask.png” is 40 x 20 pixels, its source 40 x 40") as refused:
        read_mask(path, (40, 40))
    assert refused.value.where == "mask"


def test_an_empty_one_is_refused_and_a_full_one_is_not(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="“none.png” marks nothing"):
        read_mask(_saved(tmp_path, Image.new("L", (16, 16)), "none.png"), (16, 16))
    assert read_mask(_saved(tmp_path, Image.new("L", (16, 16), 255), "all.png"), (16, 16)).getextrema() == (255, 255)
