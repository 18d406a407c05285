"""A person's pictures of every kind as sources and masks."""

import os
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageCms, ImageOps
from PIL.PngImagePlugin import PngInfo

from engine import pictures
from engine.errors import BadInput
from engine.tasks.masks import part
from engine.tasks.sources import read_mask, read_photo, read_source, written_back

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
    (folder / "no.png").write_text("not a picture", "utf-8")
    return folder / "no.png"


def _starts(folder: Path, name: str, text: str) -> Path:
    (folder / name).write_text(text, "utf-8")
    return folder / name


def _pipe(folder: Path) -> Path:
    os.mkfifo(folder / "pipe.png")
    return folder / "pipe.png"


@pytest.mark.parametrize(
    ("make", "cause"),
    [
        (lambda folder: _starts(folder, "a.svg", "<?xml version='1.0'?><svg/>"), "“a.svg” is an SVG drawing"),
        (lambda folder: _starts(folder, "a.pdf", "%PDF-1.7"), "“a.pdf” is a PDF document"),
        pytest.param(_pipe, "no ordinary file", marks=pytest.mark.skipif(os.name == "nt", reason="has no such pipes")),
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


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_garbled_files_are_read_or_refused_and_never_anything_else(tmp_path: Path) -> None:
    chance = np.random.default_rng(3)
    noise = Image.fromarray(chance.integers(0, 256, (24, 24, 3), np.uint8))
    refused = 0
    for kind in ("PNG", "JPEG", "WEBP", "TIFF", "GIF", "BMP"):
        whole = BytesIO()
        noise.save(whole, kind, **({} if kind in ("GIF", "BMP") else {"icc_profile": SRGB, "exif": _camera()}))
        for turn in range(20):
            data = bytearray(whole.getvalue())
            if turn % 2:
                del data[int(chance.integers(1, len(data))) :]
            for at in chance.integers(0, min(len(data), 400), 4 * (turn % 2 == 0)):
                data[at] = chance.integers(0, 256)
            (tmp_path / "garbled").write_bytes(data)
            try:
                source = read_photo(tmp_path / "garbled")
            except BadInput as error:
                refused += "garbled" in str(error)
            else:
                assert written_back(source, source.pixels).encoded()
    assert refused > 20


# ---------------------------------------------------------------- and back


SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def _camera() -> bytes:
    exif = Image.Exif()
    exif[0x010F], exif[0x0112] = "Easel's own camera", 6
    exif.get_ifd(0x8769).update({0xA002: 40, 0xA003: 30, 0x9003: "2026:11:21 06:00:00"})
    return exif.tobytes()


def _wide_gamut() -> bytes:
    """sRGB with red and green exchanged: as wrong as a profile can be, and exactly undone."""
    data = bytearray(SRGB)
    table = {bytes(data[at : at + 4]): at for at in range(132, 132 + 12 * int.from_bytes(data[128:132], "big"), 12)}
    red, green = table[b"rXYZ"], table[b"gXYZ"]
    data[red + 4 : red + 12], data[green + 4 : green + 12] = data[green + 4 : green + 12], data[red + 4 : red + 12]
    return bytes(data)


def _again(data: bytes) -> Image.Image:
    image = Image.open(BytesIO(data))
    image.load()
    return image


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF"])
def test_a_photo_comes_back_whole(tmp_path: Path, kind: str) -> None:
    """Turned upright, nothing drawn: its profile, EXIF, resolution and, but for JPEG, every pixel are there."""
    pixels = np.random.default_rng(5).integers(0, 256, (30, 40, 3), np.uint8)
    options = {"WEBP": {"lossless": True}, "JPEG": {"quality": 95}}.get(kind, {})
    if kind != "WEBP":
        options["dpi"] = (300, 300)
    image = Image.fromarray(pixels)
    path = _saved(tmp_path, image, "photo", format=kind, icc_profile=_wide_gamut(), exif=_camera(), **options)
    source = read_photo(path)
    back = written_back(source, source.pixels)
    image = _again(back.encoded())
    assert (back.kind, image.format, image.size, back.notes) == (kind, kind, (30, 40), ())
    assert image.info["icc_profile"] == _wide_gamut()
    exif = image.getexif()
    assert (exif[0x010F], exif.get(0x0112, 1)) == ("Easel's own camera", 1)
    block = exif.get_ifd(0x8769)
    assert (block[0xA002], block[0xA003], block[0x9003]) == (30, 40, "2026:11:21 06:00:00")
    if kind != "WEBP":
        assert [round(float(each)) for each in image.info["dpi"]] == [300, 300]
    if kind != "JPEG":
        assert np.array_equal(np.asarray(image), np.rot90(pixels, -1))


def test_a_model_sees_srgb_and_the_file_gets_its_profile_s_values(tmp_path: Path) -> None:
    path = _saved(tmp_path, Image.new("RGB", (16, 16), (250, 10, 10)), icc_profile=_wide_gamut())
    source = read_photo(path)
    red, green, _ = source.pixels[0, 0].tolist()
    assert green > 200 > 60 > red, "the profile exchanges red and green"
    changed = source.pixels.copy()
    changed[:8] = (20, 240, 20)
    image = np.asarray(written_back(source, changed).image)
    assert (image[8:] == (250, 10, 10)).all()
    assert (np.abs(image[:8].astype(int) - (240, 20, 20)) <= 2).all(), "lcms works in 8 bits, and rounds twice"


def test_a_profile_that_does_not_fit_is_left_out_and_said(tmp_path: Path) -> None:
    for icc in (b"nothing of a profile", SRGB):
        image = Image.new("RGB" if icc != SRGB else "L", (16, 16))
        source = read_photo(_saved(tmp_path, image, icc_profile=icc))
        assert source.icc == b""
        assert "colour profile" in source.notes[0]


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])
def test_transparency_is_kept_aside_and_put_back(tmp_path: Path, kind: str) -> None:
    values = np.random.default_rng(6).integers(0, 256, (20, 24, 4), np.uint8)
    values[:, :6, 3] = 0
    options = {"lossless": True, "exact": True} if kind == "WEBP" else {}
    path = _saved(tmp_path, Image.fromarray(values), "clear", format=kind, **options)
    source = read_photo(path)
    assert (source.pixels[:, :6] == 255).all()
    changed = source.pixels.copy()
    changed[:10] = 255 - (255 - changed[:10].astype(int)) // 2
    image = np.asarray(_again(written_back(source, changed).encoded()))
    assert np.array_equal(image[10:], values[10:])
    assert np.array_equal(image[..., 3], values[..., 3])
    seen = np.asarray(Image.alpha_composite(Image.new("RGBA", (24, 20), "white"), Image.fromarray(image)))[..., :3]
    assert np.abs(seen.astype(int) - changed).max() <= 2, "what is seen on white is what was drawn"


