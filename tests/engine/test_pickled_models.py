"""Whole models in PyTorch's files: known by their headers, drawn with from safe copies, by the real processes."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from engine.cli import main
from engine.components import Component, load, original
from engine.errors import BadInput, Cancelled
from engine.families import FAMILIES
from engine.formats.headers import header_of
from engine.library import index
from engine.library.catalogue import Catalogue
from engine.library.converted_pickles import copies
from engine.library.headers.predictions import prediction_of
from engine.library.recipes import Recipe
from engine.library.roots import roots
from engine.library.scan import scan
from engine.library.single_file import opened
from engine.messages import Describe, Entry, ModelCard
from engine.patience import told_to
from engine.tasks.merging import merge
from tests.tiny_single import write_file, write_folder

MAIN = str(Path(__file__).parents[2] / "main.py")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home with a model whose text encoder the files here borrow: no patch of a vocabulary reaches a process."""
    folder = tmp_path_factory.mktemp("pickled 腌")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(os.environ, "EASEL_HOME", str(folder / "home"))
        write_folder(folder / "home" / "models" / "lender", "sd1")
        yield folder / "home"


@pytest.fixture(scope="module")
def safe(home: Path) -> Path:
    return write_file(home / "models" / "lender", home.parent / "safe.safetensors", "sd1", leave=("text_encoder",))


@pytest.fixture
def tensors(safe: Path) -> dict[str, torch.Tensor]:
    return load_file(safe)


@pytest.fixture
def old(tensors: dict[str, torch.Tensor], tmp_path: Path) -> Path:
    """The same weights as they were published in 2022."""
    torch.save({"state_dict": tensors, "global_step": 3, "optimizer_states": [{"m": torch.ones(9)}]}, tmp_path / "o.pt")
    return (tmp_path / "o.pt").rename(tmp_path / "old 旧.ckpt")


def _part(model: Path, part: str = "unet") -> dict[str, torch.Tensor]:
    return load(Component(part, FAMILIES["sd1"].components[part], model / part)).state_dict()


def _same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> None:
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)


def _described(file: Path, sort: str) -> Entry:
    """Have the library see the file, and say what it is: the header of one so small does not."""
    catalogue = Catalogue()
    list(scan(catalogue, roots([])))
    entry = catalogue.describe(Describe(path=str(file), sort=sort, family="sd1"))
    catalogue.close()
    return entry


def _copies() -> set[Path]:
    return set(copies().rglob("*.safetensors"))


def test_its_card_comes_from_the_header_and_nothing_is_copied(home: Path, safe: Path, old: Path) -> None:
    before = _copies()
    ours, theirs = index.find(str(old)), index.find(str(safe))
    assert ours.name == old.stem
    for field in ("family", "native_size", "size_multiple", "parameters", "reads_guidance"):
        assert getattr(ours, field) == getattr(theirs, field)
    assert _copies() == before


