"""A person's picture as a source to draw from, upright and in sRGB, and the way back to what it was.

Sizes and damage are judged by `engine.pictures.opened`, before anything is decoded.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from PIL import ExifTags, Image, ImageCms, ImageOps
from PIL.PngImagePlugin import PngInfo

from engine.errors import BadInput
from engine.pictures import opened

SMALLEST = 8
"""Pixels a side: below that there is nothing to see."""
WRITTEN = ("PNG", "JPEG", "WEBP", "TIFF")
"""The formats that a picture is given back in; of another one it becomes a PNG."""
_WITHOUT_ALPHA, _WITHOUT_DPI, _DEEP_GREY = ("JPEG",), ("WEBP",), ("PNG", "TIFF")
_BEST: dict[str, dict[str, Any]] = {
    "JPEG": {"quality": 95, "subsampling": 0},
    "WEBP": {"lossless": True, "exact": True},
}
"""TIFF stays uncompressed: Pillow's compressed ones cannot hold the EXIF of a camera."""
_SRGB = ImageCms.createProfile("sRGB")
_SPACES = {"RGB ": "RGB", "GRAY": "L", "CMYK": "CMYK"}
"""The colour spaces of ICC.1:2010, 7.2.6, that Pillow's modes have."""
_DEEP = 16
"""Bits a channel."""
_TOLD_OF_A_TIFF = (270, 271, 272, 305, 306, 315, 33432, 34665, 34853)
"""The tags of TIFF 6.0 and EXIF that tell of a picture, not of how its file is laid out."""
_DOCUMENTS = {b"%PDF-": "a PDF document", b"%!PS": "a PostScript document", b"<svg": "an SVG drawing"}
"""By what they begin with; an SVG begins with <svg after what any XML file may begin with."""
_PNG_SIGNATURE = 8
"""Bytes before the first chunk."""
_EXIF_IN_JPEG = 65_500
"""Bytes that a JPEG's segment of 65,533 surely holds."""


@dataclass(frozen=True)
class Source:
    """A picture as a model is given it, and what of the file that does not show."""

    name: str
    pixels: np.ndarray
    """uint8 [h, w, 3], sRGB, upright, transparency on white."""
    original: np.ndarray | None
    """The file's own values, upright, without alpha: uint8 or uint16, [h, w] or [h, w, 3]; None for modes that no
    picture is given back in (CMYK, 32 bits)."""
    alpha: np.ndarray | None
    """uint8 or uint16 [h, w]."""
    icc: bytes
    """Empty for none, as are `exif` and `dpi`."""
    exif: bytes
    """Its orientation 1."""
    dpi: tuple[float, ...]
    kind: str
    """Pillow's name of the format."""
    notes: tuple[str, ...]
    """What could not be kept, in sentences."""

    @property
    def picture(self) -> Image.Image:
        """The pixels as a picture."""
        return Image.fromarray(self.pixels)


class WrittenBack(NamedTuple):
    """A finished picture with everything of its source that its format can hold."""

    image: Image.Image
    """Of a picture with 16 bits of colour the upper eight: Pillow has no more."""
    deep: np.ndarray | None
    """All 16 bits of such a one, uint16 [h, w, 3 or 4]."""
    kind: str
    options: dict[str, Any]
    """For Pillow's `save`."""
    notes: tuple[str, ...]
    """What the format cannot hold, in sentences."""

    def encoded(self, text: PngInfo | None = None) -> bytes:
        """The file; `text` goes into a PNG."""
        options = self.options | ({"pnginfo": text} if text is not None and self.kind == "PNG" else {})
        image = self.image if self.deep is None else Image.new("RGB", (1, 1))
        data = BytesIO()
        image.save(data, self.kind, **options)
        return data.getvalue() if self.deep is None else _deep_png(self.deep, data.getvalue())


def read_source(path: Path) -> Image.Image:
    """What a model is given of `read_photo`: 8-bit sRGB, as a viewer shows the picture, transparency on white."""
    return read_photo(path).picture


