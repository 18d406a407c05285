"""The header of any file that holds weights, by what it is and not by its name."""

from pathlib import Path

from engine.formats.magic import WEIGHTS, form_of, refusal
from engine.formats.pickles import read_pickle
from engine.formats.safetensors import Header, read_header
from engine.formats.steady import steady


def header_of(path: Path) -> Header:
    """What a .safetensors file says of itself, or what the copy of one of PyTorch's files would say.

    Raises BadInput that names the file: what else it is, or what is wrong with it.
    """
    form = form_of(path)
    if form not in WEIGHTS:
        raise refusal(path, form)
    return read_header(path) if form is WEIGHTS[0] else read_pickle(path).header


def bytes_of(path: Path, name: str) -> bytes:
    """The numbers of one small tensor, little-endian, one behind the other as in its shape.

    Empty where the file has no such tensor, or its numbers do not lie so. Raises BadInput as `header_of` does.
    """
    is_pickle = form_of(path) is not WEIGHTS[0]
    begin = size = 0
    if is_pickle and (stored := read_pickle(path).tensors.get(name)) and stored.in_order:
        begin, size = stored.begin, stored.span
    elif not is_pickle and (inside := read_header(path).tensors.get(name)):
        begin, size = inside.begin, inside.end - inside.begin
    with steady(path) as (file, _):
        behind = 0 if is_pickle else int.from_bytes(file.read(8), "little") + 8
        file.seek(behind + begin)
        return file.read(size)
