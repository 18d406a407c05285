"""What a case is: a file's tensors, and what it must be taken for."""

from collections.abc import Mapping
from typing import NamedTuple

from engine.formats.safetensors import Header, Tensor
from engine.library.guess import Kind
from tests.headers.architectures import Shapes


class Case(NamedTuple):
    """One real-world kind of file."""

    label: str
    shapes: Shapes
    kind: Kind
    family: str = ""
    variants: tuple[str, ...] = ()
    """Those that must be told, among others."""
    refused: bool = False
    asks: tuple[str, ...] = ()
    """What must be asked, and nothing else."""
    name: str = "model"
    metadata: Mapping[str, str] = {}
    dtype: str = "F16"
    dtypes: Mapping[str, str] = {}
    """Of single tensors."""
    turns: tuple[str, ...] = ("",)
    """What may stand before every name without changing the answer."""

    def header(self, prefix: str = "") -> Header:
        """The header that a file with these tensors has; the bytes' places mean nothing here."""
        tensors = {
            prefix + name: Tensor(self.dtypes.get(name, self.dtype), shape, 0, 0) for name, shape in self.shapes.items()
        }
        return Header(tensors, dict(self.metadata))
