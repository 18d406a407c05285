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
from engine.backends.choice import choose, devices
from engine.library import index
from engine.pipelines import Pipelines, with_scheduler
from engine.settings import GenerateSettings
from engine.tasks.generate import generate
from engine.backends.openvino.convert import convert
from engine.backends.openvino.converted import Conversion
import tempfile
card = index.find("tiny")
target = Path(tempfile.mkdtemp()) / "graphs"
asked = Conversion(model=card.path, target=str(target), int8=True, components=[
    ("text_encoder", "CLIPTextModel"), ("vae", "AutoencoderKL"), ("unet", "UNet2DConditionModel")])
convert(asked, lambda done: None)
device = choose(devices(), "openvino", "fp32")
pipeline = with_scheduler(Pipelines().ready(card, device, lambda what, done: None), card, "Euler")
generate(pipeline, GenerateSettings(prompt="x", width=64, height=64, steps=1, seed=1), lambda *_: None)
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
