"""What a file is by its bytes, whatever its name says, and the sentences for files that are no model."""

import codecs
import re
from collections.abc import Callable
from enum import StrEnum
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from engine.errors import BadInput
from engine.formats.pickle_words import words
from engine.formats.steady import AGAIN, Damaged, steady
from engine.formats.stored_zip import directory

HEAD = 4096
"""Bytes at the beginning that tell forms apart."""
TAIL = 22 + 0xFFFF
"""Bytes at the end in which a zip has its last record, a comment of any length behind it."""


class Form(StrEnum):
    """What a file is. The first three hold weights that Easel reads; ONNX files are upscalers or nothing to it."""

    SAFETENSORS = "safetensors"
    TORCH_ZIP = "PyTorch"
    TORCH_OLD = "PyTorch, before 2020"
    ONNX = "ONNX"
    TORCHSCRIPT = "TorchScript"
    PICKLE = "pickle"
    GGUF = "GGUF"
    OTHER_MODEL = "another program's model"
    TAR = "tar"
    ARCHIVE = "archive"
    WEB_PAGE = "web page"
    JSON = "JSON"
    TEXT = "text"
    LFS_POINTER = "git-lfs pointer"
    PICTURE = "picture"
    DOCUMENT = "document"
    PROGRAM = "program"
    EMPTY = "empty"
    UNFINISHED = "unfinished"
    CUT_ZIP = "damaged zip"
    POLYGLOT = "two in one"
    UNKNOWN = "unknown"


WEIGHTS = (Form.SAFETENSORS, Form.TORCH_ZIP, Form.TORCH_OLD)

