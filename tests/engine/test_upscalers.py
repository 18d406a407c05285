"""Every family against spandrel's networks; its parameters thrown away and found again; files that are no upscalers."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from engine.errors import BadInput
from engine.upscalers import compact, dat, rrdb, span, swinir, windows
from engine.upscalers.network import Network, length
from engine.upscalers.reading import FAMILIES, read_upscaler, recognise, unwrapped
from tests.data.upscalers import record_onnx, rule

DATA = Path(__file__).parents[1] / "data" / "upscalers"
CASES = sorted(path.stem for path in DATA.glob("*.safetensors"))
ONE_EACH = ("esrgan_new_x2", "compact_x3", "span_x2", "swinir_pixelshuffle_x4", "dat_x2")
FAMILY_OF = {
    "esrgan": rrdb.FAMILY,
    "compact": compact.FAMILY,
    "span": span.FAMILY,
    "swinir": swinir.FAMILY,
    "dat": dat.FAMILY,
}


class Case(NamedTuple):
    """What spandrel recorded, see tests/data/upscalers/record.py, and the file it was made from."""

    tensors: dict[str, torch.Tensor]
    pixels: torch.Tensor
    output: torch.Tensor
    scale: int


def load(name: str) -> Case:
    with safe_open(DATA / f"{name}.safetensors", "pt") as file:
        said: dict[str, str] = file.metadata()
        kept = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    tensors = rule.tensors(json.loads(said["shapes"]))
    pixels = rule.pixels(int(said["channels"]), int(said["side"]))
    output = kept.pop("output")
    return Case(tensors | kept, pixels, output, int(said["scale"]))


def written(name: str, folder: Path, tensors: dict[str, torch.Tensor]) -> Path:
    path = folder / f"{name}.safetensors"
    save_file({key: each.contiguous() for key, each in tensors.items()}, path)
    return path


def same(ours: torch.Tensor, theirs: torch.Tensor, tolerance: float) -> None:
    """Within `tolerance` of the largest number, for a network's rounding grows with its numbers."""
    assert ours.shape == theirs.shape
    assert float((ours - theirs).abs().max()) <= tolerance * max(1.0, float(theirs.abs().max()))


@pytest.mark.parametrize("name", CASES)
def test_the_same_picture_as_spandrel(name: str, tmp_path: Path) -> None:
    case = load(name)
    upscaler = read_upscaler(written(name, tmp_path, case.tensors))
    assert (upscaler.name, upscaler.family) == (name, FAMILY_OF[name.partition("_")[0]].name)
    assert (upscaler.scale, upscaler.channels) == (case.scale, case.pixels.shape[1])
    ours = upscaler(case.pixels.expand(1, 3, -1, -1))
    assert ours.shape[-1] == case.pixels.shape[-1] * case.scale
    # The same arithmetic in float32, in another order.
    same(ours[..., ::2, ::2], case.output.expand(1, 3, -1, -1), 1e-5)


def test_every_family_is_recorded() -> None:
    assert {name.partition("_")[0] for name in CASES} == FAMILY_OF.keys()
    assert {family.name for family in FAMILIES} == {family.name for family in FAMILY_OF.values()}


@pytest.mark.parametrize("name", CASES)
def test_one_family_alone_recognises_a_file(name: str) -> None:
    names = load(name).tensors
    assert [family.name for family in FAMILIES if family.recognises(names)] == [FAMILY_OF[name.partition("_")[0]].name]


