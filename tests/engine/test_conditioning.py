"""Prompt embeds against diffusers' own, and against A1111's rules computed once more, plainly."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import StableDiffusionPipeline, StableDiffusionXLPipeline
from safetensors.torch import save_file

from engine.adapters.embedding import known_words
from engine.conditioning import Conditioning, conditioned
from engine.errors import BadInput, Cancelled
from engine.messages import Adapters, ChosenLora
from engine.patience import told_to
from engine.settings import GenerateSettings, checked
from tests.tiny_xl import write_tiny_xl


@pytest.fixture(scope="module")
def pipeline(tiny_model: Path) -> Any:
    return StableDiffusionPipeline.from_pretrained(tiny_model, local_files_only=True, torch_dtype=torch.float32)


@pytest.fixture(scope="module")
def xl(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = write_tiny_xl(tmp_path_factory.mktemp("xl"))
    return StableDiffusionXLPipeline.from_pretrained(folder, local_files_only=True, torch_dtype=torch.float32)


def read(
    pipeline: Any,
    prompt: str,
    negative: str = "",
    embeddings: dict[str, str] | None = None,
    steps: int = 0,
    **more: Any,
) -> Conditioning:
    settings = GenerateSettings(prompt=prompt, negative_prompt=negative, **more)
    return conditioned(pipeline, settings, embeddings or {}, steps or settings.steps)


def embeds(pipeline: Any, prompt: str, **more: Any) -> torch.Tensor:
    return read(pipeline, prompt, **more).first.positive.tokens


@torch.no_grad()
def plain(pipeline: Any, ids: list[int]) -> torch.Tensor:
    """One chunk of ids, encoded with start, end and padding."""
    words = pipeline.tokenizer
    row = [words.bos_token_id, *ids, words.eos_token_id]
    row += [words.pad_token_id] * (77 - len(row))
    return pipeline.text_encoder(torch.tensor([row]))[0]


def ids(pipeline: Any, text: str) -> list[int]:
    return pipeline.tokenizer(text, add_special_tokens=False).input_ids


@pytest.mark.parametrize("prompt", ["", "a red house", "一只猫", "A, B.  c!"])
def test_a_plain_prompt_is_diffusers_own_bit_for_bit(pipeline: Any, prompt: str) -> None:
    theirs, their_negative = pipeline.encode_prompt(prompt, "cpu", 1, True, negative_prompt="blue")
    ours = read(pipeline, prompt, "blue").first
    assert torch.equal(ours.positive.tokens, theirs)
    assert torch.equal(ours.negative.tokens, their_negative)


@pytest.mark.parametrize("clip_skip", [1, 2])
def test_two_encoders_are_diffusers_own_bit_for_bit(xl: Any, clip_skip: int) -> None:
    skipped = {} if clip_skip == 1 else {"clip_skip": clip_skip - 1}
    theirs, _, pooled, _ = xl.encode_prompt("a red house", negative_prompt="blue", device="cpu", **skipped)
    ours = read(xl, "a red house", "blue", clip_skip=clip_skip).first
    assert torch.equal(ours.positive.tokens, theirs)
    assert ours.positive.pooled is not None
    assert torch.equal(ours.positive.pooled, pooled)
    _, their_negative, _, negative_pooled = xl.encode_prompt("x", negative_prompt="blue", device="cpu")
    if clip_skip == 1:
        assert torch.equal(ours.negative.tokens, their_negative)
    assert ours.negative.pooled is not None
    assert torch.equal(ours.negative.pooled, negative_pooled)


def test_clip_skip_is_diffusers_counted_from_one(xl: Any) -> None:
    """The first text encoder of the tiny XL has three layers, the tiny model's only one."""
    words = type("Alone", (), {"tokenizer": xl.tokenizer, "text_encoder": xl.text_encoder})()
    with torch.no_grad():
        ids_ = xl.tokenizer("a red house", padding="max_length", max_length=77, return_tensors="pt").input_ids
        seen = xl.text_encoder(ids_, output_hidden_states=True)
        expected = xl.text_encoder.text_model.final_layer_norm(seen.hidden_states[-2])
    assert torch.equal(embeds(words, "a red house", clip_skip=2), expected)
    assert torch.equal(embeds(words, "a red house", clip_skip=12), embeds(words, "a red house", clip_skip=3))


