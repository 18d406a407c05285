"""The small world the starter model knows: one coloured subject, in a place, at a time."""

from dataclasses import dataclass
from itertools import product
from random import Random

SUBJECTS = (
    "house", "tree", "sailboat", "flower", "cat", "fish",
    "car", "balloon", "lighthouse", "mushroom", "star", "butterfly",
)  # fmt: skip
COLOURS = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "white")
PLACES = ("meadow", "sea", "desert", "snow", "city")
TIMES = ("day", "sunset", "night", "fog")

ATTRIBUTES = {"subject": SUBJECTS, "colour": COLOURS, "place": PLACES, "time": TIMES}
"""Every attribute of a scene with its words, in the order of the fields of `Scene`."""

HELD_OUT_EVERY = 20


@dataclass(frozen=True, slots=True)
class Scene:
    """What a picture shows; every field holds one of the words of its attribute."""

    subject: str
    colour: str
    place: str
    time: str

    @property
    def held_out(self) -> bool:
        """Whether this subject, colour and place never meet in the training set."""
        number = SUBJECTS.index(self.subject) * 7 + COLOURS.index(self.colour) * 3 + PLACES.index(self.place) * 4
        return number % HELD_OUT_EVERY == 0

    @property
    def labels(self) -> tuple[int, ...]:
        """The index of each word within its attribute."""
        return tuple(words.index(getattr(self, name)) for name, words in ATTRIBUTES.items())


def every_scene() -> tuple[Scene, ...]:
    """All the scenes of the world, in a fixed order."""
    return tuple(Scene(*words) for words in product(*ATTRIBUTES.values()))


def random_scenes(count: int, *, held_out: bool | None, seed: int) -> list[Scene]:
    """Scenes drawn evenly; `held_out` keeps one side of the division, None keeps both."""
    scenes = [s for s in every_scene() if held_out is None or s.held_out == held_out]
    rng = Random(seed)
    rounds = -(-count // len(scenes))
    drawn = [scene for _ in range(rounds) for scene in rng.sample(scenes, len(scenes))]
    return drawn[:count]
