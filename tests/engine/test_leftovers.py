"""What was made of files that are gone is swept away, and nothing else: real copies, notes like the converter's."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
import torch

from engine.library import conversions
from engine.library.catalogue import Catalogue
from engine.library.converted_pickles import as_safetensors, copies
from engine.library.leftovers import sweep
from engine.library.opened_weights import Source, home, put
from engine.library.roots import roots
from engine.library.scan import scan
from engine.paths import cache


@pytest.fixture
def catalogue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Catalogue]:
    monkeypatch.setenv("EASEL_HOME", str(tmp_path / "家 home"))
    opened = Catalogue()
    yield opened
    opened.close()


def _pickle(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save({"a": torch.ones(2)}, path)
    return path


def _copied(path: Path) -> Path:
    return as_safetensors(path, lambda what, done: None)


def _opened(name: str, file: Path) -> Path:
    put(home() / name, Source(str(file), {}), lambda _: None)
    return home() / name


def _graphs(name: str, model: Path, *files: Path) -> Path:
    folder = cache("converted") / name
    folder.mkdir(parents=True)
    note = conversions.source_of(model, ("fp32",), [file.resolve() for file in files])
    (folder / conversions.NOTE).write_bytes(msgspec.json.encode(note))
    return folder


def test_a_copy_goes_with_its_file_and_what_was_made_of_the_copy_too(catalogue: Catalogue, tmp_path: Path) -> None:
    kept, gone = _pickle(tmp_path / "kept.pt"), _pickle(tmp_path / "gone.pt")
    made = {file: _copied(file) for file in (kept, gone)}
    stands = {file: _opened(file.stem, copy) for file, copy in made.items()}  # as an autoencoder's copy is opened
    graphs = {file: _graphs(file.stem, copy.parent, copy) for file, copy in made.items()}  # as a net's is converted
    gone.unlink()
    sweep(catalogue)
    for found in (made, stands, graphs):
        assert (found[kept].exists(), found[gone].exists()) == (True, False)
    assert len(list(copies().iterdir())) == 1
    (kept_place,) = copies().iterdir()
    kept.unlink()
    shutil.rmtree(kept_place)  # by hand
    sweep(catalogue)
    assert not graphs[kept].exists()
    assert not stands[kept].exists()


def test_graphs_go_with_what_they_were_made_of(catalogue: Catalogue, tmp_path: Path) -> None:
    file, net, model = _pickle(tmp_path / "file.ckpt"), tmp_path / "nets" / "net", tmp_path / "model"
    weights = [_pickle(folder / "weights.safetensors") for folder in (model / "unet", model / "vae", net)]
    graphs = [
        _graphs("file", _opened("file", file), file, weights[1]),
        _graphs("model", model, *weights[:2]),
        _graphs("net", net.parent, weights[2]),
    ]
    sweep(catalogue)
    assert [folder.exists() for folder in graphs] == [True] * 3
    file.unlink()
    shutil.rmtree(net)
    sweep(catalogue)
    assert [folder.exists() for folder in graphs] == [False, True, False]
    copy = _copied(_pickle(model / "unet" / "diffusion_pytorch_model.bin"))
    sweep(catalogue)
    assert copy.exists()
    shutil.rmtree(model)
    sweep(catalogue)
    assert not graphs[1].exists()
    assert not copy.exists()


def test_what_lies_on_a_drive_that_is_away_keeps_what_was_made_of_it(catalogue: Catalogue, tmp_path: Path) -> None:
    drive = tmp_path / "drive"
    file, model, net = _pickle(drive / "file.ckpt"), drive / "model", drive / "net"
    weights = [_pickle(folder / "weights.safetensors") for folder in (model / "unet", model / "vae", net)]
    known = _pickle(tmp_path / "empty mount" / "known.ckpt")
    catalogue.add_root(known.parent)
    list(scan(catalogue, roots(catalogue.roots())))
    made = [
        _copied(file), _copied(known), _copied(_pickle(model / "vae" / "diffusion_pytorch_model.bin")),
        _opened("file", file), _graphs("file", home() / "file", file),
        _graphs("model", model, *weights[:2]), _graphs("net", net.parent, weights[2]),
    ]  # fmt: skip
    drive.rename(tmp_path / "away")
    known.unlink()  # as where a drive is unplugged, and its folder stays: the library still has it
    sweep(catalogue)
    assert all(each.exists() for each in made)
