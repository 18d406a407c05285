"""The parts of the starter pack do in Easel what they are for, exact and quantised alike."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from engine.pipelines import Pipelines
from engine.settings import ControlUse, GenerateSettings, LoraUse
from resources.starter_recipe.drawing import draw
from resources.starter_recipe.lines import agreement, lines
from resources.starter_recipe.world import Scene
from tests.drawing import drawn

pytestmark = [pytest.mark.usefixtures("shared_home"), pytest.mark.parity(pack=["torch fp32"])]


class Pack:
    """The starter model on one backend, loaded once."""

    def __init__(self, backend: str, precision: str) -> None:
        self.backend, self.precision, self.pipelines = backend, precision, Pipelines()

    def drawn(self, prompt: str, **values: object) -> np.ndarray:
        """A picture in 0 to 1, [h, w, 3]."""
        settings = {
            "prompt": prompt,
            "seed": 3,
            "steps": 12,
            "width": 128,
            "height": 128,
            "guidance_scale": 4.0,
        } | values
        image = drawn(GenerateSettings(**settings), self.backend, self.precision, self.pipelines)  # pyright: ignore[reportArgumentType]
        return np.asarray(image, np.float32) / 255


@pytest.fixture(scope="module", params=["torch fp32", "openvino int8"])
def pack(request: pytest.FixtureRequest, shared_home: Path) -> Pack:
    return Pack(*request.param.split())


def _share(right: np.ndarray) -> float:
    return float(right.mean())


def test_the_style_lora_makes_old_prints(pack: Pack) -> None:
    """Brown has more red than green and more green than blue."""
    brown: list[float] = []
    for weight in (0.0, 1.0):
        made = [
            pack.drawn(prompt, loras=(LoraUse(name="easel-sepia", weight=weight),))
            for prompt in (
                "a green house on a meadow by day",
                "a blue car in the snow by day",
                "a pink cat at sea by day",
            )
        ]
        red, green, blue = np.stack(made).reshape(-1, 3).T
        brown.append(_share((red > green) & (green > blue)))
    assert brown[0] < 0.4 < 0.6 < brown[1]


@pytest.mark.parametrize(("colour", "channel"), [("red", 0), ("green", 1), ("blue", 2)])
def test_four_steps_are_enough_with_the_few_step_lora(pack: Pack, colour: str, channel: int) -> None:
    quick = {"steps": 4, "guidance_scale": 1.0, "scheduler": "LCM", "loras": (LoraUse(name="easel-lcm"),)}
    made = pack.drawn(f"a {colour} balloon on a meadow by day", **quick)
    pixels = made[10:80].reshape(-1, 3)
    strongest = pixels[(pixels.max(1) - pixels.min(1)).argsort()[-600:]]
    assert int(np.argmax(strongest.mean(0))) == channel


def test_the_embedding_brings_its_colour(pack: Pack) -> None:
    """Teal has as much green as blue, and far less red; one in five of the pictures misses it, so more are counted."""

    def teal(colour: str) -> float:
        shares: list[bool] = []
        for seed in range(6):
            made = pack.drawn(f"{colour} balloon in the desert at sunset", seed=seed, guidance_scale=6.0)
            red, green, blue = made[20:110, 20:108].reshape(-1, 3).T
            shares.append(_share((green > red + 0.15) & (blue > red + 0.15) & (np.abs(green - blue) < 0.25)) > 0.1)
        return float(np.mean(shares))

    assert teal("an easel-teal") > 0.5
    assert teal("a red") == 0


def test_the_controlnet_draws_along_the_lines(pack: Pack, tmp_path: Path) -> None:
    agreements: list[float] = []
    scenes = (Scene("house", "red"), Scene("cat", "blue", place="snow"), Scene("car", "yellow", place="desert"))
    prompts = ("a red house on a meadow by day", "a blue cat in the snow by day", "a yellow car in the desert by day")
    for weight in (0.0, 1.0):
        for number, (scene, prompt) in enumerate(zip(scenes, prompts, strict=True)):
            pixels = torch.from_numpy(draw(scene, 70 + number)).permute(2, 0, 1)[None].float() / 255
            wanted = lines(pixels)
            control = tmp_path / f"{number}.png"
            Image.fromarray((wanted[0, 0] * 255).byte().numpy()).save(control)
            made = pack.drawn(prompt, controls=(ControlUse(kind="none", image=str(control), weight=weight),))
            agreements.append(float(agreement(lines(torch.from_numpy(made).permute(2, 0, 1)[None]), wanted).mean()))
    assert np.mean(agreements[3:]) > np.mean(agreements[:3]) + 0.15


def test_inpainting_fills_and_leaves_the_rest(pack: Pack, tmp_path: Path) -> None:
    source, mask = Image.fromarray(draw(Scene("tree", "green", place="snow"), 4)), Image.new("L", (128, 128))
    mask.paste(255, (24, 16, 112, 120))
    source.save(tmp_path / "source.png")
    mask.save(tmp_path / "mask.png")
    made = pack.drawn(
        "a red house in the snow by day",
        source=str(tmp_path / "source.png"),
        mask=str(tmp_path / "mask.png"),
        strength=1.0,
    )
    inside = np.asarray(mask) > 0
    before = np.asarray(source, np.float32) / 255
    assert np.array_equal(made[~inside], before[~inside])
    redder = [_share(each[inside][:, 0] > each[inside][:, 1] + 0.25) for each in (before, made)]
    assert redder[0] < 0.08 < redder[1]


def test_a_negative_prompt_removes_what_it_names(pack: Pack) -> None:
    """The sky's brightness, over some seeds whose time of day the prompt leaves open."""
    skies = {
        negative: [pack.drawn("a red house", seed=seed, negative_prompt=negative)[:20].mean() for seed in range(6)]
        for negative in ("at night", "by day, sunny")
    }
    assert np.mean(skies["at night"]) > np.mean(skies["by day, sunny"])
