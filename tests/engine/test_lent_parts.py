"""Parts that lie in files of their own, lent to a transformer that is one file: as most people own FLUX.1."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from engine import paths
from engine.components import Component, load
from engine.errors import BadInput
from engine.families import FAMILIES
from engine.library import index, intake, shelves
from engine.library.catalogue import Catalogue
from engine.library.lenders import lenders, t5_words
from engine.library.opened_weights import stored
from engine.library.recognise import is_heavy
from engine.library.roots import roots
from engine.library.scan import scan
from engine.library.single_file import opened
from engine.messages import Describe
from tests.headers.architectures import clip, flux, of, t5
from tests.tiny_single import write_bare, write_file, write_folder
from tests.weights import hollow

pytestmark = pytest.mark.usefixtures("home")

DATA = Path(__file__).parents[1] / "data" / "t5"
WORDS = {"flux": "tokenizer_2", "sd3": "tokenizer_3"}
"""T5's tokenizer, in a folder of the family."""


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A small model folder of each family; not to be changed."""
    whole = tmp_path_factory.mktemp("models")
    return {family: write_folder(whole / family, family) for family in WORDS}


def _bare(folder: Path, part: str, file: Path, dtype: torch.dtype | None = None) -> Path:
    return write_bare(folder, folder.name, part, file, dtype)


def _alone(folder: Path, file: Path) -> Path:
    """The folder's transformer as a file."""
    parts = [part for part in FAMILIES[folder.name].components if is_heavy(part) and part != "transformer"]
    file.parent.mkdir(parents=True, exist_ok=True)
    return write_file(folder, file, folder.name, leave=parts)


def _put_words(folder: Path, target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    shutil.copy(folder / WORDS[folder.name] / "tokenizer.json", target)


def _looked_through(added: Path) -> Catalogue:
    catalogue = Catalogue()
    catalogue.add_root(added)
    _look_again(catalogue)
    return catalogue


def _look_again(catalogue: Catalogue) -> None:
    for _ in scan(catalogue, roots(catalogue.roots())):
        pass


def _same(model: Path, folder: Path, parts: tuple[str, ...] = ()) -> None:
    components = FAMILIES[folder.name].components
    for part in parts or filter(is_heavy, components):
        ours, theirs = (load(Component(part, components[part], each / part)).state_dict() for each in (model, folder))
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[name], theirs[name]) for name in ours), part


def test_flux_opens_in_the_folders_of_comfyui(folders: dict[str, Path], tmp_path: Path) -> None:
    flux, comfy = folders["flux"], tmp_path / "ComfyUI 用户"
    file = _alone(flux, comfy / "models" / "diffusion_models" / "flux1-dev.safetensors")
    _bare(flux, "text_encoder", comfy / "models" / "text_encoders" / "clip_l.safetensors")
    _bare(flux, "text_encoder_2", comfy / "models" / "clip" / "t5" / "t5xxl_fp16.safetensors")
    _bare(flux, "vae", comfy / "models" / "vae" / "ae.safetensors")
    _put_words(flux, comfy / "comfy" / "text_encoders" / "t5_tokenizer")
    with pytest.raises(BadInput, match=r"without a text encoder \(CLIP-L\), a text encoder \(T5-XXL\) and a VAE, and"):
        opened(file)
    _looked_through(comfy).close()
    model = opened(file)
    _same(model, flux)
    for name in ("tokenizer_2/tokenizer.json", "tokenizer/vocab.json"):
        assert (model / name).read_bytes() == (flux / name).read_bytes()
    assert opened(file) == model


