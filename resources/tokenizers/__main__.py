"""Make `clip/` out of the wheel of open_clip_torch, which holds the vocabulary of OpenAI's CLIP and is never installed.

The same wheel gives the same files, byte for byte; how the vocabulary follows from the list of merges:
https://github.com/openai/CLIP, `clip/simple_tokenizer.py`.
"""

import gzip
import hashlib
import json
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from engine.paths import RESOURCES, whole

WHEEL = "open_clip_torch==3.3.0"
LIST = "open_clip/bpe_simple_vocab_16e6.txt.gz"
SHA256 = "924691ac288e54409236115652ad4aa250f48203de50a9e4722a6ecd48d6804a"
MERGES = 49_152 - 256 - 2
"""Of the list, those that CLIP was trained with."""

LICENCE = """The vocabulary (vocab.json, merges.txt) is that of OpenAI's CLIP, https://github.com/openai/CLIP,
MIT License, Copyright (c) 2021 OpenAI. It is taken from the package open_clip_torch,
https://github.com/mlfoundations/open_clip, whose licence, the same one, follows.

"""


def main() -> None:
    """Download, check, write."""
    target = RESOURCES / "tokenizers" / "clip"
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", folder, WHEEL]
        subprocess.run(command, check=True)
        with zipfile.ZipFile(next(Path(folder).glob("*.whl"))) as wheel:
            packed = wheel.read(LIST)
            licence = wheel.read(next(name for name in wheel.namelist() if name.endswith("/licenses/LICENSE")))
    if hashlib.sha256(packed).hexdigest() != SHA256:
        raise SystemExit(f"{LIST} of {WHEEL} is not the file that is known.")
    merges = gzip.decompress(packed).decode("utf-8").split("\n")[1 : MERGES + 1]
    vocabulary = json.dumps(vocabulary_of(merges), ensure_ascii=False, separators=(",", ":"))
    target.mkdir(parents=True, exist_ok=True)
    for name, text in {
        "merges.txt": "\n".join(["#version: 0.2", *merges, ""]),
        "vocab.json": vocabulary,
        "LICENSE": LICENCE + licence.decode("utf-8"),
    }.items():
        with whole(target / name) as part:
            part.write_text(text, "utf-8", newline="\n")


def vocabulary_of(merges: list[str]) -> dict[str, int]:
    """CLIP's words and their numbers: every byte, every byte that ends a word, every merge, start and end."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    letters = [*map(chr, printable), *(chr(256 + place) for place in range(len(others)))]
    words = [
        *letters,
        *(f"{letter}</w>" for letter in letters),
        *(merge.replace(" ", "") for merge in merges),
        "<|startoftext|>",
        "<|endoftext|>",
    ]
    return {word: number for number, word in enumerate(words)}


if __name__ == "__main__":
    main()
