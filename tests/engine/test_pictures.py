import os
from pathlib import Path
from xml.etree import ElementTree

import pytest
from PIL import Image

from engine import pictures
from engine.errors import BadInput
from engine.formats.picture_text import Made
from engine.settings import GenerateSettings

RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"


@pytest.fixture
def made() -> Made:
    settings = GenerateSettings(prompt="猫 🐱", seed=1, width=64, height=64)
    return Made(program="Easel", settings=settings, backend="torch", precision="fp32")


def test_pixels_and_settings_come_back(tmp_path: Path, made: Made) -> None:
    image = Image.effect_noise((64, 48), 80).convert("RGB")
    path = tmp_path / "a.png"
    pictures.save(pictures.as_png(image), path, made)
    found, parameters = pictures.read(path)
    assert found == made
    assert parameters["Prompt"] == "猫 🐱"
    with Image.open(path) as saved:
        assert saved.tobytes() == image.tobytes()
        (description,) = ElementTree.fromstring(saved.info["xmp"]).iter(f"{RDF}Description")
        (mark,) = (value for name, value in description.items() if name.endswith("}DigitalSourceType"))
        assert mark == "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"


def test_a_picture_without_settings_has_none(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "plain.jpg")
    assert pictures.read(tmp_path / "plain.jpg") == (None, {})


@pytest.mark.parametrize(
    "content", [b"", b"hello", b"\x89PNG\r\n\x1a\n", b"\x89PNG\r\n\x1a\n" + bytes(100), b"%!PS-Adobe"]
)
def test_what_is_no_picture_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bad.png"
    path.write_bytes(content)
    with pytest.raises(BadInput, match=r"bad\.png"):
        pictures.read(path)


def test_every_truncation_is_refused_or_read(tmp_path: Path, made: Made) -> None:
    whole = tmp_path / "whole.png"
    pictures.save(pictures.as_png(Image.new("RGB", (16, 16), "red")), whole, made)
    data = whole.read_bytes()
    for length in range(0, len(data) - 60, 40):
        cut = tmp_path / "cut.png"
        cut.write_bytes(data[:length])
        with pytest.raises(BadInput):
            pictures.read(cut)


def test_a_bomb_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bomb.png"
    Image.new("1", (10_000, 10_000)).save(path)
    with pytest.raises(BadInput, match="too large"):
        pictures.read(path)


def test_missing_and_folder(tmp_path: Path) -> None:
    for path in (tmp_path / "none.png", tmp_path):
        with pytest.raises(BadInput):
            pictures.read(path)


def test_newest_first(tmp_path: Path) -> None:
    for age, name in enumerate(["c.png", "b.jpg", "a.webp", "note.txt"]):
        (tmp_path / name).write_bytes(b"")
        os.utime(tmp_path / name, (1000 - age, 1000 - age))
    assert [path.name for path in pictures.newest(tmp_path, 2)] == ["c.png", "b.jpg"]
    assert pictures.newest(tmp_path / "none", 2) == []
