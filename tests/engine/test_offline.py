"""Nothing leaves the machine: a whole conversion and drawing under a watch over every socket."""

import os
import subprocess
import sys
from pathlib import Path

_WATCHED = """
import sys
calls = []
sys.addaudithook(lambda event, args: calls.append((event, args)) if event.startswith("socket.") else None)
from engine import offline
offline.seal()
import json
from pathlib import Path
from engine.library import index
from engine.settings import GenerateSettings
from tests.drawing import drawn
from engine.backends.openvino.convert import convert
from engine.backends.openvino.converted import Conversion
import tempfile
card = index.find("tiny")
target = Path(tempfile.mkdtemp()) / "graphs"
parts = {"text_encoder": "CLIPTextModel", "vae": "AutoencoderKL", "unet": "UNet2DConditionModel"}
asked = Conversion(target=str(target), int8=True, components=[
    (part, name, str(Path(card.path) / part)) for part, name in parts.items()])
convert(asked, lambda done: None)
drawn(GenerateSettings(model="tiny", prompt="x", width=64, height=64, steps=1, seed=1), "openvino")
out = ("socket.connect", "socket.getaddrinfo", "socket.sendto")
reached = [(event, str(args)) for event, args in calls if event in out]
print(json.dumps(reached), file=sys.stderr)
sys.exit(bool(reached))
"""


def test_converting_and_drawing_open_no_connection(shared_home: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _WATCHED],
        capture_output=True,
        text=True,
        timeout=240,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
