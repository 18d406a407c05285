"""The header of any file that holds weights, by what it is and not by its name."""

from pathlib import Path

from engine.formats.magic import WEIGHTS, form_of, refusal
from engine.formats.pickles import read_pickle
from engine.formats.safetensors import Header, read_header


def header_of(path: Path) -> Header:
    """What a .safetensors file says of itself, or what the copy of one of PyTorch's files would say.

    Raises BadInput that names the file: what else it is, or what is wrong with it.
    """
    form = form_of(path)
    if form not in WEIGHTS:
        raise refusal(path, form)
    return read_header(path) if form is WEIGHTS[0] else read_pickle(path).header
