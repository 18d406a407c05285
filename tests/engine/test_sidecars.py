import json
from pathlib import Path

import pytest

from engine.library.sidecars import Sidecar, from_metadata, plain, read


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "my model v1.2.safetensors"
    path.write_bytes(b"")
    return path


def _beside(model: Path, ending: str, content: object) -> Path:
    path = model.with_name(model.stem + ending)
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def test_nothing_beside_a_file_is_nothing_said(model: Path) -> None:
    assert read(model) == Sidecar()
    assert read(model.with_name("gone.safetensors")) == Sidecar()


def test_civitai_card(model: Path) -> None:
    card = {
        "id": 1, "name": "v2.0 <b>bold</b>", "baseModel": "SDXL Lightning",
        "trainedWords": ["mystyle", "by me, 4k", 7, ""],
        "description": "<p>Use <b>4</b> steps &amp; CFG&nbsp;1.</p><script>alert(1)</script>"
        "<ul><li>one</li><li>two</li></ul>",
        "model": {"name": "Dream", "type": "Checkpoint"}, "images": [{"url": "http://example.com/x.png"}],
    }  # fmt: skip
    _beside(model, ".civitai.info", card)
    said = read(model)
    assert said.title == "Dream v2.0 bold"
    assert said.trigger_words == ("mystyle", "by me, 4k")
    assert (said.base_model, said.family, said.few_steps) == ("SDXL Lightning", "sdxl", "Lightning")
    assert said.description == "Use 4 steps & CFG 1.\n\none\n\ntwo"


def test_a1111_card_and_notes(model: Path) -> None:
    card = {
        "description": "mine", "sd version": "SD1", "activation text": "sks dog", "preferred weight": 0.7,
        "negative text": "blurry", "notes": "works best at 0.7",
    }  # fmt: skip
    _beside(model, ".json", card)
    _beside(model, ".txt", "\ufeffsome text")
    said = read(model)
    assert (said.family, said.trigger_words, said.preferred_weight) == ("sd1", ("sks dog",), 0.7)
    assert (said.notes, said.negative_words) == ("works best at 0.7", "blurry")
    assert read(model, beside={"my model v1.2.txt"}).notes == "some text"


def test_pictures_configuration_and_vae(model: Path) -> None:
    picture = _beside(model, ".preview.png", "x")
    _beside(model, ".jpg", "x")
    config = _beside(model, ".yaml", 'model:\n  params:\n    parameterization: "v"\n    linear_start: 0.00085\n')
    vae = _beside(model, ".vae.safetensors", "x")
    said = read(model)
    assert (said.preview, said.config, said.vae, said.prediction) == (picture, config, vae, "v-prediction")
    config.write_text("model:\n  params:\n    linear_start: 0.00085\n")
    assert read(model).prediction == "epsilon"


def test_stability_matrix_card(model: Path) -> None:
    card = {"ModelName": "Dream", "VersionName": "3", "BaseModel": "Pony", "TrainedWords": ["score_9"]}
    _beside(model, ".cm-info.json", card)
    said = read(model)
    assert (said.title, said.family, said.line, said.trigger_words) == ("Dream 3", "sdxl", "Pony", ("score_9",))


@pytest.mark.parametrize(
    "damaged",
    ["", "{", "[]", "null", "[" * 100_000, "\x00\xff", '{"name": 5, "baseModel": [], "trainedWords": {"a": 1}}',
     '{"preferred weight": 1e999, "description": 7, "model": "x"}', '{"trainedWords": [[["x"]]]}'],
)  # fmt: skip
def test_a_damaged_card_is_no_card(model: Path, damaged: str) -> None:
    for ending in (".civitai.info", ".json", ".cm-info.json"):
        _beside(model, ending, damaged)
    assert read(model) == Sidecar()


def test_a_huge_card_is_not_read(model: Path) -> None:
    path = _beside(model, ".civitai.info", "")
    with path.open("wb") as file:
        file.write(b'{"name": "x"}')
        file.truncate(17 * 2**20)
    assert read(model) == Sidecar()


def test_a_card_that_is_a_folder_or_hostile_is_passed_over(model: Path) -> None:
    model.with_name(f"{model.stem}.json").mkdir()
    _beside(model, ".civitai.info", {"name": "\u202eevil\n\x07" + "x" * 10_000, "description": "<" * 300_000})
    said = read(model)
    assert said.title.startswith("evil")
    assert len(said.title) <= 300
    assert said.title.isprintable()
    assert len(said.description) <= 64 * 2**10