def test_jpeg_says_that_it_has_no_transparency(tmp_path: Path) -> None:
    source = read_photo(_saved(tmp_path, Image.new("RGBA", (16, 16), (0, 0, 0, 0))))
    back = written_back(source, source.pixels, "JPEG")
    assert "transparency" in back.notes[0]
    assert _again(back.encoded()).getpixel((3, 3)) == (255, 255, 255)


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
@pytest.mark.parametrize("channels", [3, 4])
def test_all_16_bits_of_colour_come_back_outside_the_mask(tmp_path: Path, suffix: str, channels: int) -> None:
    values = np.random.default_rng(7).integers(0, 65536, (60, 80, channels), np.uint16)
    path = tmp_path / f"deep{suffix}"
    path.write_bytes(cv2.imencode(suffix, values[..., [2, 1, 0, 3][:channels]])[1].tobytes())
    source = read_photo(path)
    mask = Image.new("L", (80, 60))
    mask.paste(255, (20, 10, 50, 40))
    some = part(source.picture, mask, (64, 64), padding=8, feather=4)
    made = np.asarray(some.back(Image.new("RGB", (64, 64), "red")))
    back = written_back(source, made, "PNG")
    data = np.frombuffer(back.encoded(), np.uint8)
    read = cv2.imdecode(data, cv2.IMREAD_UNCHANGED)[..., [2, 1, 0, 3][:channels]]
    assert read.dtype == np.uint16
    outside = np.asarray(mask) == 0
    assert np.array_equal(read[outside], values[outside])
    if channels == 3:
        assert (read[20:30, 30:40] == (65535, 0, 0)).all()
    assert back.notes == ()
    assert "TIFF keeps 8 here" in written_back(source, made, "TIFF").notes[0]


def test_a_png_of_16_bits_has_its_metadata_and_text_and_every_orientation(tmp_path: Path) -> None:
    values = np.random.default_rng(8).integers(0, 65536, (10, 12, 3), np.uint16)
    for turn in range(1, 9):
        exif = Image.Exif()
        exif[0x0112], exif[0x010E] = turn, "described"
        image = Image.fromarray((values >> 8).astype(np.uint8))
        shell = _saved(tmp_path, image, "shell.png", exif=exif, icc_profile=SRGB, dpi=(300, 300))
        expected = np.asarray(read_source(shell))
        plain = read_photo(shell)
        deep = cv2.imencode(".png", values[..., ::-1])[1].tobytes()
        first = BytesIO()
        Image.new("RGB", (1, 1)).save(first, "PNG", exif=exif, icc_profile=SRGB, dpi=(300, 300))
        at = first.getvalue().index(b"IDAT") - 4
        (tmp_path / "deep.png").write_bytes(deep[:33] + first.getvalue()[33:at] + deep[33:])
        source = read_photo(tmp_path / "deep.png")
        assert source.notes == ()
        assert np.array_equal(source.original >> 8, expected), turn
        back = written_back(source, source.pixels)
        text = PngInfo()
        text.add_itxt("parameters", "a red house 红")
        again = _again(back.encoded(text))
        assert again.info["icc_profile"] == SRGB
        assert again.info["parameters"] == "a red house 红"
        assert (again.getexif()[0x0112], again.getexif()[0x010E]) == (1, "described")
        assert np.array_equal(np.asarray(again), expected)
        assert plain.exif == source.exif


