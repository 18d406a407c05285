"""Writes `spiece.model`, a small one by SentencePiece itself, and `ids.json`, what it makes of a few texts.

Run with sentencepiece 0.2.3 beside Easel's environment: `pip install --target SOMEWHERE sentencepiece`, then
`PYTHONPATH=SOMEWHERE python -m tests.data.t5.record`.
"""

import json
from pathlib import Path
from tempfile import TemporaryDirectory

import sentencepiece  # pyright: ignore[reportMissingImports]

HERE = Path(__file__).parent
RULES = "FB01\t66 69\n2014\t2D\nFF12\t32\nE9\t65\n"
"""Letters that stand for others: a ligature, a dash, a wide digit, an accent."""
TEXTS = [
    "a red house", "  two   spaces, café — ﬁne ２ 猫!", "Naïve Hügel", "", "A photograph of an astronaut, 4k",
    "unbelievably long-winded words",
]  # fmt: skip


def main() -> None:
    """Train on README and CHANGELOG."""
    with TemporaryDirectory() as folder:
        rules, text = Path(folder) / "rules.tsv", Path(folder) / "text.txt"
        rules.write_text(RULES, encoding="utf-8")
        root = HERE.parents[2]
        text.write_text("".join((root / name).read_text("utf-8") for name in ("README.md", "CHANGELOG.md")), "utf-8")
        sentencepiece.SentencePieceTrainer.train(  # pyright: ignore[reportUnknownMemberType]
            input=str(text), model_prefix=str(HERE / "spiece"), vocab_size=400, model_type="unigram", pad_id=0,
            eos_id=1, unk_id=2, bos_id=-1, normalization_rule_tsv=str(rules), hard_vocab_limit=False, minloglevel=2,
        )  # fmt: skip
    (HERE / "spiece.vocab").unlink()
    processor = sentencepiece.SentencePieceProcessor(str(HERE / "spiece.model"))  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    ids = {each: processor.encode(each) for each in TEXTS}  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    (HERE / "ids.json").write_text(json.dumps(ids, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
