"""What a family of models declares: names and numbers only, no torch."""

from typing import NamedTuple


class Family(NamedTuple):
    """One architecture, told apart by the configuration of its denoiser."""

    name: str
    label: str
    pipeline: str
    """The diffusers pipeline class for text-to-image."""
    components: dict[str, str]
    """Component folder → the only class allowed in it. A model folder that names another is refused."""
    cross_attention_dim: int

    def recognises(self, denoiser_config: dict[str, object]) -> bool:
        """Whether a denoiser with this diffusers configuration is of the family."""
        return denoiser_config.get("cross_attention_dim") == self.cross_attention_dim
