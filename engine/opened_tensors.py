"""The tensors of an opened model, read one by one from the files that they lie in."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from engine.formats.places import Place, turned
from engine.library.converted_pickles import as_safetensors
from engine.library.opened_weights import Stored, Weights, files_of
from engine.patience import told

if TYPE_CHECKING:
    from torch import Tensor


def reader(weights: Weights) -> "Callable[[str], Tensor]":
    """Reads tensors by their names, as the files have them; PyTorch's files from copies, made now where none are.

    Raises what safetensors raises for a damaged file, and EaselError for what cannot be copied.
    """
    from safetensors import safe_open

    files = [safe_open(as_safetensors(file, told), "pt") for file in files_of(weights)]
    return lambda name: _tensor(files[weights.tensors[name].file], weights.tensors[name])


def read(weights: Weights) -> "Iterator[tuple[str, Tensor]]":
    """Every tensor by name, each read when it is asked for. Raises what safetensors raises for a damaged file."""
    read_one = reader(weights)
    for name in weights.tensors:
        yield name, read_one(name)


def _tensor(file: object, each: Stored) -> "Tensor":
    import torch

    if each.turn == "identity":
        return torch.eye(each.shape[0])
    rows = slice(*each.rows) if each.rows else slice(None)
    found = file.get_slice(each.key)[rows] if each.rows else file.get_tensor(each.key)  # pyright: ignore[reportAttributeAccessIssue]
    if each.scale:
        scale = file.get_tensor(each.scale).to(torch.float32)  # pyright: ignore[reportAttributeAccessIssue]
        if scale.numel() > 1:
            scale = scale.flatten()[rows].reshape(-1, *[1] * (found.ndim - 1))
        found = found.to(torch.float32) * scale
    return turned(Place(each.key, each.rows, each.turn), found)
