"""What every backend offers: whether it is here, and the parts of a model ready to run on it."""

from contextlib import AbstractContextManager
from typing import Any, Protocol

from engine.components import Component, Delta, Variation
from engine.messages import Device
from engine.patience import Report


class Backend(Protocol):
    """A module with these five functions."""

    def probe(self) -> Device:
        """What of this backend the machine has. Loads no model."""
        ...

    def device(self) -> str:
        """The torch device that pipelines are told to run on."""
        ...

    def place(self, components: list[Component], precision: str, report: Report) -> dict[str, Any]:
        """Each component, by its part's name, as a module of its diffusers or transformers class.

        Raises OutOfMemory, and EaselError for weights that do not fit their configuration.
        """
        ...

    def merge(self, module: Any, component: Component, deltas: list[Delta]) -> None:
        """Let a placed module draw with these changes of its weights and no others; none restores them."""
        ...

    def vary(self, module: Any, variation: Variation) -> None:
        """Let a placed module draw with that variation and no other."""
        ...

    def exact(self, module: Any) -> AbstractContextManager[None]:
        """Inside, a placed autoencoder counts in float32, whatever its precision is outside."""
        ...