RRDB = [
    rrdb.Config(channels=3, unshuffle=1, width=64, growth=32, blocks=23, doublings=2, plus=False),
    rrdb.Config(channels=3, unshuffle=2, width=24, growth=7, blocks=1, doublings=2, plus=True),
    rrdb.Config(channels=1, unshuffle=4, width=5, growth=3, blocks=11, doublings=2, plus=False),
    rrdb.Config(channels=1, unshuffle=1, width=6, growth=2, blocks=2, doublings=0, plus=True),
    rrdb.Config(channels=3, unshuffle=1, width=8, growth=8, blocks=3, doublings=4, plus=False),
]
COMPACT = [
    compact.Config(channels=3, width=64, convs=32, scale=4),
    compact.Config(channels=3, width=24, convs=0, scale=1),
    compact.Config(channels=1, width=5, convs=16, scale=3),
    compact.Config(channels=3, width=3, convs=1, scale=8),
]
SPAN = [
    span.Config(channels=3, width=48, scale=4, centred=True),
    span.Config(channels=1, width=5, scale=1, centred=True),
    span.Config(channels=3, width=7, scale=3, centred=False),
]
_SWIN = swinir.Config(
    channels=3, unshuffle=1, width=12, depths=(2, 3), heads=(2, 3), window=8, hidden=24, qkv_bias=True,
    three_convs=False, tail="pixelshuffle", features=16, factors=(2, 2),
)  # fmt: skip
SWINIR = [
    _SWIN._replace(width=180, depths=(6,) * 6, heads=(6,) * 6, hidden=360, features=64),
    _SWIN._replace(channels=1, factors=(3,), qkv_bias=False, window=5, features=9, depths=(1,), heads=(4,)),
    _SWIN._replace(tail="pixelshuffledirect", factors=(4,), features=0, three_convs=True, hidden=13),
    _SWIN._replace(tail="nearest+conv", factors=(2,), depths=(1, 2, 1), heads=(1, 6, 12)),
    _SWIN._replace(tail="nearest+conv", factors=(2, 2, 2), features=5),
    _SWIN._replace(tail="", factors=(), features=0, window=7, channels=1),
    _SWIN._replace(unshuffle=4, factors=(2, 2)),
    _SWIN._replace(unshuffle=2, factors=(2, 2, 2), window=16),
]
_DAT = dat.Config(
    channels=3, width=32, depths=(3, 1), heads=(4, 2), window=(2, 4), hidden=64, qkv_bias=True, three_convs=False,
    features=64, factors=(2,),
)  # fmt: skip
DAT = [
    _DAT._replace(width=180, depths=(6,) * 6, heads=(6,) * 6, window=(8, 32), hidden=720, factors=(2, 2)),
    _DAT._replace(window=(8, 2), depths=(1, 2, 1), heads=(2, 8, 16), factors=(3,), features=11),
    _DAT._replace(window=(4, 4), features=0, factors=(4,), qkv_bias=False, three_convs=True, channels=1),
    _DAT._replace(window=(3, 9), hidden=34),
]


@pytest.mark.parametrize(
    ("family", "build", "config"),
    [
        *((rrdb, rrdb.RRDBNet, config) for config in RRDB),
        *((compact, compact.SRVGGNetCompact, config) for config in COMPACT),
        *((span, span.SPAN, config) for config in SPAN),
        *((swinir, swinir.SwinIR, config) for config in SWINIR),
        *((dat, dat.DAT, config) for config in DAT),
    ],
    ids=str,
)
def test_parameters_thrown_away_are_found_again(family: Any, build: Any, config: Any) -> None:
    with torch.device("meta"):
        network: Network = build(config)
        tensors = published(network, config)
        found = family.FAMILY.network(tensors)
    if family is span:
        tensors = span.tidied(tensors) | ({} if config.centred else {"no_norm": torch.zeros(1)})
    assert family.configuration(tensors) == config
    assert (found.scale, found.multiple, found.channels) == (network.scale, network.multiple, network.channels)
    assert found.state_dict().keys() == network.state_dict().keys()
    if family is not span:
        assert recognise(tensors) is family.FAMILY


def published(network: Network, config: Any) -> dict[str, torch.Tensor]:
    """With what files have and the network does not keep."""
    tensors: dict[str, torch.Tensor] = dict(network.state_dict())
    if isinstance(config, dat.Config):
        tensors["layers.0.blocks.0.attn.attns.0.rpe_biases"] = windows.offsets(config.window)
    if isinstance(config, span.Config) and not config.centred:
        tensors["no_norm"] = torch.zeros(1)
    return tensors