def read_photo(path: Path) -> Source:
    """The picture, turned as the camera was held; of an animation the first one.

    Raises BadInput naming the file for one that is missing, damaged, no picture, too large, or too small to show
    anything.
    """
    _refuse_documents(path)
    notes: list[str] = []
    with opened(path) as image:
        if min(image.size) < SMALLEST:
            raise BadInput(
                f"“{path.name}” is only {image.width} x {image.height} pixels.", "Use a larger picture.", str(path)
            )
        kind = "JPEG" if image.format == "MPO" else image.format or "PNG"  # of a camera that puts several into one
        if kind == image.format and getattr(image, "n_frames", 1) > 1:
            notes.append(f"“{path.name}” holds several pictures; the first one is taken.")
        icc, dpi = image.info.get("icc_profile") or b"", _resolution(image.info.get("dpi"))
        turn = image.getexif().get(ExifTags.Base.Orientation, 1)  # Pillow turns a TIFF while it decodes
        bits = _bits(path, image)
        upright = ImageOps.exif_transpose(image)
        exif = _exif(image, kind)
        plain, clear = _plain(upright), _clear(upright)
    original = _original(upright, plain)
    alpha = None if clear is None else np.asarray(clear)
    if bits == _DEEP and upright.mode in ("RGB", "RGBA", "LA"):
        deep = _deep(path, np.asarray(plain.convert("RGB")), turn)
        if deep is None:
            notes.append(f"Of the 16 bits of “{path.name}” only 8 could be read.")
        else:
            original = deep[..., 0] if upright.mode == "LA" else deep[..., :3]
            alpha = deep[..., 3] if deep.shape[2] == 4 else alpha
    shown, icc = _in_srgb(plain, icc, path.name, notes)
    return Source(path.name, _on_white(shown, alpha), original, alpha, icc, exif, dpi, kind, tuple(notes))


def written_back(source: Source, pixels: np.ndarray, kind: str = "") -> WrittenBack:
    """A finished picture, uint8 [h, w, 3] in sRGB, with the source's profile, EXIF, alpha, resolution and bit depth.

    `kind` is one of WRITTEN, else the source's own format, or PNG. A pixel that is as it was in `source.pixels` gets
    its original value back, all its bits; any other is brought into the source's profile. In another size than the
    source's every pixel is new, and the alpha is scaled; in another shape, too, its middle, as Pillow's `ImageOps.fit`
    cuts. A grey picture stays grey as long as the pixels are; one in CMYK becomes sRGB. 16 bits are kept of grey in PNG
    and TIFF, of colour in PNG. What is not kept is in the notes.
    """
    kind = kind or (source.kind if source.kind in WRITTEN else "PNG")
    notes: list[str] = []
    size = (pixels.shape[1], pixels.shape[0])
    alpha = _fitting_alpha(source, size, kind, notes)
    values, icc = _in_its_profile(source, pixels, alpha, kind, notes)
    deep = None
    if values.dtype == np.uint16 and not (values.ndim == 2 and alpha is None and kind in _DEEP_GREY):
        if kind == "PNG" and not (values.ndim == 2 and icc):  # a profile of grey does not fit a file of colour
            colour = values if values.ndim == 3 else np.repeat(values[..., None], 3, 2)
            deep = _joined(colour, alpha)
        else:
            notes.append(f"Of the 16 bits of “{source.name}” {kind} keeps 8 here.")
        values = _upper(values)
    options = _BEST.get(kind, {}) | _metadata(source, icc, size, kind, notes)
    shown = _joined(values, None if alpha is None else _upper(alpha))
    return WrittenBack(Image.fromarray(shown), deep, kind, options, tuple(notes))


def framed(source: Source, pixels: np.ndarray, by: tuple[int, int, int, int]) -> Source:
    """The source in a larger frame of 8-bit sRGB `pixels`, larger `by` left, top, right, bottom; opaque around it."""
    left, top, right, bottom = by
    original, alpha = source.original, source.alpha
    if original is not None:
        original = cv2.copyMakeBorder(original, top, bottom, left, right, cv2.BORDER_REPLICATE)
    if alpha is not None:
        opaque = int(np.iinfo(alpha.dtype).max)
        alpha = cv2.copyMakeBorder(alpha, top, bottom, left, right, cv2.BORDER_CONSTANT, value=opaque)
    return replace(source, pixels=pixels, original=original, alpha=alpha)


