"""T5's tokenizer, the same one for all its models: its pieces of words, and where a folder or a file has them."""

import base64
import hashlib
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from engine.errors import BadInput, EaselError
from engine.formats.headers import bytes_of, header_of
from engine.formats.sentence_pieces import MAX_BYTES, Pieces, read_pieces
from engine.library.recognise import T5_PIECES, TOKENIZER_FILES, read_json
from engine.paths import cache, ready, whole

FILES = (*TOKENIZER_FILES["T5Tokenizer"], T5_PIECES)
"""What it is made of: any of these."""
_HIDDEN_WORDS = 100
"""Tokens that stand for words left out, behind all pieces, the last one first."""
_FIRST = ["<pad>", "</s>", "<unk>"]
"""By which it is told from the tokenizers of other models, which are called the same."""
_MOST_UNUSED = 256
"""By how many an encoder's words and the tokenizer's may differ: its table is as long as suits the hardware."""
_TENSOR = "spiece_model"
"""A SentencePiece model inside a text encoder's file, as ComfyUI writes it: its bytes are the numbers."""


def pieces_in(folder: Path) -> Pieces:
    """From the file of the tokenizers library, or from SentencePiece's own, which lacks the tokens that hide words.

    Raises BadInput for a folder that has neither, and for a file that is damaged.
    """
    name = FILES[0]
    if not (folder / name).is_file():
        scores, charsmap = read_pieces(folder / T5_PIECES)
        return Pieces([*scores, *((f"<extra_id_{place}>", 0.0) for place in reversed(range(_HIDDEN_WORDS)))], charsmap)
    found = read_json(folder / name)
    model = found.get("model")
    pieces = model.get("vocab") if isinstance(model, dict) else None
    if not isinstance(pieces, list) or not all(map(_is_piece, pieces)) or len(pieces) < len(_FIRST):
        raise BadInput(
            f"The model's “{folder.name}/{name}” holds no pieces of words.", "Copy the model folder again.", str(folder)
        )
    return Pieces([(word, float(score)) for word, score in pieces], _charsmap(found))


def words_in(places: Iterable[Path], vocabulary: int) -> Path | None:
    """The first of the folders that has the tokenizer of an encoder that knows so many words; None for none."""
    return next((folder for folder in places if _has_words(folder, vocabulary)), None)


def words_within(file: Path) -> Path | None:
    """A folder with the tokenizer that a text encoder's file carries with it; None where it has none."""
    tensors = header_of(file).tensors
    name = next((name for name in tensors if name.rpartition(".")[2] == _TENSOR), None)
    if name is None or tensors[name].dtype not in ("U8", "I8") or math.prod(tensors[name].shape) > MAX_BYTES:
        return None
    content = bytes_of(file, name)
    folder = ready(cache("words") / hashlib.sha256(content).hexdigest()[:20])
    if not (folder / T5_PIECES).is_file():
        with whole(folder / T5_PIECES) as part:
            part.write_bytes(content)
    return folder


def _has_words(folder: Path, vocabulary: int) -> bool:
    try:
        pieces = pieces_in(folder).scores if any((folder / name).is_file() for name in FILES) else []
    except EaselError:  # damaged, or of another model
        return False
    return [word for word, _ in pieces[: len(_FIRST)]] == _FIRST and abs(vocabulary - len(pieces)) < _MOST_UNUSED


def _is_piece(found: Any) -> bool:
    return (
        isinstance(found, list) and len(found) == 2 and isinstance(found[0], str) and isinstance(found[1], (int, float))
    )


def _charsmap(tokenizer: dict[str, Any]) -> bytes | None:
    """SentencePiece's table of letters that stand for others, if the tokenizer has one."""
    stated = tokenizer.get("normalizer")
    several = stated.get("normalizers", [stated]) if isinstance(stated, dict) else []
    tables = [each["precompiled_charsmap"] for each in several if "precompiled_charsmap" in each]
    return base64.b64decode(tables[0]) if tables else None
