"""A diffusers pipeline from a model and a device; the last one used stays loaded."""

import logging
from pathlib import Path
from typing import Any

from engine.backends.backend import Report
from engine.backends.choice import BACKENDS
from engine.components import Component, diffusers_class, scheduler, tokenizer
from engine.errors import EaselError
from engine.families import FAMILIES
from engine.library.recognise import weights
from engine.messages import Device, ModelCard
from engine.preview_decoder import FOLDER, load_preview_decoder

_log = logging.getLogger(__name__)


class Pipelines:
    """Keeps one pipeline: a laptop has room for one model."""

    def __init__(self) -> None:
        self._key: object = None
        self._pipeline: Any = None
        self._tiny: Any = None
        self.notes: tuple[str, ...] = ()
        """Sentences about what is not as it should be with the loaded model; to be said once."""

    def ready(self, card: ModelCard, device: Device, report: Report) -> Any:
        """The text-to-image pipeline of the model on the device, in the device's first precision.

        A model whose files changed since is loaded again.
        """
        if not self.holds(card, device):
            self.let_go()
            self._pipeline = _build(card, components_of(card), device, report)
            self._tiny, self.notes = _tiny_decoder(card, self._pipeline, device)
            self._key = _key(card, device)
        return self._pipeline

    @property
    def preview_decoder(self) -> Any:
        """What decodes the previews of the loaded pipeline: the model's tiny decoder, or else its VAE."""
        return self._pipeline.vae if self._tiny is None else self._tiny

    def holds(self, card: ModelCard, device: Device) -> bool:
        """Whether that pipeline is loaded already."""
        return self._key == _key(card, device)

    def let_go(self) -> None:
        """Give the memory back."""
        self._key = self._pipeline = self._tiny = None
        self.notes = ()


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
    files = [weights(each.folder) for each in components_of(card)]
    return (device.backend, device.precisions[0], *map(_stamp, files), _stamps_of_preview(card))


def _stamps_of_preview(card: ModelCard) -> object:
    try:
        return [_stamp(path) for path in sorted((Path(card.path) / FOLDER).iterdir())]
    except OSError:  # most models have none, and one that cannot be read must not stop a drawing
        return None


def _stamp(path: Path) -> tuple[str, int, int]:
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


def _tiny_decoder(card: ModelCard, pipeline: Any, device: Device) -> tuple[Any, tuple[str, ...]]:
    """The model's tiny decoder, None where it has none; and what to say where it has one that cannot be used.

    It runs in torch on every backend, the device being the backend's: too small for a graph of its own. A processor
    that counts in bfloat16 does so here, in a fifth of the time and less than one level of 255 off.
    """
    import torch

    folder = Path(card.path) / FOLDER
    if not folder.is_dir():
        return None, ()
    try:
        decoder = load_preview_decoder(folder, pipeline.vae.config.latent_channels, pipeline.vae_scale_factor)
    except (EaselError, OSError) as error:
        _log.warning("%s", error)
        return None, ("The model's preview decoder cannot be used; previews come from the full one.",)
    target = BACKENDS[device.backend].device()
    dtype = torch.bfloat16 if target == "cpu" and _counts_in_bfloat16() else torch.float32
    return decoder.to(target, dtype, memory_format=torch.channels_last), ()


def _counts_in_bfloat16() -> bool:
    import torch

    able = torch.cpu.get_capabilities()
    return bool(able.get("avx512_bf16") or able.get("amx_bf16"))