def test_a_long_prompt_goes_on_in_further_chunks(pipeline: Any) -> None:
    text = "abcd " * 20  # five tokens each, as the tiny tokenizer has no merges
    every = ids(pipeline, text)
    chunks = [every[first : first + 75] for first in range(0, len(every), 75)]
    both = read(pipeline, text, "short").first
    assert both.positive.tokens.shape[1] == both.negative.tokens.shape[1] == 77 * len(chunks)
    assert torch.equal(both.positive.tokens, torch.cat([plain(pipeline, chunk) for chunk in chunks], 1))
    empty = [plain(pipeline, [])] * (len(chunks) - 1)
    assert torch.equal(both.negative.tokens, torch.cat([plain(pipeline, ids(pipeline, "short")), *empty], 1))


def test_break_begins_a_chunk(pipeline: Any) -> None:
    expected = torch.cat([plain(pipeline, ids(pipeline, each)) for each in ("a", "b")], 1)
    assert torch.equal(embeds(pipeline, "a BREAK b"), expected)


def test_a_phrase_between_commas_stays_whole(pipeline: Any) -> None:
    before, phrase = "x" * 65 + ",", "y" * 14
    expected = torch.cat([plain(pipeline, ids(pipeline, each)) for each in (before, phrase)], 1)
    assert torch.equal(embeds(pipeline, before + phrase), expected)
    far = "x" * 40 + "," + "y" * 60  # the comma is more than 20 tokens back: cut in the phrase
    every = ids(pipeline, far)
    assert torch.equal(embeds(pipeline, far), torch.cat([plain(pipeline, every[:75]), plain(pipeline, every[75:])], 1))


def test_weights_stretch_and_the_mean_stays(pipeline: Any) -> None:
    base = plain(pipeline, ids(pipeline, "a red house"))
    first = 1 + len(ids(pipeline, "a"))
    count = len(ids(pipeline, "red"))
    expected = base.clone()
    expected[:, first : first + count] *= 1.3
    expected *= base.mean() / expected.mean()
    ours = embeds(pipeline, "a (red:1.3) house")
    torch.testing.assert_close(ours, expected, rtol=1e-6, atol=1e-6)
    assert float(ours.mean()) == pytest.approx(float(base.mean()), rel=1e-4, abs=1e-6)


def test_a_prompt_that_changes(pipeline: Any) -> None:
    made = read(pipeline, "[a:b:0.5]", "[c:8]", steps=10)
    assert sorted(made.changes) == [5, 8]
    assert torch.equal(made.first.positive.tokens, embeds(pipeline, "a"))
    assert torch.equal(made.changes[5].positive.tokens, embeds(pipeline, "b"))
    assert torch.equal(made.changes[5].negative.tokens, embeds(pipeline, ""))
    assert torch.equal(made.changes[8].negative.tokens, embeds(pipeline, "c"))


# ---------------------------------------------------------------- embeddings


def _file(folder: Path, name: str, **tensors: torch.Tensor) -> dict[str, str]:
    save_file(tensors, folder / f"{name}.safetensors")
    return {name.casefold(): str(folder / f"{name}.safetensors")}


@torch.no_grad()
def test_an_embedding_stands_for_its_vectors(pipeline: Any, tmp_path: Path) -> None:
    """As words of the table whose rows are its vectors would."""
    table = pipeline.text_encoder.get_input_embeddings().weight
    some = ids(pipeline, "xy")
    known = _file(tmp_path, "My-Word", emb_params=table[some].clone())
    for text in ("a my-word", "a MY-WORD", "a My-Word"):
        assert torch.equal(embeds(pipeline, text, embeddings=known), plain(pipeline, [*ids(pipeline, "a"), *some]))
    unused = embeds(pipeline, "my-words notmy-word", embeddings=known)
    assert torch.equal(unused, embeds(pipeline, "my-words notmy-word"))
    assert pipeline.text_encoder.get_input_embeddings().weight is table


def test_every_form_of_file_is_read(pipeline: Any, xl: Any, tmp_path: Path) -> None:
    rows = torch.randn(2, 768, generator=torch.Generator().manual_seed(1))
    forms = ({"emb_params": rows}, {"<anything>": rows}, {"emb_params": rows[0]})
    made = [embeds(pipeline, "one", embeddings=_file(tmp_path, "one", **form)) for form in forms]
    assert torch.equal(made[0], made[1])
    assert not torch.equal(made[0], made[2][:, :77])
    both = _file(tmp_path, "two", clip_l=rows, clip_g=torch.randn(2, 1280))
    assert not torch.equal(embeds(xl, "two", embeddings=both), embeds(xl, "two"))


