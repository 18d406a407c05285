"""T5's tokenizer from SentencePiece's own file, against what SentencePiece itself made of the same texts."""

import json
import shutil
from contextlib import suppress
from pathlib import Path

import pytest

from engine.components import tokenizer
from engine.errors import BadInput
from engine.formats.sentence_pieces import read_pieces
from engine.library.recognise import recognise
from tests.tiny_flux import write_tiny_flux

DATA = Path(__file__).parents[1] / "data" / "t5"
END = 1
_KIND_OF_MODEL = bytes([3 << 3, 1])
"""The field of the training's settings that says unigram."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copy(DATA / "spiece.model", tmp_path / "spiece.model")
    return tmp_path


def test_the_ids_are_sentencepiece_s_own(folder: Path) -> None:
    ours = tokenizer(folder, "T5Tokenizer")
    expected: dict[str, list[int]] = json.loads((DATA / "ids.json").read_text("utf-8"))
    for text, ids in expected.items():
        assert ours(text).input_ids == [*ids, END], text
    pieces = len(read_pieces(folder / "spiece.model").scores)
    assert ours("<extra_id_99><extra_id_0>").input_ids == [pieces, pieces + 99, END]


def test_it_is_the_same_as_from_the_other_file(folder: Path, tmp_path: Path) -> None:
    ours = tokenizer(folder, "T5Tokenizer")
    other = tmp_path / "other"
    ours.save_pretrained(other)
    theirs = tokenizer(other, "T5Tokenizer")
    for text in ("a red house, ﬁne 猫", "<extra_id_7> and </s> ２", "", "x" * 700):
        assert ours(text).input_ids == theirs(text).input_ids


def test_a_model_with_it_is_whole(tmp_path: Path) -> None:
    model = write_tiny_flux(tmp_path / "flux")
    words = model / "tokenizer_2"
    (words / "tokenizer.json").unlink()
    with pytest.raises(BadInput, match="lacks the file “tokenizer_2/tokenizer.json”"):
        recognise(model)
    shutil.copy(DATA / "spiece.model", words / "spiece.model")
    assert recognise(model).family.name == "flux"


def test_a_file_that_is_none(folder: Path) -> None:
    path = folder / "spiece.model"
    whole = path.read_bytes()
    assert _KIND_OF_MODEL in whole
    other_kind = whole.replace(_KIND_OF_MODEL, bytes([3 << 3, 2]))
    beginnings = [whole[:size] for size in range(0, len(whole) - 1, 97)]
    for damaged in (b"", b"\xff" * 30, bytes(40), b"{}", other_kind, whole[:-1], *beginnings[:1], b"\x0a\x7f" + whole):
        path.write_bytes(damaged)
        with pytest.raises(BadInput, match="holds no pieces of words"):
            tokenizer(folder, "T5Tokenizer")
    for beginning in beginnings[1:]:  # some end where a piece does, and are models of fewer pieces
        path.write_bytes(beginning)
        with suppress(BadInput):
            assert read_pieces(path).scores