def test_span_of_fused_convolutions_alone(tmp_path: Path) -> None:
    case = load("span_x2")
    fused = {
        name.replace(".weight", ".eval_conv.weight").replace(".bias", ".eval_conv.bias")
        if name.startswith(("conv_1", "conv_2", "block_"))
        else name: each
        for name, each in span.tidied(case.tensors).items()
    }
    assert "block_6.c3_r.eval_conv.weight" in fused
    ours = read_upscaler(written("fused", tmp_path, fused))(case.pixels)
    same(ours[..., ::2, ::2], case.output, 1e-5)


@pytest.mark.parametrize("wrapper", ["params_ema.", "params.", "state_dict.module.", "module.", "netG.", "model."])
def test_what_training_codes_put_around_is_taken_off(wrapper: str, tmp_path: Path) -> None:
    case = load("compact_x3")
    path = written("wrapped", tmp_path, {wrapper + name: each for name, each in case.tensors.items()})
    same(read_upscaler(path)(case.pixels)[..., ::2, ::2], case.output, 1e-5)


def test_the_averaged_weights_are_preferred() -> None:
    assert unwrapped({"params.a": 1, "params_ema.a": 2, "iteration": 3}) == {"a": 2}


def test_old_layers_by_number_are_no_wrapper() -> None:
    names = {"model.0.weight": 1, "model.1.sub.0.RDB1.conv1.0.weight": 2}
    assert unwrapped(names) == names


def test_half_precision_files(tmp_path: Path) -> None:
    case = load("esrgan_new_x4")
    path = written("half", tmp_path, {name: each.half() for name, each in case.tensors.items()})
    # The weights keep 11 bits, and some of their errors add up.
    same(read_upscaler(path)(case.pixels)[..., ::2, ::2], case.output, 2e-3)


@pytest.mark.parametrize("name", ONE_EACH)
def test_openvino_gives_what_torch_gives(name: str, tmp_path: Path) -> None:
    case = load(name)
    path = written(name, tmp_path, case.tensors)
    graph = read_upscaler(path, backend="openvino")
    for pixels in (case.pixels, case.pixels[..., :8, :].contiguous()):  # the second is of another size
        same(graph(pixels), read_upscaler(path)(pixels), 2e-5)


def test_bf16_is_near(tmp_path: Path) -> None:
    case = load("compact_x3")
    path = written("bf16", tmp_path, case.tensors)
    whole = read_upscaler(path)(case.pixels)
    for backend in ("torch", "openvino"):
        half = read_upscaler(path, backend=backend, precision="bf16")(case.pixels)
        same(half, whole, 2e-2)  # eight bits of mantissa, and five layers
        assert half.dtype == torch.float32
    assert not torch.equal(read_upscaler(path, precision="bf16")(case.pixels), whole)