@pytest.mark.parametrize(
    ("tensors", "cause"),
    [
        ({"emb_params": torch.zeros(1, 1024)}, "“bad.safetensors” has vectors of 1024 numbers; the model has 768"),
        ({"clip_l": torch.zeros(1, 768), "clip_g": torch.zeros(1, 1280)}, "of 768 and 1280 numbers; the model has 768"),
        ({"emb_params": torch.full((1, 768), float("nan"))}, "numbers that are none"),
        ({"emb_params": torch.zeros(0, 768)}, "is no embedding"),
        ({"a": torch.zeros(3, 3, 768)}, "is no embedding"),
        ({"a": torch.zeros(1, 768), "b": torch.zeros(1, 768), "c": torch.zeros(1)}, "is no embedding"),
    ],
)
def test_one_that_does_not_fit_is_refused_with_its_name(
    pipeline: Any, tmp_path: Path, tensors: dict[str, torch.Tensor], cause: str
) -> None:
    with pytest.raises(BadInput, match=cause) as refused:
        embeds(pipeline, "a bad thing", embeddings=_file(tmp_path, "bad", **tensors))
    assert refused.value.where.endswith("bad.safetensors")


def test_lists_and_any_order_of_xls_two_are_read(xl: Any, tmp_path: Path) -> None:
    noise = torch.Generator().manual_seed(1)
    small, large = (torch.randn(2, width, generator=noise) for width in (768, 1280))
    usual = embeds(xl, "two", embeddings=_file(tmp_path, "two", clip_l=small, clip_g=large))
    for number, form in enumerate(([{"clip_g": large, "clip_l": small}], [{"<a>": large}, {"<b>": small}])):
        torch.save(form, tmp_path / f"{number}.pt")
        assert torch.equal(embeds(xl, "two", embeddings={"two": str(tmp_path / f"{number}.pt")}), usual)


def test_what_is_bundled_in_a_lora_is_known_with_it(pipeline: Any, xl: Any, tmp_path: Path) -> None:
    noise = torch.Generator().manual_seed(1)
    small, large = (torch.randn(2, width, generator=noise) for width in (768, 1280))
    inside = {
        "bundle_emb.Mine.string_to_param.*": small,
        "bundle_emb.two.clip_l": small.clone(),
        "bundle_emb.two.clip_g": large,
    }
    save_file({"lora_unet_x.alpha": torch.ones(1), **inside}, tmp_path / "lora.safetensors")
    lora = ChosenLora(path=str(tmp_path / "lora.safetensors"), weight=1.0, text_encoder_weight=1.0)
    files = tuple(_file(tmp_path, "mine", emb_params=large).items())
    known = known_words(Adapters(loras=(lora,), embeddings=files), "a mine house")
    assert known == {"mine": lora.path, "two": lora.path}
    alone = _file(tmp_path, "mine", emb_params=small)
    assert torch.equal(embeds(pipeline, "a mine", embeddings=known), embeds(pipeline, "a mine", embeddings=alone))
    both = _file(tmp_path, "two", clip_l=small, clip_g=large)
    assert torch.equal(embeds(xl, "a two", embeddings=known), embeds(xl, "a two", embeddings=both))


def test_a_files_own_word_calls_it_beside_its_name(pipeline: Any, tmp_path: Path) -> None:
    rows = torch.randn(2, 768, generator=torch.Generator().manual_seed(1))
    file = _file(tmp_path, "learned_embeds", **{"<Cat-Toy>": rows}) | _file(tmp_path, "other", house=rows)
    (tmp_path / "damaged.pt").write_text("<html>")
    files = (*file.items(), ("damaged", str(tmp_path / "damaged.pt")))
    known = known_words(Adapters(embeddings=files), "a <cat-toy>")
    assert sorted(known) == ["<cat-toy>", "damaged", "learned_embeds", "other"]
    called = embeds(pipeline, "a learned_embeds b", embeddings=known)
    for text in ("a <cat-toy> b", "a<Cat-Toy>b", "a <cat-toy>b"):
        assert torch.equal(embeds(pipeline, text, embeddings=known), called)


def test_a_very_long_prompt_is_read_and_told_of_and_can_be_called_off(pipeline: Any) -> None:
    words = checked(GenerateSettings(prompt=" ".join(f"house{number:03}" for number in range(500)))).prompt
    heard: list[float] = []
    with told_to(lambda what, done: heard.append(done)):
        tokens = embeds(pipeline, words)
    assert tokens.shape == (1, 77 * math.ceil(500 * 8 / 75), 768)
    assert heard == sorted(heard)
    assert 0 < heard[0] < heard[-1] < 1
    checked(GenerateSettings(prompt="a house " * 5000))
    with pytest.raises(BadInput, match="characters long"):
        checked(GenerateSettings(prompt="a house " * 50_000))

    def stop(_what: str, _done: float) -> None:
        raise Cancelled

    with told_to(stop), pytest.raises(Cancelled):
        embeds(pipeline, words)
