"""A diffusers pipeline from a model, a device and adapters; the last model used stays loaded."""

import gc
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.adapters.lora import combined, deltas, read_lora
from engine.backends.backend import Backend
from engine.backends.choice import BACKENDS
from engine.backends.finite import Watch
from engine.backends.offload import offload, restore
from engine.components import Component, Delta, Variation, diffusers_class, scheduler, tokenizer
from engine.errors import BadInput
from engine.families import FAMILIES
from engine.library.autoencoders import opened_autoencoder
from engine.library.nets import class_of
from engine.library.recognise import is_heavy, parts_of, weight_files, weights
from engine.messages import ChosenImagePrompt, ChosenLora, Device, ModelCard
from engine.patience import Report
from engine.preview_decoder import FOLDER, placed_preview_decoder
from engine.settings import Task

if TYPE_CHECKING:
    from PIL.Image import Image

    from engine.adapters.ip_adapter import ImagePrompts, Shown

NETS = 3
"""ControlNets that stay loaded; the least recently used goes first."""


class Pipelines:
    """Keeps the parts of one model, for a laptop has room for one, and makes the pipeline for each task of them."""

    def __init__(self) -> None:
        self._key: object = None
        self._beside: Pipelines | None = None
        self._card: ModelCard | None = None
        self._device: Device | None = None
        self._parts: dict[str, Any] = {}
        self._tiny: Any = None
        self._watch: Watch | None = None
        self._vaes: dict[object, tuple[Any, Watch]] = {}
        self._loras: list[tuple[ChosenLora, object]] | None = []
        self._changed: set[str] = set()
        self._nets: OrderedDict[object, Any] = OrderedDict()
        self._image_prompts: ImagePrompts | None = None
        self.shown: tuple[Shown, ...] = ()
        """What an image encoder saw in each image prompt."""
        self._variation = Variation()
        self.notes: tuple[str, ...] = ()
        """Sentences about what is not as it should be with the loaded model; to be said once."""

    def load(self, card: ModelCard, device: Device, report: Report) -> None:
        """Have the model's parts on the device, in its first precision. A model whose files changed is loaded again."""
        if self.holds(card, device):
            return
        self.let_go()
        folder, target = Path(card.path), BACKENDS[device.backend]
        parts = _holder(device).place(components_of(card), device.precisions[0], report)
        self._watch = Watch(parts["vae"], target.exact)
        self._vaes = {None: (parts["vae"], self._watch)}
        family = FAMILIES[card.family]
        names = parts_of(folder, family)
        words = {part: name for part, name in names.items() if part.startswith("tokenizer")}
        absent: dict[str, Any] = dict.fromkeys(family.optional - names.keys())
        self._parts = absent | parts | {part: tokenizer(folder / part, name) for part, name in words.items()}
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
        restore(self._parts.values())
        changes, notes = _changes(loras, {part: self._parts[part] for part in components})
        now = {each.part for each in changes}
        self._loras = None  # whatever stops the loop leaves a mixture behind
        for part in self._changed | now:
            self._changed.add(part)
            backend.merge(self._parts[part], components[part], [each for each in changes if each.part == part])
        self._changed, self._loras = now, asked
        return notes

    def wear(self, vae: str, report: Report) -> None:
        """Draw with the autoencoder in that folder or .safetensors file, with the model's own where it is empty.

        One other stays loaded.
        """
        card, backend = self._loaded()
        assert self._device is not None
        key = _stamp(weights(Path(vae))) if vae else None
        if key not in self._vaes:
            self._vaes = {None: self._vaes[None]}
            folder = opened_autoencoder(Path(vae), card) if Path(vae).is_file() else Path(vae)
            component = Component("vae", "AutoencoderKL", folder)
            placed = _holder(self._device).place([component], self._device.precisions[0], report)["vae"]
            self._vaes[key] = (placed, Watch(placed, backend.exact))
        self._parts["vae"], self._watch = self._vaes[key]

    def vary(self, variation: Variation, *, tiled: bool = False) -> None:
        """Let the denoiser and the autoencoder draw with that variation, and the ControlNets that are asked for next.

        An autoencoder that is `tiled` does not wrap around: a tile's edges are not the picture's. Raises BadInput
        where the model has no U-Net, and what is asked for changes one.
        """
        _, backend = self._loaded()
        denoiser = self._parts.get("unet")
        if denoiser is None:
            if variation != Variation():
                raise BadInput(
                    "FreeU, PAG and seamless pictures need a model with a U-Net, and this one has none.",
                    "Leave them off.",
                    where="seamless",
                )
            return
        backend.vary(denoiser, variation)
        backend.vary(self._parts["vae"], Variation() if tiled else Variation(variation.wrapped))
        self._variation = variation

    def nets(self, folders: tuple[str, ...], report: Report) -> list[Any]:
        """A ControlNet or T2I-Adapter on the device for each folder."""
        _, backend = self._loaded()
        assert self._device is not None
        for folder in dict.fromkeys(folders):
            component = Component("controlnet", class_of(Path(folder)), Path(folder))
            key = _stamps(component.folder)
            if key not in self._nets:
                placed = _holder(self._device).place([component], self._device.precisions[0], report)
                self._nets[key] = placed["controlnet"]
            self._nets.move_to_end(key)
            backend.vary(self._nets[key], Variation(self._variation.wrapped))
        while len(self._nets) > max(NETS, len(set(folders))):
            self._nets.popitem(last=False)
        return [self._nets[_stamps(Path(folder))] for folder in folders]

    @property
    def beside(self) -> "Pipelines":
        """What keeps a second model, one that finishes what this one begins."""
        if self._beside is None:
            self._beside = Pipelines()
        return self._beside

    def show(self, chosen: tuple[ChosenImagePrompt, ...], read: "Callable[[Path], Image]", report: Report) -> None:
        """Let the loaded model draw with these pictures as prompts and no others; `read` opens one.

        Raises BadInput for an IP-Adapter that is damaged or does not fit, and OutOfMemory.
        """
        if not chosen and self._image_prompts is None:
            return
        from engine.adapters.ip_adapter import ImagePrompts  # diffusers comes with it, and the worker starts without

        assert self._device is not None
        device = self._device

        def encoder(folder: Path) -> Any:
            component = Component("image_encoder", "CLIPVisionModelWithProjection", folder)
            return BACKENDS[device.backend].place([component], device.precisions[0], report)[component.part]

        restore(self._parts.values())  # beside a layer whose weights wait elsewhere nothing can be put
        self._image_prompts = self._image_prompts or ImagePrompts(self._parts["unet"])
        self.shown = self._image_prompts.show(chosen, read, encoder)

    def has_net(self, folder: str) -> bool:
        """Whether the ControlNet in that folder is on the device already."""
        return _stamps(Path(folder)) in self._nets

    def pipeline(self, task: Task, scheduler_name: str, controlnet: Any) -> Any:
        """diffusers' own pipeline for the task, with a fresh scheduler: schedulers carry state between pictures."""
        card, backend = self._loaded()
        family = FAMILIES[card.family]
        own = {} if controlnet is None else {"controlnet": controlnet}
        kind = diffusers_class((family.controlled if own else family.pipelines)[task])
        steps = scheduler(Path(card.path) / "scheduler", family.schedulers[family.scheduler(scheduler_name)])
        restore([*self._parts.values(), controlnet])  # nets for 3.5 large take weights of the model's as it is made
        pipeline = kind(**self._parts, **own, scheduler=steps, **family.options)
        pipeline.set_progress_bar_config(disable=True)
        assert self._device is not None
        if self._device.sliced_attention:
            pipeline.enable_attention_slicing()
        if self._device.offload:
            offload(pipeline, self._device.offload, backend.device())
        return pipeline

    @property
    def preview_decoder(self) -> Any:
        """What decodes the previews of the loaded model: its tiny decoder, or else its VAE."""
        return self._parts["vae"] if self._tiny is None else self._tiny

    @property
    def denoiser(self) -> Any:
        """The loaded model's U-Net or transformer."""
        return self._parts.get("unet") or self._parts["transformer"]

    @property
    def vae(self) -> Any:
        """The loaded model's autoencoder."""
        return self._parts["vae"]

    def mended(self) -> tuple[str, ...]:
        """What the loaded model's autoencoder does otherwise so that it gives numbers; sentences."""
        overflows = self._watch is not None and self._watch.overflows
        return ("The picture is decoded in fp32, because the numbers overflowed.",) if overflows else ()

    def holds(self, card: ModelCard, device: Device) -> bool:
        """Whether that model is loaded already."""
        return self._key == _key(card, device)

    def let_go(self) -> None:
        """Give the memory back."""
        self._key = self._card = self._device = self._tiny = self._watch = self._beside = None
        self._parts, self._loras, self._changed, self.notes = {}, [], set(), ()
        self._image_prompts, self.shown = None, ()
        self._nets.clear()
        self._vaes.clear()
        gc.collect()  # modules refer to themselves

    def _loaded(self) -> tuple[ModelCard, Backend]:
        assert self._card is not None, "load a model first"
        assert self._device is not None
        return self._card, BACKENDS[self._device.backend]


def _holder(device: Device) -> Backend:
    """Whose memory the parts wait in."""
    return BACKENDS["torch" if device.offload else device.backend]


def warm_up() -> None:
    """Import what every picture needs."""
    for family in FAMILIES.values():
        diffusers_class(next(iter(family.pipelines.values())))


def components_of(card: ModelCard) -> list[Component]:
    """The heavy parts of a model."""
    folder = Path(card.path)
    names = parts_of(folder, FAMILIES[card.family])
    return [Component(part, name, folder / part) for part, name in names.items() if is_heavy(part)]


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
        weights = {"denoiser_weight": lora.weight, "text_encoder_weight": lora.text_encoder_weight}
        every += deltas(file, **weights, blocks=lora.blocks or None)
        notes += [file.note] if file.note else []
    return combined(every), tuple(notes)


def _key(card: ModelCard, device: Device) -> object:
    files = [file for each in components_of(card) for file in weight_files(each.folder)]
    kept = (device.backend, device.precisions[0], device.offload, device.sliced_attention)
    return (*kept, *map(_stamp, files), _stamps_of_preview(card))


def _stamps(net: Path) -> object:
    return tuple(map(_stamp, weight_files(net)))


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
