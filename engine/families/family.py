"""What a family of models declares: names and numbers only, no torch."""

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from msgspec import structs

from engine.schedulers import SCHEDULERS, Scheduler
from engine.settings import GenerateSettings, Task, fields


class Family(NamedTuple):
    """One architecture, told apart by the configuration of its denoiser."""

    name: str
    label: str
    pipelines: dict[Task, str]
    """Task → its diffusers pipeline class."""
    controlled: dict[Task, str]
    """The same, with ControlNets; empty for a family that takes none."""
    components: dict[str, str]
    """Component folder → the only class allowed in it. A model folder that names another is refused."""
    options: dict[str, object]
    """What else its pipelines are made with."""
    marks: dict[str, object]
    """Fields of the denoiser's configuration, and the values that only this family has there."""
    denoiser: Literal["unet", "transformer"] = "unet"
    """The component that predicts, step by step."""
    optional: frozenset[str] = frozenset()
    """Components that a model may leave out."""
    native_latents: int = 0
    """Latents a side of a picture in its own size; 0 for what the denoiser's configuration says."""
    schedulers: Mapping[str, Scheduler] = SCHEDULERS
    """Those it can use, by the names people know; the first one is its own."""
    defaults: Mapping[str, Any] = {}
    """Values of settings that suit it better than the usual ones."""
    refined_by: frozenset[str] = frozenset()
    """The families that can finish its pictures, being of the same latents and the same noise."""
    without: frozenset[str] = frozenset()
    """Settings that it cannot use; what they say is left aside."""
    prefixes: Mapping[str, tuple[str, ...]] = {}
    """Text encoder → what the names of its tensors may begin with in a single file."""
    unprojected: frozenset[str] = frozenset()
    """Text encoders that are projected, as their class has it, by a matrix that changes nothing, whatever a single file
    says. Sources: sd3.5, `other_impls.py`; diffusers, `create_diffusers_clip_model_from_ldm`."""
    velocity_latents: int = 0
    """Latents a side of the pictures that its models for velocity were made with; 0 where none is without a mark."""
    unguided: Mapping[str, Any] = {}
    """What the scheduler of a model that reads no guidance scale has otherwise."""
    autoencoder_of: str = ""
    """The family whose autoencoder it has; empty for one of its own."""
    has_lone_autoencoder: bool = False
    """Whether an autoencoder in a file of its own is this family's, where no header tells it from another's."""
    modelspec: tuple[str, str] = ("", "")
    """How checkpoints name it in their metadata (https://github.com/Stability-AI/ModelSpec), if they predict the noise
    and if they predict velocity; empty for a family that Easel writes none of."""

    def shares_autoencoder(self, other: "Family") -> bool:
        """Whether the two have the same autoencoder."""
        return (self.autoencoder_of or self.name) == (other.autoencoder_of or other.name)

    def recognises(self, denoiser_config: dict[str, object]) -> bool:
        """Whether a denoiser with this diffusers configuration is of the family."""
        return all(denoiser_config.get(name) == value for name, value in self.marks.items())

    def scheduler(self, asked: str) -> str:
        """The scheduler that is used where this one is asked for: itself, or the family's own."""
        return asked if asked in self.schedulers else next(iter(self.schedulers))

    def suited(self, settings: GenerateSettings, before: "Family") -> GenerateSettings:
        """The settings for a model of this family, where one of `before` drew: what was as usual there is so here."""
        plain = GenerateSettings()
        changed = {
            name: self.defaults.get(name, getattr(plain, name))
            for name in {*self.defaults, *before.defaults}
            if getattr(settings, name) == before.defaults.get(name, getattr(plain, name))
        }
        return structs.replace(settings, **changed)

    def notes(self, asked: GenerateSettings) -> tuple[str, ...]:
        """What of the settings is left aside, in sentences."""
        scheduler = self.scheduler(asked.scheduler)
        said = [f"{self.label} cannot use the scheduler {asked.scheduler}; {scheduler} draws instead."]
        if scheduler == asked.scheduler:
            said = []
        for field in fields():
            if field.name in self.without and getattr(asked, field.name) != field.default:
                said.append(f"{self.label} does without a {field.setting.label.lower()}; it is left aside.")
        return tuple(said)
