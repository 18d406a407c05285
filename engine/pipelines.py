"""A diffusers pipeline from a model, a device and adapters; the last model used stays loaded."""

from collections import OrderedDict
from pathlib import Path
from typing import Any

from engine.adapters.lora import combined, deltas, read_lora
from engine.backends.backend import Backend, Report
from engine.backends.choice import BACKENDS
from engine.components import Component, Delta, diffusers_class, scheduler, tokenizer
from engine.errors import BadInput
from engine.families import FAMILIES
from engine.library.recognise import weights
from engine.messages import ChosenLora, Device, ModelCard
from engine.preview_decoder import FOLDER, placed_preview_decoder
from engine.settings import Task

NETS = 3
"""ControlNets that stay loaded; the least recently used goes first."""


class Pipelines:
    """Keeps the parts of one model, for a laptop has room for one, and makes the pipeline for each task of them."""

    def __init__(self) -> None:
        self._key: object = None
        self._card: ModelCard | None = None
        self._device: Device | None = None
        self._parts: dict[str, Any] = {}
        self._tiny: Any = None
        self._loras: list[tuple[ChosenLora, object]] | None = []
        self._changed: set[str] = set()
        self._nets: OrderedDict[object, Any] = OrderedDict()
        self.notes: tuple[str, ...] = ()
        """Sentences about what is not as it should be with the loaded model; to be said once."""

    def load(self, card: ModelCard, device: Device, report: Report) -> None:
        """Have the model's parts on the device, in its first precision. A model whose files changed is loaded again."""
        if self.holds(card, device):
            return
        self.let_go()
        folder, target = Path(card.path), BACKENDS[device.backend]
        parts = target.place(components_of(card), device.precisions[0], report)
        words = [part for part in FAMILIES[card.family].components if part.startswith("tokenizer")]
        self._parts = parts | {part: tokenizer(folder / part) for part in words}
        self._tiny, self.notes = placed_preview_decoder(folder / FOLDER, parts["vae"], target.device())
        self._card, self._device, self._key = card, device, _key(card, device)

    def change(self, loras: tuple[ChosenLora, ...]) -> tuple[str, ...]:
        """Give the loaded model these LoRAs and no others; sentences about what of them was left aside.

        Raises BadInput for a LoRA that is damaged or made for another family.
        """
        asked = [(each, _stamp_of_lora(Path(each.path))) for each in loras]
        if asked == self._loras:
            return ()
        card, backend = self._loaded()
        components = {each.part: each for each in components_of(card)}
        changes, notes = _changes(loras, {part: self._parts[part] for part in components})
        now = {each.part for each in changes}
        self._loras = None  # whatever stops the loop leaves a mixture behind
        for part in self._changed | now:
            self._changed.add(part)
            backend.merge(self._parts[part], components[part], [each for each in changes if each.part == part])
        self._changed, self._loras = now, asked
        return notes

    def nets(self, folders: tuple[str, ...], report: Report) -> list[Any]:
        """A ControlNet on the device for each folder."""
        _, backend = self._loaded()
        assert self._device is not None
        for folder in dict.fromkeys(folders):
            component = Component("controlnet", "ControlNetModel", Path(folder))
            key = _stamp(weights(component.folder))
            if key not in self._nets:
                placed = backend.place([component], self._device.precisions[0], report)
                self._nets[key] = placed["controlnet"]
            self._nets.move_to_end(key)
        while len(self._nets) > max(NETS, len(set(folders))):
            self._nets.popitem(last=False)
        return [self._nets[_stamp(weights(Path(folder)))] for folder in folders]

    def has_net(self, folder: str) -> bool:
        """Whether the ControlNet in that folder is on the device already."""
        return _stamp(weights(Path(folder))) in self._nets

    def pipeline(self, task: Task, scheduler_name: str, nets: list[Any]) -> Any:
        """diffusers' own pipeline for the task, with a fresh scheduler: schedulers carry state between pictures."""
        card, _ = self._loaded()
        family = FAMILIES[card.family]
        own = {"controlnet": _as_one(nets)} if nets else {}
        kind = diffusers_class((family.controlled if nets else family.pipelines)[task])
        steps = scheduler(Path(card.path) / "scheduler", scheduler_name)
        pipeline = kind(**self._parts, **own, scheduler=steps, **family.options)
        pipeline.set_progress_bar_config(disable=True)
        return pipeline

    @property
    def preview_decoder(self) -> Any:
        """What decodes the previews of the loaded model: its tiny decoder, or else its VAE."""
        return self._parts["vae"] if self._tiny is None else self._tiny

    @property
    def vae(self) -> Any:
        """The loaded model's autoencoder."""
        return self._parts["vae"]

    def holds(self, card: ModelCard, device: Device) -> bool:
        """Whether that model is loaded already."""
        return self._key == _key(card, device)

    def let_go(self) -> None:
        """Give the memory back."""
        self._key = self._card = self._device = self._tiny = None
        self._parts, self._loras, self._changed, self.notes = {}, [], set(), ()
        self._nets.clear()

    def _loaded(self) -> tuple[ModelCard, Backend]:
        assert self._card is not None, "load a model first"
        assert self._device is not None
        return self._card, BACKENDS[self._device.backend]


def _as_one(nets: list[Any]) -> Any:
    from engine.adapters.controlnets import ControlNets  # diffusers comes with it, and the worker starts without

    return nets[0] if len(nets) == 1 else ControlNets(nets)


def warm_up() -> None:
    """Import what every picture needs."""
    for family in FAMILIES.values():
        diffusers_class(family.pipelines["text-to-image"])


def components_of(card: ModelCard) -> list[Component]:
    """The heavy parts of a model."""
    family = FAMILIES[card.family]
    return [
        Component(part, name, Path(card.path) / part)
        for part, name in family.components.items()
        if not part.startswith(("tokenizer", "scheduler"))
    ]


def _changes(loras: tuple[ChosenLora, ...], parts: dict[str, Any]) -> tuple[list[Delta], tuple[str, ...]]:
    """What the LoRAs together change of the parts, and sentences about what has no place there."""
    shapes = {
        part: {
            path: tuple(module.weight.shape)
            for path, module in whole.named_modules()
            if getattr(module, "weight", None) is not None and module.weight.ndim > 1
        }
        for part, whole in parts.items()
    }
    every: list[Delta] = []
    notes: list[str] = []
    for lora in loras:
        file = read_lora(Path(lora.path), shapes)
        every += deltas(file, denoiser_weight=lora.weight, text_encoder_weight=lora.text_encoder_weight)
        notes += [file.note] if file.note else []
    return combined(every), tuple(notes)


def _key(card: ModelCard, device: Device) -> object:
    files = [weights(each.folder) for each in components_of(card)]
    return (device.backend, device.precisions[0], *map(_stamp, files), _stamps_of_preview(card))


def _stamps_of_preview(card: ModelCard) -> object:
    try:
        return [_stamp(path) for path in sorted((Path(card.path) / FOLDER).iterdir())]
    except OSError:  # most models have none, and one that cannot be read must not stop a drawing
        return None


def _stamp_of_lora(path: Path) -> object:
    try:
        return _stamp(path)
    except OSError as error:
        raise BadInput(
            f"The LoRA “{path.name}” is not there any more.", "Put it back, or draw without it.", "loras"
        ) from error


def _stamp(path: Path) -> tuple[str, int, int]:
    status = path.stat()
    return str(path), status.st_size, status.st_mtime_ns
