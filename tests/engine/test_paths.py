import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine import paths
from engine.errors import EaselError


def test_publish_takes_the_next_free_name_and_replaces_nothing(tmp_path: Path) -> None:
    for expected in ("cat.png", "cat-2.png", "cat-3.png"):
        part = tmp_path / ".new.png.part"
        part.write_text(expected)
        assert paths.publish(part, tmp_path, "cat").name == expected
        assert not part.exists()
    assert [(tmp_path / name).read_text() for name in ("cat.png", "cat-2.png")] == ["cat.png", "cat-2.png"]


def test_whole_leaves_the_old_file_when_the_new_one_fails(tmp_path: Path) -> None:
    target = tmp_path / "kept.json"
    target.write_text("old")
    with pytest.raises(RuntimeError), paths.whole(target) as part:  # noqa: PT012  the block is what is tested
        part.write_text("half")
        raise RuntimeError
    assert target.read_text() == "old"
    assert os.listdir(tmp_path) == ["kept.json"]


def test_whole_replaces_when_all_is_well(tmp_path: Path) -> None:
    target = tmp_path / "kept.json"
    target.write_text("old")
    with paths.whole(target) as part:
        part.write_text("new")
    assert target.read_text() == "new"
    assert os.listdir(tmp_path) == ["kept.json"]


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(EaselError, match="cannot write in the folder") as refused:
        paths.ready(tmp_path / "file" / "below")
    assert refused.value.exit_code == 1


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of 64 KiB."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        pytest.skip("mounting a small disk needs root")
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "easel", folder], capture_output=True)
    if mounted.returncode:
        pytest.skip("this machine lets nobody mount")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_full_disk_is_said_and_leaves_nothing_half(full_disk: Path) -> None:
    target = full_disk / "big.bin"
    with pytest.raises(EaselError, match="no space left.*Free some space"), paths.whole(target) as part:
        part.write_bytes(bytes(1_000_000))
    assert os.listdir(full_disk) == []
