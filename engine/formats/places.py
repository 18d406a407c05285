"""Where the tensors of a model's part lie in a file of another form than diffusers': under another name, or in a piece.

What a part's tensors are called there, the modules beside this one say, one an architecture: each has a
`config_of`, which reads what it can of the part's configuration from the shapes, and `places`, which says by the
configuration where every tensor lies.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

if TYPE_CHECKING:
    from torch import Tensor

Shape = tuple[int, ...]
Shapes = Callable[[str], Shape | None]
"""From a tensor's name in the file to its shape; None where the file has none of that name."""

Config = dict[str, Any]
"""Of a part, as its `config.json` has it."""

Turn = Literal["", "flat", "turned", "swapped", "identity"]


class Place(NamedTuple):
    """Where one tensor of a part lies, and how it comes from what lies there."""

    key: str
    """Its name in the file; empty for one that follows from its size alone."""
    rows: tuple[int, int] | None = None
    """The first row and the one behind the last, of a tensor that is several in one; None for the whole."""
    turn: Turn = ""
    """What to do with it. "flat": a 1x1 convolution that is linear here; "turned": transposed; "swapped": its upper
    half and its lower one in each other's place; "identity": not read but made, ones on the diagonal of `rows`."""


Places = dict[str, Place]
"""By the tensor's name in diffusers or transformers."""


def shape_at(place: Place, stored: Shape) -> Shape:
    """The shape that the tensor has, from the one that the file says for its key."""
    if place.turn == "identity" and place.rows:
        return (place.rows[1], place.rows[1])
    if place.rows:
        stored = (place.rows[1] - place.rows[0], *stored[1:])
    if place.turn == "flat":
        return stored[:2]
    return stored[::-1] if place.turn == "turned" else stored


def turned(place: Place, stored: "Tensor") -> "Tensor":
    """The tensor from what the file holds at its key, the right rows already."""
    if place.turn == "flat":
        return stored.flatten(1)
    if place.turn == "turned":
        return stored.T.contiguous()
    return stored.roll(stored.shape[0] // 2, 0) if place.turn == "swapped" else stored


def stored_shape(place: Place, shapes: Sequence[Shape]) -> Shape:
    """The shape of what lies at a key, from those of the tensors that lie there; `shape_at` undone."""
    if place.turn == "turned":
        return shapes[0][::-1]
    shape = (sum(each[0] for each in shapes), *shapes[0][1:])
    return (*shape, 1, 1) if place.turn == "flat" else shape


def unturned(place: Place, tensor: "Tensor") -> "Tensor":
    """What the file holds at the place, from the tensor; `turned` undone."""
    if place.turn == "flat":
        return tensor[..., None, None]
    return tensor.T if place.turn == "turned" else turned(place, tensor)  # halves that are swapped again are as before


def modules(ours: str, theirs: str, names: Mapping[str, str]) -> Iterator[tuple[str, Place]]:
    """The weight and the bias of each module, by diffusers' name and the file's."""
    for our_name, their_name in names.items():
        for tensor in ("weight", "bias"):
            yield f"{ours}{our_name}.{tensor}", Place(f"{theirs}{their_name}.{tensor}")


def split(ours: Iterable[str], theirs: str, heights: Iterable[int]) -> Iterator[tuple[str, Place]]:
    """Modules that are one in the file, by rows: a height for each. `theirs` ends where "weight" or "bias" begins."""
    begin = 0
    for name, height in zip(ours, heights, strict=True):
        for tensor in ("weight", "bias"):
            yield f"{name}.{tensor}", Place(f"{theirs}{tensor}", (begin, begin + height))
        begin += height


def count(shapes: Shapes, pattern: str) -> int:
    """How many tensors there are of that name, "{}" being 0, 1, 2 …"""
    number = 0
    while shapes(pattern.format(number)) is not None:
        number += 1
    return number


def needed(shapes: Shapes, name: str) -> Shape:
    """The shape of a tensor. Raises KeyError where there is none of that name."""
    found = shapes(name)
    if found is None:
        raise KeyError(name)
    return found


def size(shapes: Shapes, name: str, axis: int) -> int:
    """One extent of a tensor. Raises KeyError where there is none of that name, IndexError for too few dimensions."""
    return needed(shapes, name)[axis]
