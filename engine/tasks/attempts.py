"""The ways to make one picture, taken one after the other: a smaller one when memory runs out, a finer on overflow."""

import gc
from itertools import chain
from math import prod
from pathlib import Path

import torch
from msgspec import structs

from engine.backends.openvino import unprepared
from engine.components import Component
from engine.errors import OutOfMemory, Overflowed
from engine.formats.safetensors import read_header
from engine.library.nets import class_of
from engine.memory import Plan, Work, as_gigabytes, fits, free_bytes, needed_bytes, plans, widths
from engine.messages import Device, Draw
from engine.pipelines import Pipelines, components_of
from engine.settings import GenerateSettings
from engine.tasks.draw import drawn_last

_EXACT = "fp32"


class Attempts:
    """What was tried for a picture, and what is left to try. The seed and the settings stay what they are."""

    def __init__(self, pipelines: Pipelines, order: Draw, devices: list[Device], before: Plan | None = None) -> None:
        """`before` is how the job's last picture was made in the end: nothing that failed for it is tried again."""
        self._pipelines, self._order, self._devices = pipelines, order, devices
        self._largest = drawn_last(order.settings, order.model)
        self._is_drawn = self._largest.task != "upscale" or bool(self._largest.strength)
        self._components = tuple(components_of(order.model)) if self._is_drawn else ()
        self._left = plans(devices, self._largest)
        self._ran_out_on = ""
        self.notes: tuple[str, ...] = ()
        """Why it was begun again, in sentences."""
        if before is not None:
            self._left = [before, *self._left[self._left.index(before) + 1 if before in self._left else 0 :]]
        if order.deaths:
            smaller = self._smaller()
            self._left = (smaller if order.deaths == 1 else smaller[-1:]) or self._left[-1:]
            self.notes = ("The engine stopped on this picture, so it is made again with less memory.",)

    def plan(self) -> Plan:
        """The first way that is left and fits; where memory ran out for all that was estimated, the next one anyway.

        Raises OutOfMemory where there is none.
        """
        for place, plan in enumerate(self._left):
            if self._is_drawn and not self._pipelines.holds(self._order.model, plan.device):
                self._pipelines.let_go()  # it would have to, and what it holds counts as free
            if plan.device.backend == self._ran_out_on or fits(plan, self._work(plan)):
                self._left = self._left[place:]
                return plan
        raise self._refusal()

    def without_memory(self) -> None:
        """The last plan ran out of memory: on to those that need less."""
        if not self._ran_out_on:
            self.notes = (*self.notes, "The memory ran out, so the picture was begun again.")
        self._ran_out_on = self._left[0].device.backend
        self._left = self._smaller()
        self._pipelines.let_go()  # libraries that ran out of memory hold on to some of what they had
        _collect()

    def without_numbers(self, error: Overflowed) -> None:
        """The last plan's numbers overflowed: again in float32. Raises the error where they are that already."""
        device = self._left[0].device
        able = next(each for each in self._devices if each.backend == device.backend).precisions
        if device.precisions[0] == _EXACT or _EXACT not in able:
            raise error
        exact = structs.replace(self._largest, backend=device.backend, precision=_EXACT)
        self._left = plans(self._devices, exact)
        self.notes = (*self.notes, f"The numbers overflowed, so the picture was begun again in {_EXACT}.")
        _collect()

    def _smaller(self) -> list[Plan]:
        failed = self._left[0]
        limit = needed_bytes(failed, self._whole())
        return [
            plan
            for plan in self._left[1:]
            if plan.device.backend != failed.device.backend or needed_bytes(plan, self._whole()) < limit
        ]

    def _work(self, plan: Plan) -> Work:
        """What the plan has to do beyond what is loaded."""
        held = self._pipelines.holds(self._order.model, plan.device)
        nets = [folder for folder in self._nets() if not (held and self._pipelines.has_net(folder))]
        missing = [[Component("controlnet", class_of(Path(folder)), Path(folder))] for folder in nets]
        if not held:
            missing.append(list(self._components))
        refiner = self._order.refiner
        if refiner is not None and not (held and self._pipelines.beside.holds(refiner, plan.device)):
            missing.append(components_of(refiner))
        convert: list[Component] = []
        if plan.device.backend == "openvino":
            convert = [each for group in missing for each in unprepared(group, plan.device.precisions[0])]
        return self._whole()._replace(load=tuple(chain(*missing)), convert=tuple(convert))

    def _whole(self) -> Work:
        """What there is to do where nothing is loaded."""
        if not self._is_drawn:
            return Work((), 0, 0, (0, 0), (0, 0), 1)
        settings = self._largest
        size = (settings.width or 0, settings.height or 0)
        window = self._order.model.native_size * 3 // 2 if settings.task == "upscale" else max(size)
        seen = (min(size[0], window), min(size[1], window))
        shown = self._order.adapters.image_prompts
        encoders = [Component("image_encoder", "CLIPVisionModelWithProjection", Path(each.encoder)) for each in shown]
        added = sum(prod(tensor.shape) for each in shown for tensor in read_header(Path(each.adapter)).tensors.values())
        return Work(
            self._components,
            *widths(self._components),
            size,
            seen,
            _examples(settings),
            passing=tuple(encoders),
            added=added,
        )

    def _nets(self) -> list[str]:
        return list(dict.fromkeys(self._order.adapters.nets)) if self._is_drawn else []

    def _refusal(self) -> OutOfMemory:
        advice = "Use a smaller size or a smaller model, or close other programs."
        if self._ran_out_on:
            return OutOfMemory("The memory ran out while the picture was made, however it was done.", advice)
        least = min(self._left, key=lambda plan: needed_bytes(plan, self._work(plan)))
        needed, free = needed_bytes(least, self._work(least)), free_bytes(least.device)
        return OutOfMemory(
            f"This picture needs about {as_gigabytes(needed)} of memory and {as_gigabytes(free)} is free.", advice
        )


def _examples(settings: GenerateSettings) -> int:
    return 2 if settings.guidance_scale > 1 else 1


def _collect() -> None:
    """Give back what nothing refers to any more; modules refer to themselves."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    elif torch.backends.mps.is_available():
        torch.mps.empty_cache()