_SIGNED_IN = "Download it again, in a browser that is signed in where the site asks for it."
_LOOK = "Look for a .safetensors file of it."
_SAID = {
    Form.SAFETENSORS: ("is a .safetensors file, which is not what is needed here.", "Choose another file."),
    Form.TORCH_ZIP: ("is a PyTorch file, which must be converted first.", "Add it to the library: Easel makes a copy."),
    Form.TORCH_OLD: ("is a PyTorch file, which must be converted first.", "Add it to the library: Easel makes a copy."),
    Form.ONNX: ("is an ONNX file; Easel runs upscalers in that form alone.", "For other models, " + _LOOK.lower()),
    Form.TORCHSCRIPT: ("is a TorchScript file: a program, which Easel never runs, not weights.", _LOOK),
    Form.PICKLE: ("is a pickle that PyTorch did not write, and Easel never runs what stands in one.", _LOOK),
    Form.GGUF: ("is a GGUF or GGML file, for programs of the llama.cpp kind; Easel does not read those.", _LOOK),
    Form.OTHER_MODEL: ("is in the form of another program (NumPy, HDF5 or TFLite).", _LOOK),
    Form.TAR: ("is a tar archive, not a model.", "Unpack it and add what lies inside; never an unknown program."),
    Form.ARCHIVE: ("is a packed archive, not a model.", "Unpack it and add what lies inside."),
    Form.WEB_PAGE: ("is a web page, not a model: the download went wrong.", _SIGNED_IN),
    Form.JSON: ("is a text in JSON, not a model: a site's error message or a configuration.", _SIGNED_IN),
    Form.TEXT: ("is plain text, not a model.", _SIGNED_IN),
    Form.LFS_POINTER: (
        "is a git-lfs pointer: a note that says where the model lies, not the model.",
        "Run “git lfs pull” in its folder, or download the file itself.",
    ),
    Form.PICTURE: ("is a picture, not a model.", "Download the model itself; this may be its preview."),
    Form.DOCUMENT: ("is a document, not a model.", AGAIN),
    Form.PROGRAM: ("is a program, not a model.", "Do not start it; delete it unless you know what it is."),
    Form.EMPTY: ("is empty: nothing of it was downloaded or copied.", AGAIN),
    Form.UNFINISHED: ("begins with zeros alone: its download has not finished.", "Wait for it, or download it again."),
    Form.CUT_ZIP: ("cannot be used: it is cut off or damaged.", AGAIN),
    Form.POLYGLOT: (
        "is two files in one, a model and an archive, as files are that mean to deceive.",
        "Do not use it; take the model from a source you trust.",
    ),
    Form.UNKNOWN: (
        "is no model file that Easel knows.",
        "Easel reads .safetensors files, folders of diffusers, and the weights in .ckpt, .pt, .pth and .bin files.",
    ),
}
_STARTS = (
    (b"GGUF", Form.GGUF),
    *((magic, Form.GGUF) for magic in (b"ggml", b"lmgg", b"fmgg", b"tjgg", b"algg")),
    (b"\x93NUMPY", Form.OTHER_MODEL),
    (b"\x89HDF\r\n\x1a\n", Form.OTHER_MODEL),
    (b"\x89PNG\r\n\x1a\n", Form.PICTURE),
    *((magic, Form.PICTURE) for magic in (b"\xff\xd8\xff", b"GIF87a", b"GIF89a", b"II*\0", b"MM\0*", b"8BPS")),
    *((magic, Form.DOCUMENT) for magic in (b"%PDF-", b"{\\rtf", b"\xd0\xcf\x11\xe0", b"SQLite format 3\0")),
    *((magic, Form.PROGRAM) for magic in (b"\x7fELF", b"MZ", b"\xcf\xfa\xed\xfe", b"\xca\xfe\xba\xbe", b"#!/")),
    *((magic, Form.ARCHIVE) for magic in (b"7z\xbc\xaf\x27\x1c", b"Rar!\x1a\x07", b"\x1f\x8b\x08", b"BZh")),
    *((magic, Form.ARCHIVE) for magic in (b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd", b"PK\x05\x06", b"PK\x07\x08")),
    (b"version https://git-lfs.github.com/spec/", Form.LFS_POINTER),
)  # fmt: skip
_PAGE = re.compile(rb"(?:\xef\xbb\xbf)?\s*<(?:!doctype\s+html|html|head|body|meta|title|script|!--|\?xml|error)", re.I)
_TORCH = b"\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."
"""What PyTorch's old form begins with: a number of its own, pickled."""
_PICKLE_0 = re.compile(rb"\(?(?:[dl]p?\d|[}\])]q\0|[ci][\w.]+\n[\w.]+\n)")
_PICKLE_WORDS = 4
"""So many at the least make a pickle: bytes of other things may read as fewer."""
_JSON = re.compile(rb"(?:\xef\xbb\xbf)?\s*(?:\{\s*[\"}]|\[\s*[\"\[{\]\d-])")
_ONNX = re.compile(rb"\x08[\x01-\x20][\x12\x1a\x22\x28\x32\x3a\x42]")
"""The protobuf of a ModelProto: its version, 1 to 32, and then another of its fields."""


def form_of(path: Path) -> Form:
    """What the file is. Raises BadInput where there is none, or it cannot be read."""
    with steady(path) as (file, size):
        return form_in(file, size)


def form_in(file: BinaryIO, size: int) -> Form:
    """The same of an open file of `size` bytes; where it stands in it afterwards is left open."""
    file.seek(0)
    head = file.read(HEAD)
    if head.startswith(b"PK\3\4"):
        return _zip_form(file, size)
    form = _start(head, size)
    if form in (Form.SAFETENSORS, Form.TORCH_OLD):
        file.seek(max(0, size - TAIL))
        if _ends_as_zip(file.read(TAIL)) or (form is Form.SAFETENSORS and _pickled(head)):
            return Form.POLYGLOT
    return form


def refusal(path: Path, form: Form) -> BadInput:
    """The two sentences for a file of that form in a place where it does not belong."""
    said, advice = _SAID[form]
    return BadInput(f"“{path.name}” {said}", advice, where=str(path))


def _zip_form(file: BinaryIO, size: int) -> Form:
    try:
        names = [entry.name for entry in directory(file, size).entries]
    except Damaged:
        return Form.CUT_ZIP
    inner = {name.partition("/")[2] for name in names}
    if "constants.pkl" in inner or any(name.startswith("code/") for name in inner):
        return Form.TORCHSCRIPT
    if "data.pkl" in inner:
        return Form.TORCH_ZIP
    return Form.OTHER_MODEL if names and all(name.endswith(".npy") for name in names) else Form.ARCHIVE


def _start(head: bytes, size: int) -> Form:
    if not size:
        return Form.EMPTY
    begins_header = head[8:9] == b"{"
    if begins_header and head[5:8] == bytes(3):  # a length that no header has is met further down
        return Form.SAFETENSORS
    for magic, form in _STARTS:
        if head.startswith(magic):
            return form
    form = next((form for fits, form in _LOOKS if fits(head)), Form.UNKNOWN)
    return Form.SAFETENSORS if begins_header and form is Form.UNKNOWN else form


def _ends_as_zip(tail: bytes) -> bool:
    """Whether a zip's end record stands there whose comment ends with the file."""
    place = tail.find(b"PK\5\6")
    while place >= 0:
        if place + 22 <= len(tail) and place + 22 + int.from_bytes(tail[place + 20 : place + 22], "little") == len(
            tail
        ):
            return True
        place = tail.find(b"PK\5\6", place + 1)
    return False


def _pickled(head: bytes) -> bool:
    """Whether the first words read as those of a pickle; nothing of it is done."""
    try:
        list(islice(words(BytesIO(head)), _PICKLE_WORDS))
    except Damaged:
        return False
    return head[:1] == b"\x80"


def _is_text(head: bytes) -> bool:
    try:
        text = codecs.getincrementaldecoder("utf-8")().decode(head.removeprefix(codecs.BOM_UTF8))
    except UnicodeDecodeError:
        return head.startswith((b"\xff\xfe", b"\xfe\xff")) and len(head) > 2 and 0 in head[2:4]
    return all(sign.isprintable() or sign in "\r\n\t\f" for sign in text)


def _is_picture(head: bytes) -> bool:
    return (
        head.startswith(b"RIFF") and head[8:12] == b"WEBP"
        or head[4:8] == b"ftyp" and head[8:12] in (b"avif", b"avis", b"heic", b"heix", b"mif1")
        or head.startswith(b"BM") and head[6:10] == bytes(4)
    )  # fmt: skip


_LOOKS: tuple[tuple[Callable[[bytes], object], Form], ...] = (
    (lambda head: not head.strip(b"\0"), Form.UNFINISHED),
    (lambda head: head[257:262] == b"ustar", Form.TAR),
    (lambda head: head[:1] == b"\x80" and _TORCH in head[:32], Form.TORCH_OLD),
    (lambda head: _pickled(head) or _PICKLE_0.match(head), Form.PICKLE),
    (_is_picture, Form.PICTURE),
    (_ONNX.match, Form.ONNX),
    (lambda head: head[4:8] == b"TFL3", Form.OTHER_MODEL),
    (_PAGE.match, Form.WEB_PAGE),
    (lambda head: _JSON.match(head) and _is_text(head), Form.JSON),
    (_is_text, Form.TEXT),
)
