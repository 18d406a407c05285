"""The command line as a person and a script use it: real processes, their output and exit codes."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine.cli import main, models
from engine.errors import BadInput
from tests.tiny_controlnet import write_tiny_controlnet

MAIN = str(Path(__file__).parents[2] / "main.py")
TINY = ("--model", "tiny", "--backend", "torch", "--precision", "fp32", "--steps", "2")


def easel(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, MAIN, *arguments],
        capture_output=True,
        text=True,
        timeout=180,
        env=os.environ | environment,
        check=False,
    )


@pytest.fixture(autouse=True)
def _home(shared_home: Path) -> None:
    """Every process finds the tiny model."""


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("paint",), "There is no verb “paint”"),
        (("--bogus",), "easel --help"),
        (("generate",), "prompt"),
        (("generate", "x", "--bogus", "1"), "--bogus"),
        (("generate", "x", "--steps", "0"), "Steps cannot be 0"),
        (("generate", "x", "--steps", "1000000"), "Steps cannot be 1000000"),
        (("generate", "x", "--steps", "many"), "Steps cannot be many"),
        (("generate", "x", "--seed", "-1"), "Seed cannot be -1"),
        (("generate", "x", "--seed", "99999999999999999999"), "Seed cannot be 99999999999999999999"),
        (("generate", "x", "--guidance-scale", "nan"), "Guidance scale cannot be nan"),
        (("generate", "x", "--size", "big"), "Size cannot be big"),
        (("generate", "x", "--size", "64x"), "Size cannot be 64x"),
        (("generate", "x", "--grid", "stepz=1,2"), "Did you mean “steps”"),
        (("generate", "x", "--grid", "steps=1", "--grid", "steps=2", "--model", "tiny"), "goes over “steps” twice"),
        (("generate", "x", "--control", f"cany:{MAIN}", "--model", "tiny"), "Did you mean “canny”"),
        (("generate", "x", "--model", "tiny", "--size", "100x64"), "Width cannot be 100"),
        (("generate", "x", "--model", "nope"), "no model named “nope”"),
        (("generate", "x", "--scheduler", "Eular"), "Did you mean “Euler”"),
        (("generate", "x", "--precision", "int3"), "Precision “int3” is not known"),
        (("generate", "x", "--vae", "x" * 5000, "--model", "tiny"), "5,000 characters"),
        (("generate", "x", "--out", "a.jpg"), "no PNG file"),
        (("generate", "x", "--model", "tiny", "--source", "/nowhere/a.png"), "There is no file"),
        (("generate", "x", "--model", "tiny", "--mask", MAIN), "no source picture"),
        (("generate", "x", "--model", "tiny", "--lora", "nope:0.5"), "no LoRA named “nope”"),
        (("generate", "x <lora:../../x:1e309>", "--model", "tiny"), "names no LoRA"),
        (("generate", "(" * 10_000, "--model", "tiny"), "more than 100 deep"),
        (("generate", "x", "--control", "canny"), "names no picture"),
        (("generate", "x", "--control", f"canny:{MAIN},mode=strict"), "mode=balanced, prompt or control"),
        (("generate", "x", "--image-prompt", f"{MAIN}:0.5"), "No IP-Adapter that fits the model"),
        (("generate", "x", "--image-prompt", f"{MAIN}:3"), "image prompt cannot be 3"),
        (("generate", "x", "--control", f"depth:{MAIN}", "--model", "tiny"), "No ControlNet for “depth”"),
        (("info", "/nowhere/a.png"), "There is no file"),
        (("info", MAIN), "not a picture"),
        (("models", "info"), "Name one"),
        (("models", "info", "nope"), "no model named"),
        (("models", "convert", "nope"), "no model named"),
        (("models", "list", "nope"), "takes no name"),
        (("models", "--family", "sd9"), "is no family"),
        (("models", "add", "/nowhere/x.ckpt"), "There is no file"),
        (("models", "add", "--use", "/nowhere/x.ckpt"), "There is no file"),
        (("models", "add", "--copy", "--move", "x"), "not allowed with"),
        (("models", "remove", "tiny"), "Use --yes"),
        (("models", "remove", "Easel Starter", "--yes"), "belongs to Easel itself"),
        (("bench", "--steps", "0"), "Steps cannot be 0"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(arguments: tuple[str, ...], said: str) -> None:
    done = easel(*arguments)
    assert done.returncode == 2
    assert said in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert done.stdout == ""


def test_a_folder_that_cannot_be_written_is_exit_code_1(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = easel("generate", "x", *TINY, "--out", str(tmp_path / "file" / "deep"))
    assert done.returncode == 1
    assert "cannot write in the folder" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_picture_and_its_settings(tmp_path: Path) -> None:
    out = tmp_path / "猫 🐱.png"
    done = easel("generate", "一只猫", *TINY, "--seed", "7", "--out", str(out))
    assert (done.returncode, done.stdout.strip()) == (0, str(out))
    told = json.loads(easel("info", str(out), "--json").stdout)
    assert told["easel"]["settings"]["prompt"] == "一只猫"
    assert told["parameters"]["Seed"] == "7"
    assert "prompt: 一只猫" in easel("info", str(out)).stdout
    again = easel("generate", "x", *TINY, "--out", str(out))
    assert again.returncode == 2
    assert "never overwrites" in again.stderr


def test_json_gives_an_object_a_line(tmp_path: Path) -> None:
    done = easel("generate", "x", *TINY, "--count", "2", "--json", "--out", str(tmp_path))
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert [event["kind"] for event in events if event["kind"] != "preparing"] == [
        *("started", "progress", "progress", "picture") * 2,
        "done",
    ]
    assert done.returncode == 0


def test_an_interrupt_is_130_and_leaves_nothing_half(tmp_path: Path) -> None:
    many = ("generate", "x", "--model", "tiny", "--backend", "torch", "--precision", "fp32", "--steps", "150")
    child = subprocess.Popen(
        [sys.executable, MAIN, *many, "--count", "50", "--json", "--out", str(tmp_path)],
        stdout=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # ours may be ignored, as under nohup
    )
    assert child.stdout is not None
    for line in child.stdout:
        if b'"progress"' in line:
            break
    child.send_signal(signal.SIGINT)
    child.communicate(timeout=60)
    assert child.returncode == 130
    assert [name for name in os.listdir(tmp_path) if not name.endswith(".png")] == []


def test_models_and_devices() -> None:
    listed = easel("models", "--kind", "checkpoint", "--json").stdout.splitlines()
    assert [json.loads(line)["name"] for line in listed] == ["Easel Starter", "tiny"]
    told = json.loads(easel("devices", "--json").stdout)
    assert [device["backend"] for device in told["devices"]] == ["cuda", "mps", "openvino", "torch"]
    assert all(device["why"] for device in told["devices"])
    assert "Chosen: " in easel("devices").stdout


def test_without_a_screen_the_window_says_so() -> None:
    environment = {name: value for name, value in os.environ.items() if name not in ("DISPLAY", "WAYLAND_DISPLAY")}
    environment.pop("QT_QPA_PLATFORM", None)
    done = subprocess.run(
        [sys.executable, MAIN], capture_output=True, text=True, timeout=60, env=environment, check=False
    )
    assert done.returncode == 1
    assert len(done.stderr.strip().splitlines()) == 1
    assert "screen" in done.stderr


def test_a_source_a_mask_and_a_control_at_once(tiny_model: Path, tmp_path: Path) -> None:
    """By the command line alone; the picture says how it was made, and the source stays outside the mask."""
    write_tiny_controlnet(tiny_model, tiny_model.parents[1] / "controlnet" / "tiny canny")
    noise = np.random.default_rng(3).integers(0, 256, (100, 160, 3), np.uint8)
    mask = np.zeros((100, 160), np.uint8)
    mask[20:60, 40:120] = 255
    source, hole, out = (tmp_path / f"{name} 图 🐱.png" for name in ("source", "mask", "out"))
    Image.fromarray(noise).save(source)
    Image.fromarray(mask).save(hole)
    done = easel(
        "generate", "a (red:1.2) house", *TINY, "--source", str(source), "--mask", str(hole), "--strength", "1",
        "--control", f"canny:{source}:0.5", "--inpaint-area", "only masked", "--seed", "4", "--out", str(out),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    with Image.open(out) as image:
        made = np.asarray(image)
    assert np.array_equal(made[mask == 0], noise[mask == 0])
    assert not np.array_equal(made, noise)
    told = json.loads(easel("info", str(out), "--json").stdout)
    settings = told["easel"]["settings"]
    assert (settings["source"], settings["mask"], settings["strength"]) == (str(source), str(hole), 1.0)
    assert settings["controls"][0]["kind"] == "canny"
    assert told["parameters"]["Denoising strength"] == "1"


def test_a_model_that_was_put_into_a_known_folder_since_the_last_look_is_found(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("EASEL_HOME", str(tmp_path / "home"))
    folder = tmp_path / "other 画"
    folder.mkdir()
    main(["models", "add", "--use", str(folder)])
    shutil.copytree(tiny_model, folder / "New one")
    assert models.find("new ONE").path == str(folder / "New one")
    again = Path(shutil.copytree(tiny_model, folder / "deep" / "New one"))
    (again / "model_index.json").write_bytes(b" " + (again / "model_index.json").read_bytes())
    capsys.readouterr()
    main(["models", "--json", "--kind", "checkpoint"])
    listed = [json.loads(line)["name"] for line in capsys.readouterr().out.splitlines()]
    assert listed == ["Easel Starter", "New one", "New one"]
    with pytest.raises(BadInput, match="Say which: “deep/New one” or “other 画/New one”"):
        main(["generate", "x", "--model", "New one"])
    with pytest.raises(BadInput, match="no model named “older”"):
        main(["generate", "x", "--model", "older"])