def _averaged(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """As the original code names moving averages."""
    head = "model.diffusion_model."
    return {
        f"model_ema.diffusion_model{name.removeprefix(head).replace('.', '')}" if name.startswith(head) else name: each
        for name, each in tensors.items()
    }


WRAPPED: dict[str, Callable[[dict[str, torch.Tensor]], Any]] = {
    "bare": lambda tensors: tensors,
    "averages alone": lambda tensors: {"state_dict": _averaged(tensors)},
    "averages beside": lambda tensors: {"state_dict": tensors | {"model_ema.decay": torch.tensor(0.9)}},
    "parameters": lambda tensors: {name: torch.nn.Parameter(each) for name, each in tensors.items()},
}


@pytest.mark.parametrize("wrapped", list(WRAPPED))
def test_its_parts_are_those_of_the_same_weights(
    home: Path, safe: Path, tensors: dict[str, torch.Tensor], tmp_path: Path, wrapped: str
) -> None:
    path = tmp_path / "model.bin"
    torch.save(WRAPPED[wrapped](tensors), path, _use_new_zipfile_serialization=wrapped != "bare")
    before = path.read_bytes()
    for part in ("unet", "vae"):
        _same(_part(opened(path), part), _part(opened(safe), part))
    assert path.read_bytes() == before


def test_a_changed_file_is_opened_and_copied_anew(home: Path, old: Path, tensors: dict[str, torch.Tensor]) -> None:
    first, copied = _part(opened(old)), _copies()
    torch.save({"state_dict": {name: each + 1 for name, each in tensors.items()}}, old)
    second = _part(opened(old))
    assert torch.equal(second["conv_in.bias"], first["conv_in.bias"] + 1)
    assert len(_copies()) == len(copied)
    assert _copies() != copied


def test_an_autoencoder_beside_it_is_worn(home: Path, old: Path, tensors: dict[str, torch.Tensor]) -> None:
    head = "first_stage_model."
    other = {name.removeprefix(head): each + 1 for name, each in tensors.items() if name.startswith(head)}
    torch.save({"state_dict": other}, old.with_name(f"{old.stem}.vae.pt"))
    before = _copies()
    model = opened(old)
    assert _copies() == before
    bias = _part(model, "vae")["decoder.conv_out.bias"]
    assert torch.equal(bias, other["decoder.conv_out.bias"])


def test_what_it_lacks_is_lent_by_another_of_its_kind(
    home: Path, safe: Path, tensors: dict[str, torch.Tensor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = "first_stage_model."
    own, vae = ({n: each for n, each in tensors.items() if n.startswith(head) is is_vae} for is_vae in (False, True))
    torch.save(own, tmp_path / "unet.pth")
    (home / "vae").mkdir(exist_ok=True)
    torch.save({n.removeprefix(head): each + 1 for n, each in vae.items()}, home / "vae" / "kl-f8.pt")
    _described(home / "vae" / "kl-f8.pt", "vae")
    monkeypatch.setattr("engine.library.borrowed._from_model", lambda family, part: _lent(home, part))
    model = opened(tmp_path / "unet.pth", "sd1")
    assert torch.equal(_part(model, "vae")["decoder.conv_out.bias"], vae[f"{head}decoder.conv_out.bias"] + 1)


def _lent(home: Path, part: str) -> Any:
    from engine.library.file_parts import part_at

    folder = home / "models" / "lender"
    return part_at(folder / part)._replace(tokenizer=folder / "tokenizer") if part == "text_encoder" else None


def test_a_folder_of_2022_has_no_others(home: Path, tmp_path: Path) -> None:
    """As `save_pretrained` writes it when it is told not to write .safetensors."""
    lender = home / "models" / "lender"
    folder = Path(shutil.copytree(lender, tmp_path / "2022"))
    for file in folder.glob("*/*.safetensors"):
        name = "pytorch_model.bin" if file.parent.name == "text_encoder" else f"{file.stem}.bin"
        torch.save(load_file(file), file.with_name(name))
        file.unlink()
    before = _copies()
    ours, theirs = index.find(str(folder)), index.find("lender")
    assert (ours.family, ours.parameters) == (theirs.family, theirs.parameters)
    assert _copies() == before
    for part in ("unet", "vae", "text_encoder"):
        _same(_part(folder, part), _part(lender, part))
    component = Component("unet", "UNet2DConditionModel", folder / "unet")
    assert torch.equal(original(component, "conv_in.bias"), _part(lender)["conv_in.bias"])
    assert len(_copies() - before) == 3


def test_a_cancel_while_it_is_copied_leaves_nothing(home: Path, old: Path) -> None:
    def called_off(what: str, _done: float) -> None:
        assert what == "Making a safe copy of the model, once"
        raise Cancelled

    model, before = opened(old), _copies()
    with pytest.raises(Cancelled), told_to(called_off):
        _part(model)
    assert _copies() == before
    assert not list(copies().rglob("*.part"))


def test_models_are_mixed_from_it(home: Path, safe: Path, old: Path, tmp_path: Path) -> None:
    told: list[str] = []
    made = [
        merge(
            Recipe(models=(index.find(str(one)), index.find(str(safe))), weights=(0.25,), precision="fp32"),
            tmp_path / f"{one.stem}.safetensors",
            lambda what, _: told.append(what),
            {},
        ).path
        for one in (old, safe)
    ]
    _same(*map(load_file, made))
    assert told[0] == "Making a safe copy of the model, once"


@pytest.mark.parametrize("spread", [0.01, 0.3])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_a_number_that_tells_what_it_predicts_is_read_where_it_lies(
    tmp_path: Path, spread: float, dtype: torch.dtype
) -> None:
    name = "model.diffusion_model.output_blocks.11.1.transformer_blocks.0.norm1.bias"
    torch.manual_seed(0)
    torch.save({"state_dict": {"a": torch.ones(7), name: (torch.randn(320) * spread).to(dtype)}}, tmp_path / "v.ckpt")
    found = prediction_of(tmp_path / "v.ckpt", header_of(tmp_path / "v.ckpt"))
    assert found == ("v-prediction" if spread > 0.1 else "epsilon")


class _Evil:
    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.canary),)


def test_a_broken_or_evil_one_is_refused_in_a_sentence(home: Path, old: Path, tmp_path: Path) -> None:
    torch.save({"state_dict": {"a": _Evil(tmp_path / "canary")}}, tmp_path / "evil.ckpt")
    (tmp_path / "cut.ckpt").write_bytes(old.read_bytes()[:100_000])
    (tmp_path / "page.pt").write_text("<!doctype html><html>")
    with zipfile.ZipFile(tmp_path / "script.pth", "w") as archive:
        archive.writestr("script/code/a.py", "print()")
        archive.writestr("script/data.pkl", b"\x80\x02}.")
    for name, told in (
        ("evil.ckpt", r"it asks for “\w+\.mkdir”"),
        ("cut.ckpt", "cut off or damaged"),
        ("page.pt", "is a web page"),
        ("script.pth", "“script.pth”"),
    ):
        with pytest.raises(BadInput, match=rf"^The model “\w+” cannot be used\. .*{told}"):
            index.find(str(tmp_path / name))
    assert not (tmp_path / "canary").exists()


def test_of_one_name_the_file_that_is_no_pickle_is_meant(
    home: Path, safe: Path, tensors: dict[str, torch.Tensor]
) -> None:
    own = home / "models"
    save_file(tensors, own / "twin.safetensors")
    torch.save(tensors, own / "twin.ckpt")
    for look in (False, True):  # before the library has seen them, and afterwards
        if look:
            assert _described(own / "twin.ckpt", "checkpoint").is_pickle
            assert not _described(own / "twin.safetensors", "checkpoint").is_pickle
        for name, file in (("Twin", "twin.safetensors"), ("twin.ckpt", "twin.ckpt"), ("models/twin.ckpt", "twin.ckpt")):
            assert json.loads((Path(index.find(name).path) / "source.json").read_bytes())["path"] == str(own / file)
    (own / "twin.safetensors").unlink()
    assert "twin.ckpt" in (Path(index.find("twin").path) / "source.json").read_text()
    (own / "twin.ckpt").unlink()


# ---------------------------------------------------------------- the command line


def test_the_command_line_draws_with_it(home: Path, old: Path, tmp_path: Path) -> None:
    flags = ("--backend", "torch", "--precision", "fp32", "--seed", "1", "--size", "64x64", "--steps", "2")
    command = [sys.executable, MAIN, "generate", "a red house", "--model", str(old), *flags, "--json", "--out", "a.png"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=180, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    said = [json.loads(line) for line in done.stdout.splitlines()]
    assert any(each.get("what") == "Making a safe copy of the model, once" for each in said)
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.size == (64, 64)


def test_the_command_line_converts_it_and_tells_of_it(
    home: Path, old: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("openvino")
    monkeypatch.setattr("engine.pipelines.components_of", lambda card: [_vae(card)])  # the smallest part is enough
    before = _copies()
    assert main(["models", "convert", str(old), "--precision", "fp32", "--json"]) == 0
    said = [json.loads(line)["what"] for line in capsys.readouterr().out.splitlines()]
    assert list(dict.fromkeys(said)) == ["Making a safe copy of the model, once", "Converting the model, once"]
    assert len(_copies() - before) == 1
    assert main(["models", "info", str(old)]) == 0
    told = capsys.readouterr().out
    assert f"name: {old.stem}\npath: {old}\n" in told
    assert "size: 7 MB" in told


def _vae(card: ModelCard) -> Component:
    return Component("vae", "AutoencoderKL", Path(card.path) / "vae")
