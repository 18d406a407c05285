from pathlib import Path

import pytest

from engine import keeping
from engine.settings import GenerateSettings, LoraUse, Preferences


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EASEL_HOME", str(tmp_path))
    return tmp_path


def test_what_was_kept_is_read(home: Path) -> None:
    settings = GenerateSettings(prompt="猫 🐱", seed=7)
    keeping.keep(settings)
    keeping.keep(Preferences(theme="dark"))
    assert keeping.read(GenerateSettings) == settings
    assert keeping.read(Preferences).theme == "dark"


def test_nothing_kept_gives_the_defaults(home: Path) -> None:
    assert keeping.read(Preferences) == Preferences()


def test_a_wrong_value_is_reset_alone_and_the_file_set_aside(home: Path) -> None:
    spoiled = '{"steps": "many", "prompt": "kept", "seed": -4, "unknown": 1}'
    (home / "settings.json").write_text(spoiled)
    assert keeping.read(GenerateSettings) == GenerateSettings(prompt="kept")
    assert (home / "settings.spoiled.json").read_text() == spoiled


@pytest.mark.parametrize("garbage", [b"", b"{", b"[1]", b"\xff\xfe", b"[" * 100_000, b"null"])
def test_garbage_gives_the_defaults(home: Path, garbage: bytes) -> None:
    (home / "settings.json").write_bytes(garbage)
    assert keeping.read(GenerateSettings) == GenerateSettings()


def test_what_hangs_together_is_kept_together(home: Path) -> None:
    settings = GenerateSettings(
        prompt="a cat", source="/a/gone.png", mask="/a/mask.png", loras=(LoraUse(name="ink"),), upscale_factor=1.0
    )
    keeping.keep(settings)
    assert keeping.read(GenerateSettings) == settings
    text = (home / "settings.json").read_text().replace('"steps": 20', '"steps": "many"')
    (home / "settings.json").write_text(text)
    found = keeping.read(GenerateSettings)
    assert (found.source, found.mask, found.steps) == (settings.source, settings.mask, GenerateSettings().steps)
