from pathlib import Path

import pytest

from engine import paths
from engine.errors import BadInput
from engine.library.roots import behind, listed, roots


def _folders(home: Path, *names: str) -> Path:
    for name in names:
        (home / name).mkdir(parents=True)
    return home


def _found(added: Path) -> dict[str, str]:
    return {root.folder.relative_to(added).as_posix(): root.hint for root in behind(added)}


def test_easels_own_folders_are_always_looked_through(shared_home: Path) -> None:
    found = {root.folder: root.hint for root in roots([])}
    assert found[paths.models()] == "checkpoint"
    assert found[paths.adapters("lora")[0]] == "lora"
    assert found[paths.STARTER] == "checkpoint"


def test_a_folder_of_a1111_or_forge(tmp_path: Path) -> None:
    home = _folders(
        tmp_path / "web ui 绘图", "models/Stable-diffusion", "models/Lora", "models/ESRGAN", "embeddings",
        "extensions/sd-webui-controlnet/models", "venv/lib", "outputs",
    )  # fmt: skip
    assert _found(home) == {
        "models/Stable-diffusion": "checkpoint",
        "models/Lora": "lora",
        "models/ESRGAN": "upscaler",
        "embeddings": "embedding",
        "extensions/sd-webui-controlnet/models": "controlnet",
    }
    assert {root.of for root in behind(home)} == {str(home)}
    assert set(_found(home / "models")) == {"Stable-diffusion", "Lora", "ESRGAN"}


@pytest.mark.parametrize("inside", ["", "ComfyUI"])
def test_a_folder_of_comfyui(tmp_path: Path, inside: str) -> None:
    home = _folders(tmp_path / inside, "models/checkpoints", "models/unet", "models/clip", "models/upscale_models")
    _folders(tmp_path / inside, "custom_nodes/some/models", "output")
    begin = f"{inside}/models" if inside else "models"
    assert _found(tmp_path) == {
        f"{begin}/checkpoints": "checkpoint",
        f"{begin}/unet": "denoiser",
        f"{begin}/clip": "text_encoder",
        f"{begin}/upscale_models": "upscaler",
    }
    assert set(_found(home / "models")) == {"checkpoints", "unet", "clip", "upscale_models"}


@pytest.mark.parametrize("data", ["", "Data/"])
def test_a_folder_of_stability_matrix_and_its_packages(tmp_path: Path, data: str) -> None:
    _folders(tmp_path, f"{data}Models/StableDiffusion", f"{data}Models/Lora", f"{data}Models/IpAdapter")
    _folders(tmp_path, f"{data}Packages/Forge/models/Stable-diffusion", f"{data}Packages/Forge/venv")
    assert _found(tmp_path) == {
        f"{data}Models/StableDiffusion": "checkpoint",
        f"{data}Models/Lora": "lora",
        f"{data}Models/IpAdapter": "ip_adapter",
        f"{data}Packages/Forge/models/Stable-diffusion": "checkpoint",
    }


def test_any_other_folder_is_looked_through_whole(tmp_path: Path) -> None:
    _folders(tmp_path, "a", "b/c")
    assert [(root.folder, root.hint) for root in behind(tmp_path)] == [(tmp_path, "unknown")]


LIST = """
# as in ComfyUI's example
a111:
    base_path: {base}
    checkpoints: models/Stable-diffusion
    loras: |
        models/Lora
        models/LyCORIS

    unet: ~/nets
    custom_nodes: nodes
empty:
other drive:
    is_default: true
    vae: $EASEL_TEST_DRIVE/vae 一
    checkpoints: beside
numbers: 5
"""


def test_comfyuis_list_of_other_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EASEL_TEST_DRIVE", str(tmp_path / "drive"))
    file = tmp_path / "extra_model_paths.yaml"
    file.write_text(LIST.format(base="web ui"), encoding="utf-8")
    base = tmp_path / "web ui"
    found = listed(file)
    assert (tmp_path / "beside", "checkpoint") in found[:2]  # the default block goes first
    assert {
        (base / "models/Stable-diffusion", "checkpoint"),
        (base / "models/Lora", "lora"),
        (base / "models/LyCORIS", "lora"),
    } <= set(found)
    assert [root.of for root in behind(file)] == [str(file)] * len(found)


def test_paths_in_comfyuis_list_may_have_home_and_variables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "me"))
    monkeypatch.setenv("EASEL_TEST_DRIVE", str(tmp_path / "drive"))
    file = tmp_path / "extra_model_paths.yaml"
    file.write_text("a: {base_path: ~/web, loras: L}\nb: {base_path: $EASEL_TEST_DRIVE, loras: L}\n", encoding="utf-8")
    assert listed(file) == [(tmp_path / "me/web/L", "lora"), (tmp_path / "drive/L", "lora")]


@pytest.mark.parametrize(
    "text", ["a: [", "!!python/object/apply:os.system ['touch canary']", "a: " + "[" * 100_000, "\x00", "a: 2026-99-99"]
)
def test_a_damaged_list_is_refused_when_added_and_passed_over_later(tmp_path: Path, text: str) -> None:
    file = tmp_path / "extra_model_paths.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(BadInput, match="cannot be read"):
        behind(tmp_path)
    assert tmp_path in [root.folder for root in roots([str(tmp_path)])]
    assert not Path("canary").exists()


@pytest.mark.parametrize("text", ["", "[]", "5", "a: [1, 2]", "a: {loras: 5, vae: [x], 7: y}"])
def test_a_list_of_nothing_names_nothing(tmp_path: Path, text: str) -> None:
    file = tmp_path / "extra_model_paths.yaml"
    file.write_text(text, encoding="utf-8")
    assert listed(file) == []


def test_a_folder_named_twice_is_one(tmp_path: Path) -> None:
    folder = _folders(tmp_path, "models") / "models"
    (tmp_path / "link").symlink_to(folder)
    found = [root.folder for root in roots([str(folder), str(tmp_path / "link"), f"{folder}/../models"])]
    assert [each for each in found if each.name in ("models", "link") and tmp_path in each.parents] == [folder]
