"""The schedulers people know by name, each as a diffusers class and the options that make it."""

from collections.abc import Mapping
from typing import NamedTuple


class Scheduler(NamedTuple):
    """A scheduler's diffusers class, its options there, and its two names in A1111's text."""

    diffusers_class: str
    options: Mapping[str, object]
    sampler: str
    schedule_type: str = "Automatic"
    max_steps: int = 1000


_DPM_2M = {"algorithm_type": "dpmsolver++", "solver_order": 2}
_SDE = {"algorithm_type": "sde-dpmsolver++", "solver_order": 2}
_KARRAS = {"use_karras_sigmas": True}
_TRAILING = {"timestep_spacing": "trailing"}

SCHEDULERS: dict[str, Scheduler] = {
    "DPM++ 2M": Scheduler("DPMSolverMultistepScheduler", _DPM_2M, "DPM++ 2M"),
    "DPM++ 2M Karras": Scheduler("DPMSolverMultistepScheduler", _DPM_2M | _KARRAS, "DPM++ 2M", "Karras"),
    "DPM++ 2M trailing": Scheduler("DPMSolverMultistepScheduler", _DPM_2M | _TRAILING, "DPM++ 2M", "SGM Uniform"),
    "DPM++ 2M SDE": Scheduler("DPMSolverMultistepScheduler", _SDE, "DPM++ 2M SDE"),
    "DPM++ 2M SDE Karras": Scheduler("DPMSolverMultistepScheduler", _SDE | _KARRAS, "DPM++ 2M SDE", "Karras"),
    "DPM++ 2S": Scheduler("DPMSolverSinglestepScheduler", {"algorithm_type": "dpmsolver++"}, "DPM++ 2S"),
    "Euler": Scheduler("EulerDiscreteScheduler", {}, "Euler"),
    "Euler Karras": Scheduler("EulerDiscreteScheduler", _KARRAS, "Euler", "Karras"),
    "Euler trailing": Scheduler("EulerDiscreteScheduler", _TRAILING, "Euler", "SGM Uniform"),
    "Euler a": Scheduler("EulerAncestralDiscreteScheduler", {}, "Euler a"),
    "Euler a trailing": Scheduler("EulerAncestralDiscreteScheduler", _TRAILING, "Euler a", "SGM Uniform"),
    "Heun": Scheduler("HeunDiscreteScheduler", {}, "Heun"),
    "DPM2": Scheduler("KDPM2DiscreteScheduler", {}, "DPM2"),
    "DPM2 a": Scheduler("KDPM2AncestralDiscreteScheduler", {}, "DPM2 a"),
    "DDIM": Scheduler("DDIMScheduler", {}, "DDIM"),
    "DDIM trailing": Scheduler("DDIMScheduler", _TRAILING, "DDIM", "SGM Uniform"),
    "DDPM": Scheduler("DDPMScheduler", {}, "DDPM"),
    "PNDM": Scheduler("PNDMScheduler", {"skip_prk_steps": True}, "PLMS"),
    "UniPC": Scheduler("UniPCMultistepScheduler", {}, "UniPC"),
    "DEIS": Scheduler("DEISMultistepScheduler", {}, "DEIS"),
    "LCM": Scheduler("LCMScheduler", {}, "LCM", max_steps=50),
    "TCD": Scheduler("TCDScheduler", {}, "TCD", max_steps=50),
}

FLOW: dict[str, Scheduler] = {
    "Euler": Scheduler("FlowMatchEulerDiscreteScheduler", {}, "Euler"),
    "Euler Karras": Scheduler("FlowMatchEulerDiscreteScheduler", _KARRAS, "Euler", "Karras"),
    "Heun": Scheduler("FlowMatchHeunDiscreteScheduler", {}, "Heun"),
}
"""Those of models that predict a flow from noise to picture, under the same names."""