def read_mask(path: Path, size: tuple[int, int]) -> Image.Image:
    """The mask in 8-bit grey for a source of `size`, white where it is drawn anew.

    The transparency of a picture that has any is the mask, else its brightness; one of the same shape, but for 1 %,
    and another size is scaled. Raises BadInput naming the file where it marks nothing, or has another shape.
    """
    _refuse_documents(path)
    with opened(path) as image:
        upright = ImageOps.exif_transpose(image)
        clear = _clear(upright)
        if clear is not None and _varies(clear):
            mask = clear
        else:
            plain = _plain(upright).convert("RGB")
            mask = Image.fromarray(_on_white(np.asarray(plain), None if clear is None else np.asarray(clear)))
            mask = mask.convert("L")
    shape, wanted = mask.width / mask.height, size[0] / size[1]
    if abs(shape / wanted - 1) > 0.01:
        raise BadInput(
            f"The mask “{path.name}” is {mask.width} x {mask.height} pixels, its source {size[0]} x {size[1]}.",
            "Use a mask of the source's shape.",
            where="mask",
        )
    if mask.size != size:
        mask = mask.resize(size, Image.Resampling.LANCZOS)
    if mask.getextrema()[1] < 128:  # pyright: ignore[reportOperatorIssue]
        raise BadInput(f"The mask “{path.name}” marks nothing.", "Paint white what is to be drawn anew.", where="mask")
    return mask


def _refuse_documents(path: Path) -> None:
    """Raises BadInput for what no pixels are in, and for what cannot be read as a file: a pipe would never end."""
    if not path.is_file():
        if path.exists() and not path.is_dir():
            raise BadInput(f"“{path.name}” is no ordinary file.", "Name a picture.", str(path))
        return
    try:
        with path.open("rb") as file:
            head = file.read(1024).removeprefix(b"\xef\xbb\xbf").lstrip()
    except OSError:
        return  # `opened` says why
    for mark, what in _DOCUMENTS.items():
        if head.startswith(mark) or (head.startswith((b"<?xml", b"<!")) and mark in head):
            raise BadInput(f"“{path.name}” is {what}, not a picture of pixels.", "Export it as PNG.", str(path))


def _plain(image: Image.Image) -> Image.Image:
    """Its colours in 8 bits, as L, RGB or CMYK, without transparency. Raises ValueError for what Pillow cannot turn."""
    if image.mode.startswith("I;16") or image.mode in ("I", "F"):
        return _shortened(image)
    if image.mode in ("1", "L", "LA"):
        return image.convert("L")
    return image if image.mode == "CMYK" else image.convert("RGB")


def _clear(image: Image.Image) -> Image.Image | None:
    """Its transparency in 8 bits, 0 is clear."""
    if image.mode.startswith("I") or not image.has_transparency_data:
        return None
    return image.convert("RGBA").getchannel("A")


def _original(image: Image.Image, plain: Image.Image) -> np.ndarray | None:
    """The values a picture can be given back in, 8 bits or 16 of grey."""
    if image.mode.startswith("I;16"):
        return np.asarray(image).astype(np.uint16)
    return None if image.mode in ("I", "F", "CMYK") else np.asarray(plain)


def _shortened(image: Image.Image) -> Image.Image:
    """Eight bits of 16, of 32, or of numbers from 0 to 1."""
    values = np.nan_to_num(np.asarray(image, np.float64))
    top = float(values.max())
    white = 1.0 if image.mode == "F" and top <= 1 else max(65535.0, top)
    return Image.fromarray((values * (255 / white)).clip(0, 255).round().astype(np.uint8))


def _varies(alpha: Image.Image) -> bool:
    low, high = alpha.getextrema()
    return low != high


def _resolution(dpi: Any) -> tuple[float, ...]:
    """Dots an inch across and down; empty for what is no number."""
    try:
        across, down = (float(each) for each in dpi)
    except (TypeError, ValueError, ZeroDivisionError):
        return ()
    return (across, down) if all(math.isfinite(each) and 0 < each < 1e6 for each in (across, down)) else ()


def _exif(image: Image.Image, kind: str) -> bytes:
    """What the file tells of the picture, with the orientation of an upright one; empty where it tells nothing."""
    told = image.getexif()
    for block in {ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo} & set(told):
        told.get_ifd(block)  # read now, from the file
    if kind == "TIFF":
        for tag in set(told) - set(_TOLD_OF_A_TIFF):
            del told[tag]
    if not len(told):
        return b""
    told[ExifTags.Base.Orientation] = 1
    return told.tobytes()


