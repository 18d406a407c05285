"""Networks of random weights that make control images, written by transformers itself."""

import json
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import (
    DepthAnythingConfig,
    DepthAnythingForDepthEstimation,
    Dinov2Config,
    SegformerConfig,
    SegformerForSemanticSegmentation,
    VitPoseBackboneConfig,
    VitPoseConfig,
    VitPoseForPoseEstimation,
)

NORM = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}


def write_tiny_depth(folder: Path) -> Path:
    """Depth Anything's, whose pictures keep their shape and have sides of multiples of 14."""
    torch.manual_seed(1)
    backbone = Dinov2Config(
        hidden_size=16, num_hidden_layers=2, num_attention_heads=2, image_size=28, patch_size=14,
        out_features=["stage1", "stage2"], reshape_hidden_states=False,
    )  # fmt: skip
    config = DepthAnythingConfig(
        backbone_config=backbone, reassemble_hidden_size=16, patch_size=14, reassemble_factors=[2, 1],
        neck_hidden_sizes=[8, 8], fusion_hidden_size=8, head_hidden_size=8,
    )  # fmt: skip
    network = DepthAnythingForDepthEstimation(config)
    for weight in network.parameters():
        weight.data *= 8 if weight.ndim > 1 else 1
    network.head.conv3.bias.data += 1  # what is nearer than nothing is all that it says
    network.save_pretrained(folder, safe_serialization=True)
    size = {"height": 28, "width": 28}
    _told(folder, size=size, keep_aspect_ratio=True, ensure_multiple_of=14)
    return folder


def write_tiny_segmentation(folder: Path) -> Path:
    """Segformer's, of 150 kinds of things."""
    torch.manual_seed(2)
    config = SegformerConfig(
        hidden_sizes=[8, 8, 8, 8], depths=[1] * 4, num_attention_heads=[1] * 4, decoder_hidden_size=8, num_labels=150
    )
    SegformerForSemanticSegmentation(config).save_pretrained(folder, safe_serialization=True)
    _told(folder, size={"height": 64, "width": 64})
    return folder


def write_tiny_pose(folder: Path) -> Path:
    """ViTPose's, of COCO's 17 joints."""
    torch.manual_seed(3)
    backbone = VitPoseBackboneConfig(
        hidden_size=16, num_hidden_layers=2, num_attention_heads=2, image_size=[64, 48], out_indices=[2]
    )
    labels = {place: str(place) for place in range(17)}
    config = VitPoseConfig(
        backbone_config=backbone, id2label=labels, label2id={name: at for at, name in labels.items()}
    )
    VitPoseForPoseEstimation(config).save_pretrained(folder, safe_serialization=True)
    _told(folder)
    return folder


def write_tiny_hed(file: Path) -> Path:
    """HED's own shapes, which its file does not choose; as 57 MB of noise."""
    from engine.tasks.preprocessors.hed import _Network

    torch.manual_seed(4)
    file.parent.mkdir(parents=True, exist_ok=True)
    save_file(_Network().half().state_dict(), file)
    return file


def _told(folder: Path, **settings: object) -> None:
    (folder / "preprocessor_config.json").write_text(json.dumps(NORM | settings), "utf-8")
