"""Says what a scene shows, in English, simplified and traditional Chinese, in many ways."""

import re
from random import Random

from resources.starter_recipe.world import NOTHING, STYLES, TAUGHT_COLOUR, TAUGHT_STYLE, Scene

TAUGHT_WORD = "easel-teal"
"""The embedding's name; a word to the model only with the embedding."""
LANGUAGES = ("en", "zh_Hans", "zh_Hant")
Names = dict[str, tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]]

_SUBJECTS: Names = {
    "house": (("house", "cottage", "home"), ("房子", "小屋", "房屋"), ("房子", "小屋", "房屋")),
    "tree": (("tree", "round tree"), ("树", "大树"), ("樹", "大樹")),
    "sailboat": (("sailboat", "sailing boat", "boat"), ("帆船", "小船"), ("帆船", "小船")),
    "flower": (("flower", "blossom"), ("花", "花朵"), ("花", "花朵")),
    "cat": (("cat", "kitten"), ("猫", "小猫"), ("貓", "小貓")),
    "fish": (("fish",), ("鱼", "小鱼"), ("魚", "小魚")),
    "car": (("car", "automobile"), ("汽车", "车", "小汽车"), ("汽車", "車", "小汽車")),
    "balloon": (("balloon", "hot air balloon"), ("气球", "热气球"), ("氣球", "熱氣球")),
    "lighthouse": (("lighthouse", "light tower"), ("灯塔",), ("燈塔",)),
    "mushroom": (("mushroom", "toadstool"), ("蘑菇",), ("蘑菇",)),
    "star": (("star",), ("星星", "五角星"), ("星星", "五角星")),
    "butterfly": (("butterfly",), ("蝴蝶",), ("蝴蝶",)),
}
_COLOURS: Names = {
    "red": (("red", "crimson"), ("红色", "红", "大红色"), ("紅色", "紅", "大紅色")),
    "orange": (("orange",), ("橙色", "橘色"), ("橙色", "橘色")),
    "yellow": (("yellow", "golden"), ("黄色", "黄", "金黄色"), ("黃色", "黃", "金黃色")),
    "green": (("green",), ("绿色", "绿"), ("綠色", "綠")),
    "blue": (("blue",), ("蓝色", "蓝"), ("藍色", "藍")),
    "purple": (("purple", "violet"), ("紫色", "紫"), ("紫色", "紫")),
    "pink": (("pink",), ("粉色", "粉红色"), ("粉色", "粉紅色")),
    "white": (("white",), ("白色", "白"), ("白色", "白")),
    TAUGHT_COLOUR: ((TAUGHT_WORD,),) * 3,
}
_AROUND: dict[str, Names] = {
    "place": {
        "meadow": (
            ("on a meadow", "in a field", "on the grass", "in a green meadow"),
            ("草地上", "田野上", "草原上"),
            ("草地上", "田野上", "草原上"),
        ),
        "sea": (
            ("at sea", "on the sea", "by the ocean", "on a calm sea"),
            ("海上", "大海上", "平静的海面上"),
            ("海上", "大海上", "平靜的海面上"),
        ),
        "desert": (("in the desert", "in a desert", "on the sand"), ("沙漠里", "沙漠中"), ("沙漠裡", "沙漠中")),
        "snow": (("in the snow", "on snow", "in a snowy field"), ("雪地里", "雪地上"), ("雪地裡", "雪地上")),
        "city": (
            ("in the city", "in a city", "on a city street", "in town"),
            ("城市里", "城里", "街道上"),
            ("城市裡", "城裡", "街道上"),
        ),
    },
    "time": {
        "day": (("by day", "on a sunny day", "in daylight", "under a blue sky"), ("白天", "日间"), ("白天", "日間")),
        "sunset": (("at sunset", "at dusk", "in the evening"), ("日落时", "傍晚", "黄昏"), ("日落時", "傍晚", "黃昏")),
        "night": (("at night", "under the stars", "in the moonlight"), ("夜晚", "夜里", "星空下"), ("夜晚", "夜裡", "星空下")),
    },
    "weather": {
        "clear": (("in clear weather", "under a clear sky"), ("晴天", "天气晴朗"), ("晴天", "天氣晴朗")),
        "fog": (("in fog", "in the mist", "on a foggy day"), ("雾中", "大雾里"), ("霧中", "大霧裡")),
        "rain": (("in the rain", "on a rainy day", "while it rains"), ("雨中", "下雨天", "下着雨"), ("雨中", "下雨天", "下著雨")),
        "snowfall": (
            ("while it snows", "in falling snow", "with falling snowflakes"),
            ("下雪天", "下着雪", "大雪纷飞"),
            ("下雪天", "下著雪", "大雪紛飛"),
        ),
    },
}  # fmt: skip
"""Attribute → word of the world → the phrases that set it, in the order of `LANGUAGES`."""
_STYLES: Names = {
    "flat": (("flat illustration", "vector art"), ("扁平插画", "平面插画"), ("扁平插畫", "平面插畫")),
    "outline": (("line drawing", "outline drawing", "line art"), ("线稿", "线条画"), ("線稿", "線條畫")),
    "watercolour": (("watercolour", "watercolor", "watercolour painting"), ("水彩", "水彩画"), ("水彩", "水彩畫")),
    "pixel": (("pixel art", "8-bit pixel art"), ("像素画", "像素风格"), ("像素畫", "像素風格")),
    "paper": (("paper cut", "paper cutout", "papercut"), ("剪纸", "剪纸风格"), ("剪紙", "剪紙風格")),
}
_PLURALS = {"butterfly": "butterflies", "fish": "fish"}
_MEASURES = {
    "tree": "棵", "sailboat": "艘", "flower": "朵", "fish": "条", "car": "辆", "lighthouse": "座", "star": "颗",
    "cat": "只", "butterfly": "只",
}  # fmt: skip
_TRADITIONAL = str.maketrans(
    {"条": "條", "辆": "輛", "颗": "顆", "只": "隻", "个": "個", "两": "兩", "边": "邊", "还": "還"}
)
_NUMBERS = {"one": "一", "two": "两", "three": "三"}
_ARTICLES = ("a ", "a ", "the ", "one ", "")
_OPENINGS = ("", "", "", "a picture of ", "an illustration of ", "a drawing of ")
_SHARES = {"colour": 0.93, "place": 0.75, "time": 0.75, "other_colour": 0.95, "side": 0.25}