@pytest.mark.parametrize(
    ("name", "size", "tolerance"), [("free", None, 1e-5), ("fixed", (24, 40), 1e-5), ("half", None, 5e-3)]
)
def test_onnx_files(name: str, size: tuple[int, int] | None, tolerance: float) -> None:
    upscaler = read_upscaler(DATA / f"{name}.onnx")
    assert (upscaler.family, upscaler.scale, upscaler.channels, upscaler.size) == ("ONNX", 2, 3, size)
    pixels = torch.rand(1, 3, *(size or (64, 128)), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        same(upscaler(pixels), record_onnx.network()(pixels), tolerance)


def test_a_size_that_does_not_fit_is_told() -> None:
    upscaler = read_upscaler(DATA / "fixed.onnx")
    with pytest.raises(ValueError, match="takes no 64 x 64 pixels"):
        upscaler(torch.zeros(1, 3, 64, 64))


def altered(name: str, **changes: torch.Tensor | None) -> dict[str, torch.Tensor]:
    """A good file with some tensors of another shape, or, where None, without them."""
    tensors = load(name).tensors | changes
    return {key: each for key, each in tensors.items() if each is not None}


@pytest.mark.parametrize(
    ("tensors", "why"),
    [
        ({"weight": torch.zeros(1)}, "its family is not known"),
        ({"relative_position_index_SA": torch.zeros(1)}, "of the family HAT"),
        (altered("compact_x3", **{"body.8.bias": None}), "do not fit a network of the family Real-ESRGAN compact"),
        (altered("compact_x3", **{"body.99999999.weight": torch.zeros(1)}), "do not fit"),
        (altered("compact_x3", **{"body.0.weight": torch.zeros(0)}), "do not fit"),
        (altered("compact_x3", **{"body.0.weight": torch.zeros(8, 0, 3, 3)}), "do not fit"),
        (altered("span_x2", **{"conv_1.conv.0.weight": None}), "do not fit"),
        (altered("span_x2", **{"conv_1.conv.0.weight": torch.zeros(2, 2)}), "do not fit"),
        (altered("esrgan_old_x4", **{"model.10.weight": None, "model.8.weight": None}), "do not fit"),
        (altered("esrgan_new_x4", **{"conv_up1.weight": None, "conv_up2.weight": None}), "do not fit"),
        (altered("swinir_direct_x2", **{"upsample.0.weight": torch.zeros(7, 12, 3, 3)}), "do not fit"),
        (
            altered(
                "swinir_direct_x2",
                **{"layers.0.residual_group.blocks.0.attn.relative_position_bias_table": torch.zeros(4001**2, 1)[:0]},
            ),
            "do not fit",
        ),
        (altered("dat_x2", **{"layers.0.blocks.0.attn.attns.0.rpe_biases": torch.full((3, 2), 1e30)}), "do not fit"),
        (altered("dat_x2", **{"layers.0.blocks.0.attn.attns.0.rpe_biases": torch.full((3, 2), 900.0)}), "do not fit"),
        (altered("dat_x2", **{"layers.0.blocks.0.attn.attns.0.rpe_biases": torch.full((3, 2), torch.nan)}), "do not"),
    ],
)
def test_files_that_are_no_upscaler_of_ours(tensors: dict[str, torch.Tensor], why: str, tmp_path: Path) -> None:
    path = written("strange", tmp_path, tensors)
    with pytest.raises(BadInput, match=f"“strange.safetensors” cannot be used: .*{why}") as told:
        read_upscaler(path)
    assert told.value.where == str(path)


def test_other_numbers_of_channels_are_refused(tmp_path: Path) -> None:
    network = compact.SRVGGNetCompact(compact.Config(channels=4, width=4, convs=0, scale=2))
    with pytest.raises(BadInput, match="it takes 4 channels"):
        read_upscaler(written("four", tmp_path, dict(network.state_dict())))


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="There is no file"):
        read_upscaler(tmp_path / "none.safetensors")
    (tmp_path / "picture.png").write_bytes(b"\x89PNG")
    with pytest.raises(BadInput, match=r"“picture\.png” cannot be used"):
        read_upscaler(tmp_path / "picture.png")
    whole = written("whole", tmp_path, load("compact_x3").tensors).read_bytes()
    (tmp_path / "cut.safetensors").write_bytes(whole[:-10])
    with pytest.raises(BadInput, match="bytes are missing"):
        read_upscaler(tmp_path / "cut.safetensors")
    for content in (b"", b"not a network", (DATA / "free.onnx").read_bytes()[:3000]):
        (tmp_path / "cut.onnx").write_bytes(content)
        with pytest.raises(BadInput, match=r"“cut\.onnx” cannot be used"):
            read_upscaler(tmp_path / "cut.onnx")


def test_modules_are_counted_without_a_gap() -> None:
    assert length({"a.0.x": 1, "a.1.y": 2, "a.10.x": 3, "b.2": 4, "a.x": 5}, "a") == 2
