"""Control images that a model makes: against transformers' own reading, drawn where things are, and refused kindly."""

from pathlib import Path

import numpy as np
import pytest
import torch
from msgspec import structs
from PIL import Image
from transformers import (
    DepthAnythingForDepthEstimation,
    DPTImageProcessorPil,
    SegformerForSemanticSegmentation,
    VitPoseForPoseEstimation,
    VitPoseImageProcessorPil,
)

from engine.errors import BadInput
from engine.library.preprocessors import model_for
from engine.settings import GenerateSettings
from engine.tasks.preprocessors import control_image
from engine.tasks.preprocessors.found import KINDS_OF_THINGS, person, things
from engine.tasks.preprocessors.models import joints
from engine.uses import ControlUse
from tests.drawing import drawn
from tests.tiny_controlnet import write_tiny_controlnet
from tests.tiny_networks import write_tiny_depth, write_tiny_hed, write_tiny_pose, write_tiny_segmentation

SIZE = (96, 64)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("engine.paths.adapters", lambda kind: (tmp_path / kind, tmp_path / "none"))
    return tmp_path


@pytest.fixture
def picture() -> Image.Image:
    noise = np.random.default_rng(1).integers(0, 256, (8, 12, 3), np.uint8)
    return Image.fromarray(noise).resize(SIZE, Image.Resampling.BICUBIC)


@torch.no_grad()
def test_depth_is_the_model_s_near_is_bright(home: Path, picture: Image.Image) -> None:
    folder = write_tiny_depth(home / "preprocessor" / "depth anything")
    assert model_for("depth") == str(folder)
    ours = np.asarray(control_image("depth", picture, SIZE, str(folder)))
    reader = DPTImageProcessorPil(
        size={"height": 28, "width": 42}, image_mean=[0.485, 0.456, 0.406], image_std=[0.229, 0.224, 0.225]
    )
    network = DepthAnythingForDepthEstimation.from_pretrained(folder, local_files_only=True).eval()
    found = network(**reader(picture, return_tensors="pt")).predicted_depth[None]
    wide = torch.nn.functional.interpolate(found, SIZE[::-1], mode="bicubic")[0, 0].numpy()
    theirs = 255 * (wide - wide.min()) / (wide.max() - wide.min())
    assert np.abs(ours[..., 0] - theirs).mean() < 8, "but for how a picture is scaled"
    assert np.corrcoef(ours[..., 0].ravel(), theirs.ravel())[0, 1] > 0.98


@torch.no_grad()
def test_segmentation_is_the_model_s_in_the_colours_of_ade20k(home: Path, picture: Image.Image) -> None:
    folder = write_tiny_segmentation(home / "preprocessor" / "segformer")
    ours = np.asarray(control_image("segmentation", picture, SIZE, model_for("segmentation")))
    network = SegformerForSemanticSegmentation.from_pretrained(folder, local_files_only=True).eval()
    pixels = np.asarray(picture.resize((64, 64), Image.Resampling.BICUBIC), np.float32) / 255
    shown = (pixels - np.array([0.485, 0.456, 0.406])) / np.array([0.229, 0.224, 0.225])
    scores = network(torch.from_numpy(shown.transpose(2, 0, 1)[None]).float()).logits
    kinds = torch.nn.functional.interpolate(scores, SIZE[::-1], mode="bilinear")[0].argmax(0).numpy()
    assert (ours == KINDS_OF_THINGS[kinds]).all(axis=2).mean() > 0.9
    assert KINDS_OF_THINGS[[0, 2, 12]].tolist() == [[120, 120, 120], [6, 230, 230], [150, 5, 61]], "wall, sky, person"


def test_a_thing_is_where_its_score_is_highest() -> None:
    scores = np.zeros((150, 8, 12), np.float32)
    scores[2, :4], scores[13, 4:] = 1, 1
    made = things(scores, SIZE)
    assert made[8, 50].tolist() == KINDS_OF_THINGS[2].tolist()
    assert made[56, 50].tolist() == KINDS_OF_THINGS[13].tolist()


