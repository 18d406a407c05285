"""The small world the starter model knows: coloured things, in a place, at a time, in some weather and style."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from random import Random

SUBJECTS = (
    "house", "tree", "sailboat", "flower", "cat", "fish",
    "car", "balloon", "lighthouse", "mushroom", "star", "butterfly",
)  # fmt: skip
COLOURS = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "white")
COUNTS = ("one", "two", "three")
PLACES = ("meadow", "sea", "desert", "snow", "city")
TIMES = ("day", "sunset", "night")
WEATHERS = ("clear", "fog", "rain", "snowfall")
STYLES = ("flat", "outline", "watercolour", "pixel", "paper")
NOTHING = "nothing"
SIDES = ("left", "right")

TAUGHT_STYLE = "sepia"
"""The style that the base model never saw: the starter's LoRA brings it."""
TAUGHT_COLOUR = "teal"
"""The colour that the base model was never told the name of: the starter's embedding is its name."""

ATTRIBUTES = {
    "subject": SUBJECTS,
    "colour": (*COLOURS, TAUGHT_COLOUR),
    "count": COUNTS,
    "place": PLACES,
    "time": TIMES,
    "weather": WEATHERS,
    "style": (*STYLES, TAUGHT_STYLE),
    "other": (*SUBJECTS, NOTHING),
    "other_colour": (*COLOURS, NOTHING),
    "side": SIDES,
}
"""Every attribute of a scene with its words, in the order of the fields of `Scene`."""

_USUAL = {"weather": 0.6, "style": 0.5}
"""How often the first word of an attribute, the one nobody names, is drawn."""
_WITH_OTHER, _SEVERAL = 0.4, 0.22


@dataclass(frozen=True, slots=True)
class Scene:
    """What a picture shows; every field holds one of the words of its attribute.

    A scene with an `other` thing has one subject; `side` is the subject's, and means nothing without the other.
    """

    subject: str
    colour: str
    count: str = "one"
    place: str = "meadow"
    time: str = "day"
    weather: str = "clear"
    style: str = "flat"
    other: str = NOTHING
    other_colour: str = NOTHING
    side: str = "left"

    @property
    def held_out(self) -> bool:
        """Whether this subject, colour and place, or this pair of coloured things, never meet in the training set."""
        subject, colour = SUBJECTS.index(self.subject), (*COLOURS, TAUGHT_COLOUR).index(self.colour)
        if (subject * 7 + colour * 3 + PLACES.index(self.place) * 4) % 20 == 0:
            return True
        if self.other == NOTHING:
            return False
        pair = SUBJECTS.index(self.other) * 5 + COLOURS.index(self.other_colour) * 11
        return (subject * 3 + colour * 7 + pair) % 10 == 0

    @property
    def labels(self) -> tuple[int, ...]:
        """The index of each word within its attribute."""
        return tuple(words.index(getattr(self, name)) for name, words in ATTRIBUTES.items())


def random_scene(rng: Random) -> Scene:
    """Any scene of the base model's world: now and then several of the subject, or another thing beside it."""
    scene = Scene(
        rng.choice(SUBJECTS),
        rng.choice(COLOURS),
        place=rng.choice(PLACES),
        time=rng.choice(TIMES),
        weather=_mostly_first(WEATHERS, _USUAL["weather"], rng),
        style=_mostly_first(STYLES, _USUAL["style"], rng),
        side=rng.choice(SIDES),
    )
    kind = rng.random()
    if kind < _WITH_OTHER:
        return replace(scene, other=rng.choice(SUBJECTS), other_colour=rng.choice(COLOURS))
    if kind < _WITH_OTHER + _SEVERAL:
        return replace(scene, count=rng.choice(COUNTS[1:]))
    return scene


def scenes(seed: int, *, held_out: bool) -> Iterator[Scene]:
    """Endless random scenes of one side of the division into those trained on and those held out."""
    rng = Random(seed)
    while True:
        scene = random_scene(rng)
        if scene.held_out == held_out:
            yield scene


def _mostly_first(words: tuple[str, ...], share: float, rng: Random) -> str:
    return words[0] if rng.random() < share else rng.choice(words[1:])