def some_named(scene: Scene, rng: Random) -> frozenset[str]:
    """Which attributes a caption names: what is unusual always, the rest often; nobody mentions one clear flat thing.

    The taught colour has no name before its embedding.
    """
    named = {"subject", *(name for name, share in _SHARES.items() if rng.random() < share)}
    if scene.count != "one":
        named.add("count")
    if scene.weather != "clear" or rng.random() < 0.1:
        named.add("weather")
    if scene.style != "flat" or rng.random() < 0.15:
        named.add("style")
    if scene.colour == TAUGHT_COLOUR:
        named.discard("colour")
    if scene.other == NOTHING:
        return frozenset(named - {"other_colour", "side"})
    return frozenset(named | {"other"})


def caption(scene: Scene, named: frozenset[str], rng: Random) -> str:
    """One way of describing the `named` attributes of `scene`, in any of the languages."""
    return say(scene, named, rng.choices(LANGUAGES, (0.5, 0.28, 0.22))[0], rng)


def say(scene: Scene, named: frozenset[str], language: str, rng: Random) -> str:
    """One way of describing the `named` attributes of `scene` in one language: a sentence, or tags between commas."""
    tags = rng.random() < 0.3
    if language == "en":
        english = _English(scene, named, rng)
        return _with_articles(english.tags() if tags else english.sentence())
    chinese = _Chinese(scene, named, rng, language)
    return chinese.tags() if tags else chinese.sentence()


def plain(scene: Scene, language: str) -> str:
    """The plainest description of all that matters in a scene, as the evaluation asks for it."""
    place = LANGUAGES.index(language)
    words = {name: names[getattr(scene, name)][place][0] for name, names in _AROUND.items()}
    around = [words["place"], words["time"], *([words["weather"]] if scene.weather != "clear" else [])]
    style = "" if scene.style in ("flat", TAUGHT_STYLE) else _STYLES[scene.style][place][0]
    subject, colour = _SUBJECTS[scene.subject][place][0], _COLOURS[scene.colour][place][0]
    other = scene.other != NOTHING
    if language == "en":
        thing = f"a {colour} {subject}" if scene.count == "one" else f"{scene.count} {colour} {_plural(subject)}"
        if other:
            thing += f" and a {_COLOURS[scene.other_colour][0][0]} {_SUBJECTS[scene.other][0][0]}"
        return _with_articles(" ".join([thing, *around]) + (f", {style}" if style else ""))
    thing = _counted(scene.count, scene.subject, colour + "的" + subject, language)
    if other:
        more = _COLOURS[scene.other_colour][place][0] + "的" + _SUBJECTS[scene.other][place][0]
        thing += "和" + _counted("one", scene.other, more, language)
    return f"{words['place']}{thing}，{'，'.join(around[1:])}" + (f"，{style}" if style else "")


class _Caption:
    """The words chosen for one caption, and how they are put together in any language."""

    comma = ", "

    def __init__(self, scene: Scene, named: frozenset[str], rng: Random, language: str = "en") -> None:
        self.scene, self.named, self.rng, self.language = scene, named, rng, language
        self._place = LANGUAGES.index(language)

    def _word(self, names: Names, word: str) -> str:
        return self.rng.choice(names[word][self._place])

    def _around(self) -> list[str]:
        """The phrases of place, time and weather, in any order."""
        phrases = [
            self._word(names, getattr(self.scene, name)) for name, names in _AROUND.items() if name in self.named
        ]
        self.rng.shuffle(phrases)
        return phrases

    def _colours(self) -> tuple[str, str]:
        """The names of the subject's and the other's colour, empty where not named."""
        mine = self._word(_COLOURS, self.scene.colour) if "colour" in self.named else ""
        return mine, self._word(_COLOURS, self.scene.other_colour) if "other_colour" in self.named else ""

    def _styled(self, text: str) -> str:
        """With the style before or behind the text."""
        if "style" not in self.named or self.scene.style not in STYLES:
            return text
        style = self._word(_STYLES, self.scene.style)
        return f"{style}{self.comma}{text}" if self.rng.random() < 0.25 else f"{text}{self.comma}{style}"


