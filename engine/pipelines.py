"""A diffusers pipeline from a model and a device; the last one used stays loaded."""

from pathlib import Path
from typing import Any

from engine.backends.backend import Report
from engine.backends.choice import BACKENDS
from engine.components import Component, diffusers_class, scheduler, tokenizer
from engine.families import FAMILIES
from engine.library.recognise import weights
from engine.messages import Device, ModelCard


class Pipelines:
    """Keeps one pipeline: a laptop has room for one model."""

    def __init__(self) -> None:
        self._key: object = None
        self._pipeline: Any = None

    def ready(self, card: ModelCard, device: Device, report: Report) -> Any:
        """The text-to-image pipeline of the model on the device, in the device's first precision.

        A model whose files changed since is loaded again.
        """
        if not self.holds(card, device):
            self.let_go()
            self._pipeline = _build(card, components_of(card), device, report)
            self._key = _key(card, device)
        return self._pipeline

    def holds(self, card: ModelCard, device: Device) -> bool:
        """Whether that pipeline is loaded already."""
        return self._key == _key(card, device)

    def let_go(self) -> None:
        """Give the memory back."""
        self._key = self._pipeline = None


def warm_up() -> None:
    """Import what every picture needs."""
    for family in FAMILIES.values():
        diffusers_class(family.pipeline)


def with_scheduler(pipeline: Any, card: ModelCard, name: str) -> Any:
    """The pipeline with a fresh scheduler of that name; schedulers carry state from picture to picture."""
    pipeline.scheduler = scheduler(Path(card.path) / "scheduler", name)
    return pipeline


def components_of(card: ModelCard) -> list[Component]:
    """The heavy parts of a model."""
    family = FAMILIES[card.family]
    return [
        Component(part, name, Path(card.path) / part)
        for part, name in family.components.items()
        if part not in ("tokenizer", "scheduler")
    ]


def _key(card: ModelCard, device: Device) -> object:
    return (device.backend, device.precisions[0], *(_stamp(each) for each in components_of(card)))


def _stamp(component: Component) -> tuple[str, int, int]:
    path = weights(component.folder)
    status = path.stat()
    return str(path), status.st_size, status.st_mtime_ns


def _build(card: ModelCard, components: list[Component], device: Device, report: Report) -> Any:
    folder = Path(card.path)
    parts = BACKENDS[device.backend].place(components, device.precisions[0], report)
    pipeline = diffusers_class(FAMILIES[card.family].pipeline)(
        **parts,
        tokenizer=tokenizer(folder / "tokenizer"),
        scheduler=scheduler(folder / "scheduler", "DDIM"),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline
