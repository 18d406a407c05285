"""Low-rank changes of the denoiser (Hu et al. 2021): put in for training, written under kohya's names."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from diffusers import UNet2DConditionModel
from safetensors.torch import load_file, save_file
from torch.nn.functional import conv2d, linear

from engine.formats.lora_keys import ALPHA, DOWN, UP, kohya_name, modules_by_kohya_name

EVERYTHING = ("attentions.", "resnets.", "samplers.")
"""The modules that are changed: all of the transformer and residual blocks, convolutions as LoCon has them, too."""


class LowRank(torch.nn.Module):
    """The factors of every Linear and Conv2d that `chosen` names, and the denoiser they are added to while it runs."""

    def __init__(self, denoiser: UNet2DConditionModel, rank: int, chosen: tuple[str, ...]) -> None:
        super().__init__()
        self.rank, self.strength = rank, 1.0
        self.paths = [path for path, module in denoiser.named_modules() if _fits(path, module, chosen)]
        self.downs, self.ups = torch.nn.ParameterList(), torch.nn.ParameterList()
        for place, path in enumerate(self.paths):
            module = denoiser.get_submodule(path)
            assert isinstance(module, torch.nn.Linear | torch.nn.Conv2d)
            weight = module.weight
            down = torch.randn(rank, *weight.shape[1:]) / weight[0].numel() ** 0.5
            self.downs.append(torch.nn.Parameter(down))
            self.ups.append(torch.nn.Parameter(torch.zeros(len(weight), rank, *([1] * (weight.ndim - 2)))))
            module.register_forward_hook(self._adding(place))

    @contextmanager
    def silent(self) -> Iterator[None]:
        """The denoiser as it was."""
        before, self.strength = self.strength, 0.0
        try:
            yield
        finally:
            self.strength = before

    def _adding(self, place: int) -> Callable[[torch.nn.Module, tuple[torch.Tensor], torch.Tensor], torch.Tensor]:
        def add(module: torch.nn.Module, seen: tuple[torch.Tensor], out: torch.Tensor) -> torch.Tensor:
            if self.strength == 0:
                return out
            down, up = self.downs[place], self.ups[place]
            if isinstance(module, torch.nn.Conv2d):
                low = conv2d(seen[0], down, None, module.stride, module.padding)
                return out + self.strength * conv2d(low, up)
            return out + self.strength * linear(linear(seen[0], down), up)

        return add

    def save(self, path: Path, metadata: dict[str, str]) -> None:
        """Write the factors in float16 under kohya's names, alpha equal to the rank."""
        tensors: dict[str, torch.Tensor] = {}
        for module, down, up in zip(self.paths, self.downs, self.ups, strict=True):
            name = kohya_name("unet", module)
            tensors |= {name + DOWN: down.detach().half().contiguous(), name + UP: up.detach().half().contiguous()}
            tensors[name + ALPHA] = torch.tensor(float(self.rank), dtype=torch.float16)
        save_file(tensors, path, metadata | {"ss_network_dim": str(self.rank), "ss_network_alpha": str(self.rank)})


def _fits(path: str, module: torch.nn.Module, chosen: tuple[str, ...]) -> bool:
    return isinstance(module, torch.nn.Linear | torch.nn.Conv2d) and any(part in path for part in chosen)


@contextmanager
def merged(denoiser: UNet2DConditionModel, file: Path, weight: float) -> Iterator[None]:
    """The denoiser with the changes of a kohya file added `weight` times; afterwards as it was."""
    tensors = load_file(file)
    known = modules_by_kohya_name({"unet": dict(denoiser.named_modules())})
    before: dict[str, torch.Tensor] = {}
    for name in {key.split(".", 1)[0] for key in tensors}:
        path = known[name][1]
        weights = denoiser.get_parameter(path + ".weight")
        before[path] = weights.detach().clone()
        down, up = tensors[name + DOWN].float(), tensors[name + UP].float()
        change = (up.flatten(1) @ down.flatten(1)).reshape(weights.shape)
        weights.data += weight * float(tensors[name + ALPHA]) / len(down) * change
    try:
        yield
    finally:
        for path, weights in before.items():
            denoiser.get_parameter(path + ".weight").data.copy_(weights)
