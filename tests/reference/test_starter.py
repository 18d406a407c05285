"""The starter model that ships: its pictures follow the prompt, and int8 stays near float32."""

from pathlib import Path
from statistics import mean

import numpy as np
import pytest
from PIL import Image

from engine.pipelines import Pipelines
from engine.settings import GenerateSettings
from tests.drawing import drawn
from tests.reference.test_against_diffusers import psnr

PROMPTS = (
    "a red house on a meadow by day",
    "a blue sailboat at sea at sunset",
    "一只白色的猫",
    "a yellow star at night",
)
INT8_PSNR_DB = 32.0
"""Mean over the prompts at 20 steps, same seeds; 38 was measured, and another processor rounds otherwise."""


@pytest.fixture(scope="module")
def made(shared_home: Path) -> dict[tuple[str, str], list[Image.Image]]:
    """The prompts drawn by each backend and precision."""
    pictures: dict[tuple[str, str], list[Image.Image]] = {}
    for backend, precision in (("torch", "fp32"), ("openvino", "fp32"), ("openvino", "int8")):
        pipelines = Pipelines()
        some = [GenerateSettings(prompt=prompt, seed=4, width=128, height=128) for prompt in PROMPTS]
        pictures[backend, precision] = [drawn(each, backend, precision, pipelines) for each in some]
    return pictures


def test_openvino_fp32_is_torch_within_two_levels(made: dict[tuple[str, str], list[Image.Image]]) -> None:
    """Twenty steps of guidance 6 multiply the sixth digit in which the sums differ."""
    for ours, reference in zip(made["openvino", "fp32"], made["torch", "fp32"], strict=True):
        assert np.abs(np.asarray(ours, np.int16) - np.asarray(reference, np.int16)).max() <= 2


def test_int8_is_near_fp32(made: dict[tuple[str, str], list[Image.Image]]) -> None:
    pairs = zip(made["openvino", "int8"], made["openvino", "fp32"], strict=True)
    assert mean(psnr(quick, exact) for quick, exact in pairs) >= INT8_PSNR_DB


@pytest.mark.parametrize(("colour", "channel"), [("red", 0), ("green", 1), ("blue", 2)])
def test_the_subject_has_the_colour_of_the_prompt(shared_home: Path, colour: str, channel: int) -> None:
    """The middle of the picture, compared with the same seed in the two other colours."""
    pipelines = Pipelines()
    middle: dict[str, np.ndarray] = {}
    for each in ("red", "green", "blue"):
        settings = GenerateSettings(prompt=f"a {each} balloon in fog", seed=8, width=128, height=128)
        picture = drawn(settings, "openvino", "bf16", pipelines)
        middle[each] = np.asarray(picture, np.float32)[30:75, 45:83].mean((0, 1))
    share = {each: pixels[channel] / pixels.sum() for each, pixels in middle.items()}
    assert max(share, key=share.__getitem__) == colour
    assert share[colour] > 0.4
