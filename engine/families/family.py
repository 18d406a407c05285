"""What a family of models declares: names and numbers only, no torch."""

from typing import NamedTuple

from engine.settings import Task


class Family(NamedTuple):
    """One architecture, told apart by the configuration of its denoiser."""

    name: str
    label: str
    pipelines: dict[Task, str]
    """Task → its diffusers pipeline class."""
    controlled: dict[Task, str]
    """The same, with ControlNets."""
    components: dict[str, str]
    """Component folder → the only class allowed in it. A model folder that names another is refused."""
    options: dict[str, object]
    """What else its pipelines are made with."""
    cross_attention_dim: int

    def recognises(self, denoiser_config: dict[str, object]) -> bool:
        """Whether a denoiser with this diffusers configuration is of the family."""
        return denoiser_config.get("cross_attention_dim") == self.cross_attention_dim
