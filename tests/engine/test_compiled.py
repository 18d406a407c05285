"""Compiled graphs on the disk: found again, and not without end."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from engine.backends.openvino.compiled import folder_for, home, trim
from engine.cli import main


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EASEL_HOME", str(tmp_path / "家"))


def test_a_folder_for_each_graph_precision_size_and_change() -> None:
    graph, sizes, weights = Path("a/unet.xml"), {"sample": (1, 4, 8, 8)}, {"conv_in": np.ones((2, 2), np.float32)}
    asked = [
        (graph, "bf16", sizes, {}),
        (graph, "f32", sizes, {}),
        (Path("b/unet.xml"), "bf16", sizes, {}),
        (graph, "bf16", {"sample": (1, 4, 8, 16)}, {}),
        (graph, "bf16", sizes, weights),
        (graph, "bf16", sizes, {"conv_in": weights["conv_in"] * 2}),
        (graph, "bf16", sizes, {"conv_out": weights["conv_in"]}),
    ]
    folders = [folder_for(*each) for each in asked]
    assert len(set(folders)) == len(asked)
    assert [folder_for(*each) for each in asked] == folders
    assert all(each.is_dir() for each in folders)


def test_what_was_not_used_for_longest_goes_first(tmp_path: Path) -> None:
    for name, used in (("second", 2), ("first", 1), ("third", 3)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x.blob").write_bytes(bytes(1000))
        os.utime(tmp_path / name, (0, used))
    trim(tmp_path, 3000)
    assert len(list(tmp_path.iterdir())) == 3
    trim(tmp_path, 2500)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["second", "third"]
    trim(tmp_path, 0)
    assert [each.name for each in tmp_path.iterdir()] == ["third"], "the newest is in use"


def test_the_cache_is_shown_and_cleared(capsys: pytest.CaptureFixture[str]) -> None:
    def shown(*more: str) -> dict[str, object]:
        assert main(["models", "cache", "--json", *more]) == 0
        return json.loads(capsys.readouterr().out)

    assert (shown()["graphs"], shown("--clear")["bytes"]) == (0, 0)
    for name in ("a", "b"):
        (home() / name).mkdir(parents=True)
        (home() / name / "x.blob").write_bytes(bytes(1500000))
    assert (shown()["graphs"], shown()["bytes"]) == (2, 3000000)
    assert main(["models", "cache"]) == 0
    assert capsys.readouterr().out.startswith("2 compiled graphs, 3 MB (at most 8.6 GB")
    assert shown("--clear") == {
        "graphs": 2,
        "bytes": 3000000,
        "folder": str(home()),
        "limit_bytes": 8 * 2**30,
        "cleared": True,
    }
    assert (shown()["graphs"], list(home().iterdir())) == (0, [])