@torch.no_grad()
def test_a_pose_is_the_model_s(home: Path, picture: Image.Image) -> None:
    """Within two cells of the model's maps: transformers finds places between cells, and smooths the maps before."""
    folder = write_tiny_pose(home / "preprocessor" / "vitpose")
    ours, sure = joints(np.asarray(picture), folder)
    reader = VitPoseImageProcessorPil(size={"height": 64, "width": 48})
    network = VitPoseForPoseEstimation.from_pretrained(folder, local_files_only=True).eval()
    boxes = [[[0.0, 0.0, *map(float, SIZE)]]]
    found = network(**reader(picture, boxes=boxes, return_tensors="pt"))
    ((theirs,),) = reader.post_process_pose_estimation(found, boxes=boxes)
    clear = theirs["scores"].numpy() > 0.25  # of the others random maps have several places alike
    assert clear.sum() > 4
    cell = 1.25 * SIZE[0] / 12
    assert np.abs(ours - theirs["keypoints"].numpy())[clear].max() < 2 * cell
    assert np.abs(sure - theirs["scores"].numpy()).max() < 0.1
    made = control_image("pose", picture, SIZE, model_for("pose"))
    assert (made.mode, made.size) == ("RGB", SIZE)


def test_a_person_s_joints_have_openpose_s_colours() -> None:
    places = np.tile(np.array([[50.0, 80.0]]), (17, 1))
    places[[5, 6]] = [[70, 40], [30, 40]]  # left and right shoulder
    places[0] = [50, 20]  # nose
    sure = np.zeros(17)
    sure[[0, 5, 6]] = 1
    made = person(places, sure, (100, 100))
    assert made[20, 50].tolist() == [255, 0, 0], "nose"
    assert made[40, 50].tolist() == [255, 85, 0], "neck, between the shoulders"
    assert made[40, 30].tolist() == [255, 170, 0], "right shoulder"
    assert made[40, 70].tolist() == [85, 255, 0], "left shoulder"
    assert made[40, 40].tolist() == [153, 0, 0], "from neck to right shoulder, six tenths as bright"
    assert not made[60:].any(), "what the model is not sure of is not drawn"


def test_hed_finds_a_bright_and_a_dark_half(home: Path) -> None:
    write_tiny_hed(home / "preprocessor" / "ControlNetHED.safetensors")
    image = Image.new("RGB", (64, 64))
    image.paste((255, 255, 255), (32, 0, 64, 64))
    made = np.asarray(control_image("hed", image, (64, 64), model_for("hed")))
    assert made.shape == (64, 64, 3)
    assert abs(int(made[32, 4, 0]) - int(made[32, 60, 0])) > 2
    assert not np.asarray(control_image("hed", image, (8, 8), model_for("hed"))).any()


@pytest.mark.parametrize("kind", ["depth", "segmentation", "pose", "hed"])
def test_what_is_missing_is_said(home: Path, kind: str) -> None:
    with pytest.raises(BadInput, match=f"The preprocessor “{kind}” needs .* the library has none. Add one to Easel's"):
        model_for(kind)


def test_a_damaged_model_is_said(home: Path, picture: Image.Image) -> None:
    folder = write_tiny_depth(home / "preprocessor" / "depth")
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(BadInput, match="The model “depth” for the preprocessor “depth” cannot be used"):
        control_image("depth", picture, SIZE, str(folder))


def test_a_picture_is_drawn_along_a_depth_that_a_model_sees(home: Path, picture: Image.Image, tiny_model: Path) -> None:
    folder = write_tiny_depth(home / "preprocessor" / "depth")
    write_tiny_controlnet(tiny_model, home / "controlnet" / "tiny-depth")
    picture.save(home / "picture.png")
    control_image("depth", picture, SIZE, str(folder)).save(home / "depth.png")
    asked = GenerateSettings(prompt="x", model=str(tiny_model), seed=1, steps=2, width=96, height=64)
    by_model, by_hand = (
        structs.replace(asked, controls=(ControlUse(kind=kind, shows="depth", image=str(home / name)),))
        for kind, name in (("depth", "picture.png"), ("none", "depth.png"))
    )
    assert drawn(by_model).tobytes() == drawn(by_hand).tobytes()