@pytest.mark.parametrize("family", list(WORDS))
def test_files_of_the_published_sizes_find_one_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, family: str
) -> None:
    """By their headers alone: of the true sizes, without a number, beside others that are not lent."""
    monkeypatch.setattr(paths, "CLIP", paths.RESOURCES / "tokenizers" / "clip")
    models = tmp_path / "ComfyUI" / "models"
    transformer = flux() if family == "flux" else of("sd3", "transformer")
    file = hollow(models / "diffusion_models" / "model.safetensors", transformer)
    bare_vae = {name: of(name, "vae") for name in (family, "sdxl")}
    written = {
        "text_encoder": hollow(models / "clip" / "a.safetensors", clip(768, 12)),
        "text_encoder_2": hollow(
            models / "clip" / "b.safetensors", clip(1280, 32) | {"text_projection.weight": (1280, 1280)}
        ),
        "text_encoder_3": hollow(models / "text_encoders" / "c.safetensors", t5()),
        "vae": hollow(models / "vae" / "d.safetensors", bare_vae[family]),
    }
    hollow(models / "clip" / "0.safetensors", clip(1024, 23))
    hollow(models / "clip" / "1.safetensors", t5(words=256384))
    hollow(models / "vae" / "0.safetensors", bare_vae["sdxl"])
    words = [["<pad>", 0.0], ["</s>", 0.0], ["<unk>", 0.0], *([f"▁{number}", -9.0] for number in range(32097))]
    (models.parent / "comfy" / "t5_tokenizer").mkdir(parents=True)
    (models.parent / "comfy" / "t5_tokenizer" / "tokenizer.json").write_text(json.dumps({"model": {"vocab": words}}))
    catalogue = _looked_through(models.parent)
    if family == "sd3":
        with pytest.raises(BadInput, match=r"without a VAE, .* whether “d\.safetensors” is for Stable Diffusion 3"):
            index.find(str(file))
        catalogue.describe(Describe(path=str(written["vae"]), answers=(("family", family),)))
    catalogue.close()
    card = index.find(str(file))
    written |= {"text_encoder_2": written["text_encoder_3"]} if family == "flux" else {}
    assert card.family == family
    for part in filter(is_heavy, FAMILIES[family].components):
        lent = stored(Path(card.path) / part)
        assert lent
        assert lent.files == (str(file if part == "transformer" else written[part]),)


@pytest.mark.parametrize("family", list(WORDS))
def test_what_a_file_is_its_header_tells_and_not_its_name(
    folders: dict[str, Path], tmp_path: Path, home: Path, family: str
) -> None:
    """Every encoder is there, in Easel's own folders, under another's name."""
    folder = folders[family]
    file = _alone(folder, tmp_path / "alone.safetensors")
    _bare(folders["sd3"], "text_encoder", home / "text_encoders" / "t5xxl.safetensors")
    _bare(folders["sd3"], "text_encoder_2", home / "models" / "sub" / "clip_l.safetensors")
    _bare(folders["sd3"], "text_encoder_3", home / "text_encoders" / "clip_g.sft")
    _bare(folder, "vae", home / "vae" / "clip.safetensors")
    (home / "vae" / "damaged.safetensors").write_bytes(b"<html>")
    _put_words(folder, home / "text_encoders")
    catalogue = _looked_through(tmp_path)
    catalogue.describe(Describe(path=str(home / "vae" / "clip.safetensors"), family=family))
    catalogue.close()
    model = opened(file)
    _same(model, folder, ("vae", "transformer"))
    of_sd3 = {"text_encoder_2": "text_encoder_3"} if family == "flux" else {"text_encoder_3": "text_encoder_3"}
    for ours, theirs in ({"text_encoder": "text_encoder"} | of_sd3).items():
        loaded = load(Component(ours, FAMILIES[family].components[ours], model / ours)).state_dict()
        expected = load(Component(theirs, FAMILIES["sd3"].components[theirs], folders["sd3"] / theirs)).state_dict()
        assert all(torch.equal(loaded[name], expected[name]) for name in loaded)


def test_a_text_encoder_that_is_added_can_be_lent(tmp_path: Path, home: Path) -> None:
    clip_l = hollow(tmp_path / "models" / "encoder 编码器.safetensors", clip(768, 12))
    assert intake.kind_of(clip_l) == "text_encoder"
    linked = intake.link(clip_l, "text_encoder")
    assert linked == home / "text_encoders" / clip_l.name
    assert [each.path for each in lenders("text_encoder")] == [linked]
    assert lenders("vae") == []


