"""Measures what the README claims: start, first picture, stalls of the window, steps and memory."""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

from tests.bench import ROOT, environment, starter

START = Path(__file__).with_name("window.py")


def main() -> None:
    """Print one JSON object a figure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="easel-bench-") as folder:
        home = Path(folder)
        _tell("first start and picture, nothing converted yet", _window(home))
        warm = [_window(home) for _ in range(chosen.runs)]
        for figure in warm[0]:
            _tell(f"{figure}, median of {chosen.runs} warm", median(run[figure] for run in warm))
        shutil.rmtree(home / "pictures", ignore_errors=True)
        subprocess.run([sys.executable, ROOT / "main.py", "bench", "--json"], env=environment(home), check=True)
        for figure, value in starter.figures(home).items():
            _tell(f"starter pack, seconds a picture: {figure}", value)


def _window(home: Path) -> dict[str, float]:
    """One run of the real window: press Generate at once, close when the picture is shown."""
    done = subprocess.run(
        [sys.executable, START], env=environment(home), cwd=ROOT, capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout.splitlines()[-1])


def _tell(figure: str, value: Any) -> None:
    print(json.dumps({"figure": figure, "value": value}), flush=True)


if __name__ == "__main__":
    main()