def test_16_bits_of_grey_come_back_and_become_colour_where_that_is_drawn(tmp_path: Path) -> None:
    values = np.random.default_rng(9).integers(0, 65536, (16, 20), np.uint16)
    source = read_photo(_saved(tmp_path, Image.fromarray(values)))
    for kind in ("PNG", "TIFF"):
        assert np.array_equal(np.asarray(_again(written_back(source, source.pixels, kind).encoded())), values)
    drawn = source.pixels.copy()
    drawn[:4] = (255, 0, 0)
    data = np.frombuffer(written_back(source, drawn).encoded(), np.uint8)
    read = cv2.imdecode(data, cv2.IMREAD_UNCHANGED)[..., ::-1]
    assert np.array_equal(read[4:], np.repeat(values[4:, :, None], 3, 2))
    assert (read[:4] == (65535, 0, 0)).all()


def test_what_cannot_be_kept_is_said(tmp_path: Path) -> None:
    printed = read_photo(_saved(tmp_path, Image.new("CMYK", (16, 16), (0, 200, 200, 0)), "print.jpg"))
    back = written_back(printed, printed.pixels)
    assert back.image.mode == "RGB"
    assert "sRGB" in back.notes[0]
    grey = read_photo(_saved(tmp_path, Image.fromarray(np.full((16, 16), 30000, np.uint16)), "grey.png"))
    assert "16 bits" in written_back(grey, grey.pixels, "JPEG").notes[0]
    resolute = read_photo(_saved(tmp_path, Image.new("RGB", (16, 16)), "resolute.png", dpi=(300, 300)))
    assert "resolution" in written_back(resolute, resolute.pixels, "WEBP").notes[0]


def test_a_picture_of_another_size_keeps_what_is_not_its_pixels(tmp_path: Path) -> None:
    image = Image.new("RGBA", (16, 16), (200, 20, 40, 255))
    image.paste((0, 0, 0, 0), (0, 0, 8, 16))
    source = read_photo(_saved(tmp_path, image, icc_profile=SRGB, exif=_camera()))
    large = np.full((48, 32, 3), 90, np.uint8)
    back = _again(written_back(source, large).encoded())
    assert back.size == (32, 48)
    assert back.info["icc_profile"] == SRGB
    block = back.getexif().get_ifd(0x8769)
    assert (block[0xA002], block[0xA003]) == (32, 48)
    alpha = np.asarray(back)[..., 3]
    assert (alpha.min(), alpha.max()) == (0, 255)


@pytest.mark.parametrize("size", [(32, 64), (64, 32), (32, 32), (128, 64)])
def test_of_another_shape_its_transparency_is_cut_as_its_colours_are(tmp_path: Path, size: tuple[int, int]) -> None:
    """Red on nothing: what is seen on white stays what was drawn."""
    image = Image.new("RGBA", (64, 64), (0, 0, 0, 0))
    image.paste((200, 20, 40, 255), (24, 8, 40, 56))
    source = read_photo(_saved(tmp_path, image))
    drawn = ImageOps.fit(source.picture, size, Image.Resampling.BILINEAR)
    back = _again(written_back(source, np.asarray(drawn)).encoded())
    seen = Image.alpha_composite(Image.new("RGBA", size, "white"), back).convert("RGB")
    assert np.abs(np.asarray(seen, np.int16) - np.asarray(drawn)).max() <= 2
    assert np.array_equal(np.asarray(back)[..., 3] > 250, np.asarray(drawn)[..., 1] < 25)


def test_several_pictures_in_a_file_are_said(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (16, 16), colour) for colour in ("red", "blue")]
    for kind, told in (("GIF", 1), ("MPO", 0)):
        path = tmp_path / f"some.{kind.lower()}"
        frames[0].save(path, kind, save_all=True, append_images=frames[1:])
        source = read_photo(path)
        assert len(source.notes) == told, "a camera's second picture is a preview"
        assert written_back(source, source.pixels).kind == ("PNG" if told else "JPEG")


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