def test_missing_parts_are_named_with_what_to_add(folders: dict[str, Path], tmp_path: Path, home: Path) -> None:
    flux = folders["flux"]
    file = _alone(flux, tmp_path / "flux.safetensors")
    _bare(flux, "text_encoder_2", home / "text_encoders" / "t5.safetensors")
    with pytest.raises(BadInput) as told:
        opened(file)
    assert "without a text encoder (CLIP-L), T5's tokenizer and a VAE, and" in told.value.cause
    assert f"“tokenizer.json” into “{home / 'text_encoders'}”" in told.value.advice
    assert "Add a FLUX.1 model" in told.value.advice
    _bare(flux, "text_encoder", home / "text_encoders" / "l.safetensors")
    _bare(flux, "vae", home / "vae" / "ae.safetensors")
    with pytest.raises(BadInput, match="comes without T5's tokenizer, and nothing in the library can lend it"):
        opened(file)
    _put_words(flux, home / "text_encoders")
    _same(opened(file), flux)


def test_the_starter_lends_nothing(tmp_path: Path, home: Path) -> None:
    """It is built like Stable Diffusion 1.x, with parts that are far smaller."""
    file = hollow(tmp_path / "unet.safetensors", of("sd1", "unet"))
    _looked_through(tmp_path).close()
    assert shelves.known()[paths.STARTER].family == "sd1"
    with pytest.raises(BadInput, match=r"without a text encoder \(CLIP-L\) and a VAE"):
        opened(file)


def test_another_models_tokenizer_is_not_taken_for_t5s(folders: dict[str, Path], tmp_path: Path, home: Path) -> None:
    file = write_file(folders["flux"], tmp_path / "flux.safetensors", "flux")
    _put_words(folders["flux"], home / "text_encoders")
    words = home / "text_encoders" / "tokenizer.json"
    stated = json.loads(words.read_text("utf-8"))
    vocabulary = stated["model"]["vocab"]
    for wrong in (vocabulary[::-1], vocabulary + [[f"▁{number}", -9.0] for number in range(400)]):
        stated["model"]["vocab"] = wrong
        words.write_text(json.dumps(stated), "utf-8")
        with pytest.raises(BadInput, match="without T5's tokenizer"):
            opened(file)


@pytest.mark.parametrize(
    ("models", "words"),
    [
        ("ComfyUI/models/checkpoints", "ComfyUI/comfy/text_encoders/t5_tokenizer"),
        ("models/Stable-diffusion", "backend/huggingface/black-forest-labs/FLUX.1-dev/tokenizer_2"),
        ("Data/Models/StableDiffusion", "Data/Packages/ComfyUI/comfy/text_encoders/t5_tokenizer"),
    ],
)
def test_other_programs_have_t5s_tokenizer(
    folders: dict[str, Path], tmp_path: Path, home: Path, models: str, words: str
) -> None:
    program = tmp_path / "program 程序"
    (program / models).mkdir(parents=True)
    encoder = hollow(tmp_path / "encoders" / "t5.safetensors", {"shared.weight": (160, 4)})
    decoy = program / "backend" / "huggingface" / "a" / "xl" / "tokenizer_2"
    decoy.mkdir(parents=True)
    (decoy / "tokenizer.json").write_text('{"model": {"type": "BPE", "vocab": {"a": 0}}}')
    _looked_through(program).close()
    assert t5_words(encoder, 160) is None
    _put_words(folders["flux"], program / words)
    assert t5_words(encoder, 160) == program / words
    _put_words(folders["flux"], encoder.parent)
    assert t5_words(encoder, 160) == encoder.parent


def test_a_tokenizer_may_lie_within_its_encoder(folders: dict[str, Path], tmp_path: Path, home: Path) -> None:
    """As ComfyUI writes them: SentencePiece's model as a tensor of bytes."""
    flux, model = folders["flux"], (DATA / "spiece.model").read_bytes()
    file = write_file(flux, tmp_path / "flux.safetensors", "flux")
    tensors, table = load_file(file), "text_encoders.t5xxl.transformer.shared.weight"
    inside = {"text_encoders.spiece_model": torch.frombuffer(bytearray(model), dtype=torch.uint8)}
    save_file(tensors | {table: tensors[table].repeat(3, 1)} | inside, file)
    assert (opened(file) / "tokenizer_2" / "spiece.model").read_bytes() == model