def _bits(path: Path, image: Image.Image) -> int:
    """Bits a channel as the file says: PNG in its first chunk, TIFF in a tag."""
    if image.format == "TIFF":
        told: Any = image.tag_v2.get(258, (8,))  # pyright: ignore[reportAttributeAccessIssue]
        return max(told) if isinstance(told, tuple) else told
    if image.format != "PNG":
        return 8
    with path.open("rb") as file:
        return file.read(25)[24]


def _deep(path: Path, upright: np.ndarray, turn: int) -> np.ndarray | None:
    """All 16 bits, uint16 [h, w, 3 or 4], that Pillow shortens to `upright`, uint8 [h, w, 3]; None where OpenCV cannot.

    OpenCV turns some files and not others, so what it read is compared with what Pillow read.
    """
    read = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_UNCHANGED)
    if read is None or read.dtype != np.uint16 or read.ndim != 3:
        return None
    deep = read[..., [2, 1, 0, 3][: read.shape[2]]]
    for each in (deep, _turned(deep, turn)):
        if each.shape[:2] == upright.shape[:2] and np.array_equal(_upper(each[..., :3]), upright):
            return np.ascontiguousarray(each)
    return None


def _turned(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Upright, by EXIF's orientation from 1 to 8."""
    if orientation >= 5:
        pixels, orientation = pixels.swapaxes(0, 1), {5: 1, 6: 2, 7: 3, 8: 4}.get(orientation, 1)
    down, across = {2: (1, -1), 3: (-1, -1), 4: (-1, 1)}.get(orientation, (1, 1))
    return pixels[::down, ::across]


def _in_srgb(plain: Image.Image, icc: bytes, name: str, notes: list[str]) -> tuple[np.ndarray, bytes]:
    """The picture in sRGB, uint8 [h, w, 3], and its profile; without one where that does not fit it."""
    if icc:
        try:
            profile = ImageCms.getOpenProfile(BytesIO(icc))
            space = profile.profile.xcolor_space  # pyright: ignore[reportAttributeAccessIssue]
            if _SPACES.get(space) == plain.mode:
                return np.asarray(ImageCms.profileToProfile(plain, profile, _SRGB, outputMode="RGB")), icc
        except (OSError, ValueError, ImageCms.PyCMSError):
            pass  # one that cannot be used is told like one that does not fit
        notes.append(f"The colour profile of “{name}” does not fit it and was left out.")
    return np.asarray(plain.convert("RGB")), b""


def _on_white(pixels: np.ndarray, alpha: np.ndarray | None) -> np.ndarray:
    if alpha is None:
        return pixels
    share = _share(alpha)
    return (255 + share * (pixels.astype(np.float32) - 255)).round().astype(np.uint8)


def _off_white(pixels: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """The colours that `_on_white` makes these pixels of; where nothing is seen of them, the pixels themselves."""
    share = _share(alpha)
    colours = 255 + (pixels.astype(np.float32) - 255) / np.where(share > 0, share, 1)
    return colours.clip(0, 255).round().astype(np.uint8)


def _share(alpha: np.ndarray) -> np.ndarray:
    return (alpha / np.float32(np.iinfo(alpha.dtype).max))[..., None].astype(np.float32)


def _fitting_alpha(source: Source, size: tuple[int, int], kind: str, notes: list[str]) -> np.ndarray | None:
    alpha = source.alpha
    if alpha is None or kind in _WITHOUT_ALPHA:
        if alpha is not None:
            notes.append(f"{kind} cannot keep the transparency of “{source.name}”; it is white.")
        return None
    if alpha.shape[::-1] == size:
        return alpha
    cut = ImageOps.fit(Image.fromarray(alpha.astype(np.float32)), size, Image.Resampling.BILINEAR)
    return np.asarray(cut).round().astype(alpha.dtype)


def _in_its_profile(
    source: Source, pixels: np.ndarray, alpha: np.ndarray | None, kind: str, notes: list[str]
) -> tuple[np.ndarray, bytes]:
    """The pixels as values of the source's kind, uint8 or uint16 [h, w] or [h, w, 3], and the profile they are in."""
    straight = pixels if alpha is None else _off_white(pixels, alpha)
    original, icc = source.original, source.icc
    is_grey = original is not None and original.ndim == 2
    becomes_colour = is_grey and not _looks_grey(pixels)
    in_srgb = f"“{source.name}” was in other colours than its picture now, which is written in sRGB with 8 bits."
    if original is None or (is_grey and icc and (becomes_colour or kind == "WEBP")):
        notes.append(in_srgb)
        return straight, b""
    if becomes_colour:
        original = np.repeat(original[..., None], 3, 2)
    try:
        new = _out_of_srgb(straight, icc, grey=original.ndim == 2)
    except ImageCms.PyCMSError:  # a scanner's profile may lead one way only
        notes.append(in_srgb)
        return straight, b""
    if original.dtype == np.uint16:
        new = new.astype(np.uint16) * 257
    if pixels.shape != source.pixels.shape:
        return new, icc
    kept = (pixels == source.pixels).all(axis=2)
    if source.alpha is not None and alpha is None:
        kept &= source.alpha == np.iinfo(source.alpha.dtype).max
    return np.where(kept if original.ndim == 2 else kept[..., None], original, new), icc


def _looks_grey(pixels: np.ndarray) -> bool:
    """Whether the channels differ by no more than profiles and rounding make them."""
    return int((pixels.max(axis=2) - pixels.min(axis=2)).max()) <= 2


def _out_of_srgb(pixels: np.ndarray, icc: bytes, *, grey: bool) -> np.ndarray:
    image, mode = Image.fromarray(pixels), "L" if grey else "RGB"
    if not icc:
        return np.asarray(image.convert(mode))
    profile = ImageCms.ImageCmsProfile(BytesIO(icc))
    return np.asarray(ImageCms.profileToProfile(image, _SRGB, profile, outputMode=mode))


def _upper(values: np.ndarray) -> np.ndarray:
    """Eight bits of 16; eight as they are."""
    return values if values.dtype == np.uint8 else (values >> 8).astype(np.uint8)


def _joined(values: np.ndarray, alpha: np.ndarray | None) -> np.ndarray:
    return values if alpha is None else np.dstack((values, alpha))


def _metadata(source: Source, icc: bytes, size: tuple[int, int], kind: str, notes: list[str]) -> dict[str, Any]:
    """What Pillow's `save` takes of profile, EXIF and resolution; notes say what the format cannot hold."""
    exif, dpi = _resized(source.exif, size), source.dpi
    if kind == "JPEG" and len(exif) > _EXIF_IN_JPEG:
        notes.append(f"The EXIF of “{source.name}” is too long for JPEG.")
        exif = b""
    if kind in _WITHOUT_DPI and dpi:
        notes.append(f"{kind} cannot keep the resolution of “{source.name}”.")
        dpi = ()
    return {key: value for key, value in (("icc_profile", icc), ("exif", exif), ("dpi", dpi)) if value}


def _resized(exif: bytes, size: tuple[int, int]) -> bytes:
    """The same, with the width and height of the picture now where it tells them."""
    if not exif:
        return exif
    told = Image.Exif()
    told.load(exif)
    block = told.get_ifd(ExifTags.IFD.Exif) if ExifTags.IFD.Exif in told else {}
    for tag, side in zip((ExifTags.Base.ExifImageWidth, ExifTags.Base.ExifImageHeight), size, strict=True):
        if tag in block:
            block[tag] = side
    return told.tobytes()


def _deep_png(pixels: np.ndarray, shell: bytes) -> bytes:
    """A PNG of uint16 pixels [h, w, 3 or 4] with all that another PNG, the shell, tells besides its pixels."""
    done, data = cv2.imencode(".png", pixels[..., [2, 1, 0, 3][: pixels.shape[2]]])
    assert done
    bare = data.tobytes()
    told = b"".join(chunk for kind, chunk in _chunks(shell) if kind not in (b"IHDR", b"IDAT", b"IEND"))
    after_header = _PNG_SIGNATURE + len(next(_chunks(bare))[1])
    return bare[:after_header] + told + bare[after_header:]


def _chunks(png: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The kind and all the bytes of each chunk (PNG specification, 5.3: length, kind, data, check)."""
    at = _PNG_SIGNATURE
    while at < len(png):
        end = at + int.from_bytes(png[at : at + 4], "big") + 12
        yield png[at + 4 : at + 8], png[at:end]
        at = end
