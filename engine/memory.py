"""What a picture needs in memory, what is free, and the ways to make it that need less and less."""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
import psutil

from engine.backends.choice import choose
from engine.components import Component, numbers
from engine.library.recognise import read_json
from engine.messages import Device
from engine.settings import GenerateSettings

_BYTES = {"int8": 1.6, "bf16": 2.0, "fp16": 2.0, "fp32": 4.0}
"""Of a number of the weights; of int8 graphs the narrow layers, too, which are not in int8."""
_COMPILED = 1.15
"""What a compiled graph holds beyond its weights, measured: 4.5 bytes a number in float32, 2.5 in bfloat16."""
_DENOISER_MAPS = {"openvino": 26, "torch": 62}
"""Peak of a denoiser's activations in maps of its first width and the latents' size; measured on SD 1.5's shape:
24 to 25 on OpenVINO, which draws one example at a time, 33 to 62 on torch."""
_VAE_MAPS = 8
"""The same of decoding, in maps of the decoder's last width and the picture's size; measured 7.8 and 6.3."""
_CONVERTING = {"int8": 5.4}
_CONVERTING_FLOAT = 1.6
"""Of a number of the weights of the largest part that is converted for OpenVINO, whose float32 weights lie in a file;
and what the libraries take beside it."""
_CONVERTER = 600 * 2**20
_SPARE = 400 * 2**20
"""Libraries, and what the system needs to stay quick."""
_PATCH = 4
"""Latents in a token of Stable Diffusion 3 and FLUX.1."""
TILES = (512, 256)
"""Pixels a side of the tiles in which pictures are decoded where memory is short."""
_GRAPHICS = ("cuda", "mps")


class Plan(NamedTuple):
    """A way to make a picture."""

    device: Device
    tile: int = 0
    """Pixels a side of the tiles in which it is decoded; 0 for whole."""
    notes: tuple[str, ...] = ()
    """What is done otherwise because memory is short, in sentences."""


class Work(NamedTuple):
    """What there is to do, as far as memory is concerned."""

    load: tuple[Component, ...]
    """Parts that are not on the device yet, a refiner's among them."""
    denoiser_width: int
    vae_width: int
    size: tuple[int, int]
    """Of the picture, in pixels."""
    seen: tuple[int, int]
    """Of what the denoiser sees of it at once."""
    examples: int
    """Two where a prompt guides against another."""
    convert: tuple[Component, ...] = ()
    """Parts that must be converted for OpenVINO first."""
    passing: tuple[Component, ...] = ()
    """Parts that look at pictures before the first step, and are let go again."""
    added: int = 0
    """Numbers that image prompts add to the denoiser; they stay in float32."""


def plans(devices: Sequence[Device], settings: GenerateSettings) -> list[Plan]:
    """The ways to make a picture of these settings, the fastest first: decoded in smaller and smaller tiles, attention
    in slices, the parts and then the layers of the model in turns, fewer bits, and at last on the processor, or by
    torch where OpenVINO would have drawn.

    A backend or a precision that was chosen stays. Raises BadInput for one that is not here.
    """
    side = max(settings.width or 0, settings.height or 0)
    tiles = (0, *(tile for tile in TILES if tile < side))
    found: list[Plan] = []
    for device, why in _devices(devices, settings):
        for changed, how in _frugal(device):
            for tile in tiles:
                decoded = ("The picture is decoded in tiles, because memory is short.",) if tile else ()
                found.append(Plan(changed, tile, (*why, *how, *decoded)))
    return found


def _devices(devices: Sequence[Device], settings: GenerateSettings) -> Iterator[tuple[Device, tuple[str, ...]]]:
    """What may draw, each with its one precision and why it has its turn."""
    first = choose(devices, settings.backend, settings.precision)
    yield first, ()
    here = {device.backend: device for device in devices if device.here}
    if settings.precision == "auto":
        for precision in here[first.backend].precisions:
            if _BYTES[precision] < _BYTES[first.precisions[0]]:
                fewer = msgspec.structs.replace(first, precisions=(precision,))
                yield fewer, ("Fewer bits are used, because memory is short.",)
    if settings.backend != "auto":
        return
    if first.backend in _GRAPHICS:
        processor = next(device for device in devices if device.here and device.backend not in _GRAPHICS)
        same = settings.precision if settings.precision in processor.precisions else processor.precisions[0]
        slower = msgspec.structs.replace(processor, precisions=(same,))
        yield slower, ("The processor draws, because the graphics card has too little memory.",)
    if first.backend == "openvino" and "torch" in here:  # it converts nothing, which takes more than drawing does
        least = min(here["torch"].precisions, key=lambda precision: _BYTES[precision])
        same = settings.precision if settings.precision in here["torch"].precisions else least
        slower = msgspec.structs.replace(here["torch"], precisions=(same,))
        yield slower, ("Torch draws, more slowly, because memory is too short to convert the model for OpenVINO.",)


def _frugal(device: Device) -> list[tuple[Device, tuple[str, ...]]]:
    """The same device used with less and less of its memory.

    Attention in slices is for Apple's graphics alone: elsewhere torch's own needs less (measured on the processor: 284
    MB, in slices 728).
    """
    changed = {
        "mps": (("sliced_attention", True, "Attention is computed in slices, because memory is short."),),
        "cuda": (
            ("offload", "model", "The model's parts take turns on the graphics card, because memory is short."),
            ("offload", "sequential", "The model's layers take turns on the graphics card, because memory is short."),
        ),
    }.get(device.backend, ())
    more = [(msgspec.structs.replace(device, **{field: value}), (note,)) for field, value, note in changed]
    return [(device, ()), *more]


