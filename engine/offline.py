"""Keeps every process of Easel off the network; imported before anything that could phone home."""

import os
import sys

_ENVIRONMENT = {
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_UPDATE_CHECK": "1",
    "HF_HUB_DISABLE_XET": "1",
    "HF_HUB_DISABLE_IMPLICIT_TOKEN": "1",
    "DO_NOT_TRACK": "1",
    "DIFFUSERS_DISABLE_REMOTE_CODE": "1",
    "NNCF_CI": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "PYTORCH_ENABLE_MPS_FALLBACK": "1",
}


def seal() -> None:
    """Block the telemetry and the downloads of our dependencies, here and in every child process.

    `openvino_telemetry` sends on import and from a child process of its own; a None in `sys.modules`
    makes its import fail, which OpenVINO and NNCF accept.
    """
    os.environ.update(_ENVIRONMENT)
    sys.modules["openvino_telemetry"] = None  # pyright: ignore[reportArgumentType]
