"""The tokenizer: CLIP's byte-pair format, with merges learned from the captions."""

import json
from pathlib import Path
from random import Random

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
from transformers import CLIPTokenizer

from resources.starter_recipe.captions import caption, some_named
from resources.starter_recipe.world import random_scene

ENTRIES = 2400
LENGTH = 77
START, END = "<|startoftext|>", "<|endoftext|>"
_OTHER_WORDS = """
chalk picture photo image painting drawing illustration watercolour watercolor pixel outline flat paper style beautiful
bright dark light small big large tiny huge old new young happy sad funny cute simple detailed colourful colorful
black teal grey gray brown gold silver dog bird horse sun moon cloud rain wind sky water river lake mountain hill forest
street road bridge garden window door roof wall summer winter spring autumn morning evening ugly blurry bad good best
quality no not without with and or two three many some left right above below behind near far masterpiece portrait
图片 照片 画 美丽 可爱 高清 大 小 两 三 黑色 灰色 天空 山 河 月亮 太阳 狗 鸟 模糊 丑
""".split()  # noqa: SIM905  a list would be a hundred lines


def train(folder: Path, *, seed: int = 0) -> CLIPTokenizer:
    """Learn the merges and write `vocab.json`, `merges.txt` and the configuration into `folder`."""
    rng = Random(seed)
    scenes = [random_scene(rng) for _ in range(20_000)]
    texts = [caption(scene, some_named(scene, rng), rng) for scene in scenes]
    learner = Tokenizer(models.BPE(end_of_word_suffix="</w>", continuing_subword_prefix=""))
    learner.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    learner.pre_tokenizer = CLIPTokenizer.from_pretrained(_bare(folder)).backend_tokenizer.pre_tokenizer
    trainer = trainers.BpeTrainer(
        vocab_size=ENTRIES - 2 - 256,
        end_of_word_suffix="</w>",
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    learner.train_from_iterator([*texts, *_OTHER_WORDS * 40], trainer)
    merges = [tuple(pair) for pair in json.loads(learner.to_str())["model"]["merges"]]
    return _write(folder, merges)


def _bare(folder: Path) -> Path:
    _write(folder, [])
    return folder


def _write(folder: Path, merges: list[tuple[str, str]]) -> CLIPTokenizer:
    """CLIP's order: 256 bytes, the same at a word's end, the merges, the two ends."""
    folder.mkdir(parents=True, exist_ok=True)
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = [*letters, *(letter + "</w>" for letter in letters), *("".join(pair) for pair in merges), START, END]
    vocabulary = {word: number for number, word in enumerate(dict.fromkeys(words))}
    (folder / "vocab.json").write_text(json.dumps(vocabulary, ensure_ascii=False), encoding="utf-8")
    lines = ["#version: 0.2", *(" ".join(pair) for pair in merges)]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    config = {
        "tokenizer_class": "CLIPTokenizer",
        "model_max_length": LENGTH,
        "bos_token": START,
        "eos_token": END,
        "pad_token": END,
        "unk_token": END,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2), encoding="utf-8")
    return CLIPTokenizer.from_pretrained(folder, local_files_only=True)


def copy(tokenizer: CLIPTokenizer, folder: Path) -> None:
    """Write a trained tokenizer as the two data files and the configuration that every reader of CLIP's knows."""
    learned = json.loads(tokenizer.backend_tokenizer.to_str())["model"]["merges"]
    _write(folder, [tuple(pair) for pair in learned])