def widths(components: Sequence[Component]) -> tuple[int, int]:
    """Of a model's parts, the denoiser's first width, and the autoencoder's."""
    configs = {each.part: read_json(each.folder / "config.json") for each in components}
    denoiser = configs.get("unet") or configs.get("transformer") or {}
    heads, size = denoiser.get("num_attention_heads"), denoiser.get("attention_head_dim")
    as_tokens = heads * size // _PATCH if isinstance(heads, int) and isinstance(size, int) else 0
    return _first(denoiser.get("block_out_channels"), as_tokens), _first(configs["vae"].get("block_out_channels"), 128)


def _first(found: object, otherwise: int) -> int:
    return found[0] if isinstance(found, list) and found and isinstance(found[0], int) else otherwise


def _bytes_a_number(component: Component, device: Device) -> float:
    """Of its weights; OpenVINO keeps T5's in float32 where others have bfloat16."""
    is_exact = device.backend == "openvino" and component.class_name == "T5EncoderModel"
    precision = device.precisions[0]
    return _BYTES["fp32" if is_exact and precision == "bf16" else precision]


def needed_bytes(plan: Plan, work: Work) -> int:
    """What the plan takes of the device's memory at its peak, beyond what is taken already."""
    each_number = _CONVERTING.get(plan.device.precisions[0], _CONVERTING_FLOAT)
    converting = max((numbers(each) * each_number + _CONVERTER for each in work.convert), default=0)
    return max(int(converting), _drawing_bytes(plan, work))


def _drawing_bytes(plan: Plan, work: Work) -> int:
    device = plan.device
    openvino = device.backend == "openvino"
    bytes_a_number = _BYTES[device.precisions[0]]
    counts = [numbers(each) for each in work.load] or [0]
    held = sum(numbers(each) * _bytes_a_number(each, device) for each in work.load)
    weights = held * (_COMPILED if openvino else 1)
    if device.offload:
        weights = max(counts) * bytes_a_number * (0.1 if device.offload == "sequential" else 1)
    latents, width = _area(work.seen) // 64, work.denoiser_width
    maps = _DENOISER_MAPS["openvino" if openvino else "torch"] * (1 if openvino else work.examples)
    kept = max(bytes_a_number, 2.0)
    drawing = latents * width * maps * kept
    decoding = _area(work.size, plan.tile) * work.vae_width * _VAE_MAPS * (4.0 if openvino else kept)
    looking = max((numbers(each) * 4.0 for each in work.passing), default=0)
    spare = _SPARE if work.load else _SPARE // 4
    return int(weights + work.added * 4 + max(drawing, decoding, looking) + _area(work.size) * 24 + spare)


def _area(size: tuple[int, int], tile: int = 0) -> int:
    width, height = (min(side, tile or side) for side in size)
    return width * height


def fits(plan: Plan, work: Work) -> bool:
    """Whether there is room for the plan now."""
    if plan.device.offload:  # the whole model waits in the machine's memory
        whole = sum(map(numbers, work.load)) * _BYTES[plan.device.precisions[0]]
        if whole > _machine_bytes():
            return False
    return needed_bytes(plan, work) <= free_bytes(plan.device)


def free_bytes(device: Device) -> int:
    """What is free on the device now, as far as this process may take it."""
    if device.backend != "cuda":
        return _machine_bytes()
    import torch

    unused = torch.cuda.memory_reserved() - torch.cuda.memory_allocated()
    return torch.cuda.mem_get_info()[0] + unused


def _machine_bytes() -> int:
    """Of the machine's memory: what is free, within the limits of a container and of `ulimit -v`."""
    free = [psutil.virtual_memory().available, *_cgroup_bytes(Path("/proc/self/cgroup"), Path("/sys/fs/cgroup"))]
    if sys.platform != "win32":
        import resource

        limit = resource.getrlimit(resource.RLIMIT_AS)[0]
        if limit != resource.RLIM_INFINITY:
            free.append(limit - psutil.Process().memory_info().vms)
    return max(0, min(free))


def _cgroup_bytes(own: Path, mount: Path) -> Iterator[int]:
    """What each control group that this process is in leaves free (Linux; https://docs.kernel.org/admin-guide/).

    Read from /proc/self/cgroup and the hierarchies of version 2 (memory.max) and 1 (memory.limit_in_bytes).
    """
    try:
        lines = own.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers:
            yield from _limits(mount, path, ("memory.max", "memory.current", "inactive_file"))
        elif "memory" in controllers.split(","):
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
            yield from _limits(mount / "memory", path, names)


def _limits(root: Path, path: str, names: tuple[str, str, str]) -> Iterator[int]:
    """From the group up to the root; in a container the path may be the host's, and the root is the container's."""
    parts = Path(path.lstrip("/")).parts
    limit, usage, reclaimable = names
    for length in range(len(parts), -1, -1):
        group = root.joinpath(*parts[:length])
        try:
            allowed, used = int((group / limit).read_text()), int((group / usage).read_text())
            statistics = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
        except (OSError, ValueError):  # no such group here, or no limit: the word “max”
            continue
        yield allowed - used + int(statistics.get(reclaimable, 0))


def as_gigabytes(amount: int) -> str:
    """An amount of memory for a sentence."""
    return f"{amount / 1e9:.1f} GB"
