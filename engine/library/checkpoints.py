"""Where every tensor of a model's parts goes in one checkpoint, under the names of the original code."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from engine.errors import BadInput
from engine.families.family import Family
from engine.formats.places import Config, Place, Places, Shape, stored_shape
from engine.library.file_parts import Part
from engine.library.layouts import Layout, has_idle_layer, published_form
from engine.library.recognise import read_json
from engine.paths import RESOURCES

_UNSAID: dict[str, Any] = {
    "attention_head_dim": 8, "norm_num_groups": 32, "act_fn": "silu", "num_attention_heads": None,
    "hidden_act": "quick_gelu", "scaling_factor": 0.18215, "shift_factor": None,
}  # fmt: skip
"""What no tensor's shape tells, so that readers of checkpoints take the family's own; and what it is if not said."""


class Slot(NamedTuple):
    """One tensor of a checkpoint."""

    part: str
    key: str
    places: tuple[tuple[str, Place], ...]
    """The tensors that lie there, by their names in diffusers or transformers, the one with the top rows first."""
    shape: Shape


def slots(model: str, family: Family, parts: Mapping[str, Part]) -> list[Slot]:
    """Those of all parts, in order.

    Raises BadInput that names the model where a part is built so that a checkpoint could not tell.
    """
    return [slot for part, each in parts.items() for slot in _of_part(model, family, part, each)]


def _of_part(model: str, family: Family, part: str, its: Part) -> Iterator[Slot]:
    prefix, layout = published_form(family, part)
    config: Config = its.config | {"architectures": [family.components[part]]}
    places = _places(layout, config, model, part)
    tensors = its.weights.tensors
    if strangers := set(tensors).symmetric_difference(places):
        raise _odd(model, part, f"a checkpoint has no place for, or lacks, “{min(strangers)}”")
    by_key: dict[str, list[tuple[str, Place]]] = {}
    for name, place in sorted(places.items(), key=lambda each: each[1].rows or (0, 0)):
        by_key.setdefault(place.key, []).append((name, place))
    if has_idle_layer(layout, config):
        _add_idle_layer(by_key, config["num_hidden_layers"])
    shapes = {
        key: stored_shape(inside[0][1], [tensors[name].shape for name, _ in inside]) for key, inside in by_key.items()
    }
    _check_unsaid(model, family, part, its.config, layout.config_of(shapes.get, _published(family, part)))
    for key, inside in by_key.items():
        yield Slot(part, prefix + key, tuple(inside), shapes[key])


def _add_idle_layer(by_key: dict[str, list[tuple[str, Place]]], layers: int) -> None:
    """One more layer, which nobody runs but readers expect: the last one again, as kohya-ss's sd-scripts have it."""
    last, idle = (f".{number}." for number in (layers - 1, layers))
    by_key |= {key.replace(last, idle): inside for key, inside in by_key.items() if last in key}


def _places(layout: Layout, config: Config, model: str, part: str) -> Places:
    try:
        return layout.places(config)
    except (LookupError, ValueError, TypeError) as error:
        raise _odd(model, part, "its configuration is not one of its family") from error


def _check_unsaid(model: str, family: Family, part: str, config: Config, told: Config) -> None:
    """Refuse what would be read as something else, and draw nonsense."""
    told = _published(family, part) | told
    for field, usual in _UNSAID.items():
        mine, theirs = config.get(field, told.get(field, usual)), told.get(field, usual)
        if not _is_same(mine, theirs):
            raise _odd(model, part, f"its “{field}” is {mine}, and every reader of a checkpoint takes {theirs}")


def _is_same(one: Any, other: Any) -> bool:
    """A list of equal numbers is the same as that number."""
    one, other = ([each] if not isinstance(each, list) else each for each in (one, other))
    return set(one) == set(other) if 1 in (len(one), len(other)) else one == other


def _published(family: Family, part: str) -> Config:
    return read_json(RESOURCES / "configs" / family.name / part / "config.json")


def _odd(model: str, part: str, why: str) -> BadInput:
    label = part.replace("_", " ")
    return BadInput(f"“{model}” cannot be written as one checkpoint: of its {label}, {why}.", "Use another model.")