def test_of_several_the_least_tightly_packed_is_lent(folders: dict[str, Path], tmp_path: Path, home: Path) -> None:
    flux = folders["flux"]
    file = _alone(flux, tmp_path / "flux.safetensors")
    for name, dtype in (("a", torch.float8_e4m3fn), ("b", torch.float32), ("c", torch.float16)):
        _bare(flux, "text_encoder_2", home / "text_encoders" / f"{name}.safetensors", dtype)
    _bare(flux, "text_encoder", home / "text_encoders" / "l.safetensors")
    _bare(flux, "vae", home / "vae" / "one.safetensors")
    shutil.copy(home / "vae" / "one.safetensors", home / "vae" / "copy.safetensors")
    _put_words(flux, home / "text_encoders")
    _same(opened(file), flux, ("text_encoder_2", "vae"))


def test_whose_an_autoencoder_of_16_channels_is_must_be_said(
    folders: dict[str, Path], tmp_path: Path, home: Path
) -> None:
    """The shapes of FLUX.1's and Stable Diffusion 3's are the same, and what lies alone is nearly always FLUX.1's."""
    sd3 = folders["sd3"]
    file = _alone(sd3, tmp_path / "sd3.safetensors")
    for part, name in (("text_encoder", "l"), ("text_encoder_2", "g")):
        _bare(sd3, part, home / "text_encoders" / f"{name}.safetensors")
    vae = _bare(sd3, "vae", home / "vae" / "ae.safetensors")
    with pytest.raises(BadInput, match="without a VAE, .* whether “ae.safetensors” is for Stable Diffusion 3: no"):
        opened(file)
    catalogue = _looked_through(tmp_path / "nothing")
    catalogue.describe(Describe(path=str(vae), family="sd3"))
    model = opened(file)
    _same(model, sd3, ("text_encoder", "text_encoder_2", "vae", "transformer"))
    assert not (model / "text_encoder_3").exists()
    catalogue.describe(Describe(path=str(vae), family="flux"))
    catalogue.close()
    with pytest.raises(BadInput, match="without a VAE, .* Add a Stable Diffusion 3 model"):
        opened(file)


def test_what_comes_and_goes_is_seen(folders: dict[str, Path], tmp_path: Path, home: Path) -> None:
    """Stable Diffusion 3 draws without T5, and with it once it is there."""
    sd3 = folders["sd3"]
    model = opened(write_file(sd3, tmp_path / "sd3.safetensors", "sd3", leave=("text_encoder_3",)))
    assert not (model / "text_encoder_3").exists()
    t5 = _bare(sd3, "text_encoder_3", home / "text_encoders" / "t5.safetensors")
    names = {"shared.weight": "encoder.embed_tokens.weight"}  # as some files have it
    save_file({names.get(name, name): each for name, each in load_file(t5).items()}, t5)
    assert not (opened(tmp_path / "sd3.safetensors") / "text_encoder_3").exists()
    _put_words(sd3, home / "text_encoders")
    _same(opened(tmp_path / "sd3.safetensors"), sd3)
    t5.unlink()
    assert not (opened(tmp_path / "sd3.safetensors") / "text_encoder_3").exists()


def test_an_encoder_with_another_vocabulary_is_not_lent(folders: dict[str, Path], tmp_path: Path, home: Path) -> None:
    clip = _bare(folders["flux"], "text_encoder", home / "text_encoders" / "l.safetensors")
    file = _alone(folders["flux"], tmp_path / "flux.safetensors")
    change: Callable[[torch.Tensor], torch.Tensor] = lambda table: torch.cat([table, table[:9]])  # noqa: E731
    tensors = load_file(clip)
    name = next(each for each in tensors if each.endswith("token_embedding.weight"))
    save_file(tensors | {name: change(tensors[name])}, clip)
    with pytest.raises(BadInput, match=r"without a text encoder \(CLIP-L\)"):
        opened(file)