class _English(_Caption):
    def tags(self) -> str:
        bare = [
            each.split(" ", 1)[1].removeprefix("the ").removeprefix("a ") if self.rng.random() < 0.5 else each
            for each in self._around()
        ]
        things = [thing.removeprefix("a ") for thing in self._things("a ")]
        return self._styled(", ".join([*things, *bare]))

    def sentence(self) -> str:
        rng = self.rng
        if "style" in self.named and self.scene.style in STYLES and rng.random() < 0.25:
            style = self._word(_STYLES, self.scene.style)
            return f"{rng.choice(('a ', ''))}{style} of {self._clause()}"
        return self._styled(rng.choice(_OPENINGS) + self._clause())

    def _clause(self) -> str:
        rng, around = self.rng, self._around()
        thing = self._joined(*self._things(rng.choice(_ARTICLES)))
        if around and rng.random() < 0.15:
            return " ".join([f"{around[0]}, {thing}", *around[1:]])
        comma = ", " if rng.random() < 0.3 else " "
        return " ".join([thing, comma.join(around)]).strip()

    def _joined(self, thing: str, other: str = "") -> str:
        if not other:
            return thing
        if "side" in self.named:
            return f"{thing} to the {self.scene.side} of {other}"
        return thing + self.rng.choice((" and ", " and ", " next to ", " with ", " beside ")) + other

    def _things(self, article: str) -> list[str]:
        colours = self._colours()
        subject = self._word(_SUBJECTS, self.scene.subject)
        if "count" in self.named and self.scene.count != "one":
            article, subject = self.scene.count + " ", _plural(subject)
        things = [article + " ".join(filter(None, (colours[0], subject)))]
        if "other" in self.named:
            things.append("a " + " ".join(filter(None, (colours[1], self._word(_SUBJECTS, self.scene.other)))))
        return things


class _Chinese(_Caption):
    comma = "，"

    def tags(self) -> str:
        mine, others = self._colours()
        things = [mine + self._word(_SUBJECTS, self.scene.subject)]
        if "count" in self.named and self.scene.count != "one":
            things = [_counted(self.scene.count, self.scene.subject, things[0], self.language)]
        if "other" in self.named:
            things.append(others + self._word(_SUBJECTS, self.scene.other))
        return self._styled(self.rng.choice(("，", ", ", ",", "、")).join([*things, *self._around()]))

    def sentence(self) -> str:
        rng, around = self.rng, self._around()
        thing = self._joined(*self._things())
        if not around:
            return self._styled(thing)
        if rng.random() < 0.5:
            return self._styled(rng.choice(("，", "")).join(around) + rng.choice(("的", "，", "有")) + thing)
        cut = rng.randrange(len(around) + 1)
        front = "".join(around[:cut])
        return self._styled("，".join([front + thing, *around[cut:]]))

    def _joined(self, thing: str, other: str = "") -> str:
        if not other:
            return thing
        rng = self.rng
        if "side" in self.named:
            mine, theirs = ("左边", "右边") if self.scene.side == "left" else ("右边", "左边")
            return self._own(f"{mine}是{thing}，{theirs}是{other}")
        return thing + self._own(rng.choice(("和", "和", "跟", "旁边有", "，还有"))) + other

    def _things(self) -> list[str]:
        mine, others = self._colours()
        count = self.scene.count if "count" in self.named else ""
        things = [self._thing(mine, self.scene.subject, count)]
        if "other" in self.named:
            things.append(self._thing(others, self.scene.other, ""))
        return things

    def _thing(self, colour: str, subject: str, count: str) -> str:
        text = colour + (self.rng.choice(("的", "")) if colour else "") + self._word(_SUBJECTS, subject)
        if count or self.rng.random() < 0.5:
            return _counted(count or "one", subject, text, self.language)
        return text

    def _own(self, text: str) -> str:
        return text.translate(_TRADITIONAL) if self.language == "zh_Hant" else text


def _counted(count: str, subject: str, text: str, language: str) -> str:
    """Chinese with a number and its measure word before it."""
    said = _NUMBERS[count] + _MEASURES.get(subject, "个")
    return (said.translate(_TRADITIONAL) if language == "zh_Hant" else said) + text


def _plural(subject: str) -> str:
    return _PLURALS.get(subject, subject + "s")


def _with_articles(text: str) -> str:
    return re.sub(r"\ba (?=[aeiou])", "an ", text)