def test_modelspec() -> None:
    said = from_metadata(
        {
            "modelspec.sai_model_spec": "1.0.1",
            "modelspec.architecture": "stable-diffusion-v2-768-v/lora",
            "modelspec.title": "Mine",
            "modelspec.trigger_phrase": "a sks dog, night",
            "modelspec.prediction_type": "v",
            "modelspec.resolution": "768x768",
            "modelspec.description": "Some *words*.",
        }  # fmt: skip
    )
    assert (said.title, said.family, said.prediction) == ("Mine", "sd2", "v-prediction")
    assert (said.trigger_words, said.resolution, said.description) == (
        ("a sks dog", "night"),
        "768x768",
        "Some *words*.",
    )


def test_kohya() -> None:
    frequency = {"10_sks dog": {"sks dog": 20, "grass": 9, "sky": 3}, "5_more": {"sks dog": 5, "outdoors": 24}}
    said = from_metadata(
        {
            "ss_base_model_version": "sd_v1",
            "ss_output_name": "dog",
            "ss_tag_frequency": json.dumps(frequency),
            "ss_training_comment": "None",
        }  # fmt: skip
    )
    assert (said.title, said.family, said.trigger_words, said.notes) == ("dog", "sd1", ("sks dog", "outdoors"), "")
    assert from_metadata({"ss_tag_frequency": "{", "ss_v2": "True"}).family == "sd2"
    assert from_metadata({"ss_tag_frequency": '{"a": {"b": "c"}}'}) == Sidecar()


@pytest.mark.parametrize(
    ("base", "family", "line", "few_steps"),
    [
        ("SD 1.4", "sd1", "", ""), ("SD 1.5", "sd1", "", ""), ("SD 1.5 LCM", "sd1", "", "LCM"),
        ("SD 1.5 Hyper", "sd1", "", "Hyper"), ("SD 2.1", "sd2", "", ""), ("SD 2.1 768", "sd2", "", ""),
        ("SDXL 1.0", "sdxl", "Stable Diffusion XL", ""), ("SDXL Turbo", "sdxl", "Stable Diffusion XL", "Turbo"),
        ("Pony", "sdxl", "Pony", ""), ("Illustrious", "sdxl", "Illustrious", ""), ("NoobAI", "sdxl", "NoobAI", ""),
        ("SD 3", "sd3", "", ""), ("SD 3.5 Large", "sd3", "", ""), ("SD 3.5 Large Turbo", "sd3", "", "Turbo"),
        ("Flux.1 D", "flux", "", ""), ("Flux.1 S", "flux", "", ""), ("Flux.2 D", "FLUX.2", "", ""),
        ("Pony V7", "AuraFlow", "", ""), ("Chroma", "Chroma", "", ""), ("Qwen", "Qwen-Image", "", ""),
        ("Wan Video 14B t2v", "Wan", "", ""), ("ZImageTurbo", "Z-Image", "", ""),
        ("SVD XT", "Stable Video Diffusion", "", ""),
        ("sdxl_base_v1-0", "sdxl", "Stable Diffusion XL", ""), ("sd_v1", "sd1", "", ""), ("flux1", "flux", "", ""),
        ("stable-diffusion-xl-v1-refiner", "sdxl-refiner", "", ""), ("stable-diffusion-3-medium/lora", "sd3", "", ""),
        ("PlaygroundV2", "sdxl", "Stable Diffusion XL", ""), ("Playground v2.5", "Playground 2.5", "", ""),
        ("Other", "", "", ""), ("Upscaler", "", "", ""), ("", "", "", ""),
    ],
)  # fmt: skip
def test_what_people_call_a_base(model: Path, base: str, family: str, line: str, few_steps: str) -> None:
    _beside(model, ".civitai.info", {"baseModel": base})
    said = read(model)
    assert (said.family, said.line, said.few_steps) == (family, line, few_steps)


def test_text_without_markup_stays_as_it_is() -> None:
    assert plain("1 < 2 and a > b & c\n\n\n\nend") == "1 < 2 and a > b & c\n\nend"
    assert plain("<style>p{}</style><p onclick='x()'>a<br>b</p>") == "a\nb"
