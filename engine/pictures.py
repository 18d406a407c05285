"""Picture files: saved whole with their settings inside, read back, listed."""

import heapq
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

from PIL import ExifTags, Image, UnidentifiedImageError
from PIL.PngImagePlugin import PngInfo

from engine.errors import BadInput
from engine.formats.picture_text import Made, a1111_text, easel_text, read_a1111, read_easel
from engine.paths import unwritten

READABLE = ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF")
FIRST_TURNED = 5
"""EXIF orientations from here on have width and height exchanged."""
_KINDS = "Easel reads PNG, JPEG, WebP, TIFF, BMP and GIF."
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
_XMP = """<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">\
<rdf:Description rdf:about="" xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" \
Iptc4xmpExt:DigitalSourceType="http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"/>\
</rdf:RDF></x:xmpmeta>"""
"""IPTC's mark of a picture made by a model."""


Encode = Callable[[PngInfo], bytes]
"""Makes the PNG of a picture with a text in it."""


def as_png(image: Image.Image) -> Encode:
    """The way to a PNG of a picture that comes from no other."""

    def encoded(text: PngInfo) -> bytes:
        data = BytesIO()
        image.save(data, "PNG", pnginfo=text)
        return data.getvalue()

    return encoded


def save(encode: Encode, part: Path, made: Made) -> None:
    """Write a PNG with its settings to `part` and wait until it is on the disk; the caller gives it its name."""
    text = PngInfo()
    text.add_itxt("parameters", a1111_text(made))
    text.add_itxt("easel", easel_text(made))
    text.add_itxt("XML:com.adobe.xmp", _XMP)
    try:
        with part.open("wb") as file:
            file.write(encode(text))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        part.unlink(missing_ok=True)
        raise unwritten(part, error) from error


def read(path: Path) -> tuple[Made | None, dict[str, str]]:
    """Easel's own record and A1111's fields, as far as the picture has them.

    Raises BadInput for a file that is missing, no picture, or too large to be one.
    """
    text = _text(path)
    made = read_easel(text["easel"]) if "easel" in text else None
    return made, read_a1111(text["parameters"]) if "parameters" in text else {}


def size(path: Path) -> tuple[int, int]:
    """Width and height as the picture is looked at, its camera's turn applied; nothing is decoded.

    Raises BadInput as `read` does.
    """
    with opened(path) as image:
        turned = image.getexif().get(ExifTags.Base.Orientation, 1) >= FIRST_TURNED
        return (image.height, image.width) if turned else (image.width, image.height)


def _text(path: Path) -> dict[str, str]:
    with opened(path) as image:
        image.load()  # the text may stand behind the pixels
        return {str(key): str(value) for key, value in image.info.items() if isinstance(value, str)}


@contextmanager
def opened(path: Path) -> Iterator[Image.Image]:
    """A picture that is open and not decoded yet. Raises BadInput as `read` does, for what the block meets, too."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=READABLE) as image:
                yield image
    except FileNotFoundError:
        raise BadInput(f"There is no file “{path}”.", "Check the name.", where=str(path)) from None
    except IsADirectoryError:
        raise BadInput(f"“{path}” is a folder.", "Name one picture in it.", where=str(path)) from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise BadInput(f"“{path.name}” is too large.", "Easel reads up to 89 million pixels.", str(path)) from None
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError) as error:
        raise BadInput(
            f"“{path.name}” is not a picture that can be read.",
            _KINDS,
            str(path),
        ) from error


def newest(folder: Path, count: int) -> list[Path]:
    """The newest pictures of a folder, newest first."""
    try:
        entries = [entry for entry in os.scandir(folder) if entry.name.lower().endswith(SUFFIXES)]
        return [Path(entry.path) for entry in heapq.nlargest(count, entries, key=lambda each: each.stat().st_mtime_ns)]
    except OSError:
        return []
