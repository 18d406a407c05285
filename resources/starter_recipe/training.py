"""A training of so many minutes that can be stopped at any moment and taken up again."""

import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Protocol

import torch

SAVE_EVERY_SECONDS = 120
REPORT_EVERY = 25


class Stateful(Protocol):
    """What can be kept in a checkpoint: modules and optimizers."""

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state_dict: dict[str, Any], /) -> Any: ...


class Training:
    """Counts the steps and the time of one training, and keeps its parts in one file."""

    def __init__(self, path: Path, minutes: float, **kept: Stateful) -> None:
        """Take up what `path` holds, where it is there."""
        self.path, self.seconds, self.kept = path, minutes * 60, kept
        self.step, self.spent = 0, 0.0
        self._losses: list[float] = []
        if path.exists():
            state = torch.load(path, weights_only=True)
            for name in kept.keys() & state.keys():
                kept[name].load_state_dict(state[name])
            self.step, self.spent = state["step"], state["spent"]

    def steps(self) -> Iterator[float]:
        """The share of the time that has passed, once a step; saves now and then and at the end."""
        began = saved = time.monotonic() - self.spent
        while (now := time.monotonic()) - began < self.seconds:
            yield (now - began) / self.seconds
            self.step += 1
            if now - saved > SAVE_EVERY_SECONDS:
                self._save(now - began)
                saved = now
        if self.spent < self.seconds:
            self._save(self.seconds)

    def descend(self, loss: torch.Tensor, optimizer: torch.optim.Optimizer, rate: float) -> None:
        """One step down the gradient of `loss`, clipped to a norm of 1, at a learning rate."""
        weights: Iterable[torch.Tensor] = [each for group in optimizer.param_groups for each in group["params"]]
        for group in optimizer.param_groups:
            group["lr"] = rate
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        self._losses.append(loss.item())
        if len(self._losses) == REPORT_EVERY:
            mean = sum(self._losses) / REPORT_EVERY
            print(f"{self.path.stem} step {self.step + 1} loss {mean:.4f}", flush=True)
            self._losses.clear()

    def _save(self, spent: float) -> None:
        self.spent = spent
        part = self.path.with_suffix(".part")
        torch.save(
            {name: each.state_dict() for name, each in self.kept.items()} | {"step": self.step, "spent": spent}, part
        )
        part.rename(self.path)


def begin(path: Path, *, spent_minutes: float = 0.0, **kept: Stateful) -> None:
    """Write the checkpoint that a training takes up as if it had come to these parts; the others start afresh."""
    parts = {name: each.state_dict() for name, each in kept.items()}
    torch.save(parts | {"step": 0, "spent": spent_minutes * 60}, path)


def falling(done: float, step: int, warm: int = 100) -> float:
    """The share of the full learning rate: rising over the first steps, then falling straight to a fiftieth."""
    return min(1.0, (step + 1) / warm) * max(0.02, 1 - done)


@torch.no_grad()
def blend(average: torch.nn.Module, model: torch.nn.Module, keep: float) -> None:
    """Move the moving average of the weights towards the weights."""
    for slow, fast in zip(average.parameters(), model.parameters(), strict=True):
        slow.lerp_(fast, 1 - keep)
