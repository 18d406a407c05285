"""The memory plan: what it estimates, what it reads as free, and in which order it gives up speed."""

import json
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from engine.components import Component, numbers
from engine.errors import BadInput
from engine.library import index
from engine.memory import Plan, Work, _cgroup_bytes, needed_bytes, plans, widths
from engine.messages import Device, Draw
from engine.pipelines import Pipelines, components_of
from engine.settings import GenerateSettings
from engine.tasks.attempts import Attempts

CUDA = Device(backend="cuda", name="card", here=True, precisions=("bf16", "fp16", "fp32"))
MPS = Device(backend="mps", name="apple", here=True, precisions=("fp16", "fp32"))
OPENVINO = Device(backend="openvino", name="cpu", here=True, precisions=("bf16", "int8", "fp32"))
TORCH = Device(backend="torch", name="cpu", here=True, precisions=("fp32", "bf16"))
LARGE = GenerateSettings(width=1024, height=768)


def _shown(found: list[Plan]) -> list[tuple[str, str, str, int]]:
    return [(each.device.backend, each.device.precisions[0], each.device.offload, each.tile) for each in found]


def test_on_a_card_the_order_is_tiles_parts_layers_processor() -> None:
    assert _shown(plans([CUDA, OPENVINO, TORCH], LARGE)) == [
        *(("cuda", "bf16", offload, tile) for offload in ("", "model", "sequential") for tile in (0, 512, 256)),
        *(("openvino", "bf16", "", tile) for tile in (0, 512, 256)),
    ]


def test_on_a_processor_fewer_bits_come_last() -> None:
    assert _shown(plans([OPENVINO, TORCH], LARGE)) == [
        *(("openvino", precision, "", tile) for precision in ("bf16", "int8") for tile in (0, 512, 256)),
        *(("torch", "bf16", "", tile) for tile in (0, 512, 256)),
    ]


def test_attention_in_slices_is_for_apple_alone() -> None:
    assert [each.device.sliced_attention for each in plans([MPS, TORCH], GenerateSettings(width=256, height=256))] == [
        False,
        True,
        False,
    ]


def test_what_was_chosen_stays() -> None:
    chosen = msgspec.structs.replace(LARGE, backend="openvino", precision="bf16")
    assert {each[:2] for each in _shown(plans([CUDA, OPENVINO], chosen))} == {("openvino", "bf16")}
    with pytest.raises(BadInput, match="cannot do fp16"):
        plans([OPENVINO], msgspec.structs.replace(chosen, precision="fp16"))


def test_every_way_but_the_first_says_what_it_does() -> None:
    first, *others = plans([CUDA, OPENVINO, TORCH], LARGE)
    assert first.notes == ()
    assert all(note.endswith(".") for each in others for note in each.notes)
    assert all(each.notes for each in others)


def test_each_way_needs_less_than_the_one_before(tiny_model: Path) -> None:
    parts = tuple(components_of(index.find("tiny")))
    work = Work(parts, 320, 128, (1024, 1024), (1024, 1024), 2)
    for found in (plans([CUDA, TORCH], LARGE)[:9], plans([OPENVINO, TORCH], LARGE)[:6]):
        needs = [needed_bytes(each, work) for each in found if each.tile == 256]
        assert needs == sorted(needs, reverse=True)
        for one, other in zip(found, found[1:], strict=False):
            if one.device == other.device:
                assert needed_bytes(one, work) >= needed_bytes(other, work)


@pytest.mark.parametrize(
    ("precision", "side", "measured"),
    [
        ("fp32", 512, 505 * 10**6),  # SD 1.5's denoiser, two examples, on torch: 505 MB
        ("bf16", 512, 322 * 10**6),  # twice what half its width took
    ],
)
def test_the_estimate_is_what_was_measured_and_no_more_than_twice(precision: str, side: int, measured: int) -> None:
    device = msgspec.structs.replace(TORCH, precisions=(precision,))
    work = Work((), 320, 1, (side, side), (side, side), 2)
    spare = needed_bytes(Plan(device), Work((), 0, 0, (side, side), (0, 0), 2))
    assert measured <= needed_bytes(Plan(device), work) - spare + 10**6 <= 2 * measured


def test_the_widths_of_every_architecture(tmp_path: Path) -> None:
    configs = {
        "unet": {"block_out_channels": [320, 640], "attention_head_dim": [5, 10]},
        "vae": {"block_out_channels": [128]},
    }
    flux = {"transformer": {"num_attention_heads": 24, "attention_head_dim": 128}, "vae": {}}
    for place, (wanted, expected) in enumerate([(configs, (320, 128)), (flux, (768, 128))]):
        parts = []
        for part, config in wanted.items():
            folder = tmp_path / str(place) / part
            folder.mkdir(parents=True)
            (folder / "config.json").write_text(json.dumps(config))
            parts.append(Component(part, "", folder))
        assert widths(parts) == expected


def test_limits_of_control_groups_are_read(tmp_path: Path) -> None:
    own = tmp_path / "cgroup"
    own.write_text("4:memory:/docker/x\n3:cpuset:/\n0::/user/y\n")
    first, second, around = tmp_path / "memory", tmp_path / "user" / "y", tmp_path / "user"
    for group in (first, second):
        group.mkdir(parents=True)
    (first / "memory.limit_in_bytes").write_text("1000\n")
    (first / "memory.usage_in_bytes").write_text("700\n")
    (first / "memory.stat").write_text("cache 5\ntotal_inactive_file 50\n")
    for group, limit in ((second, "max"), (around, "900")):
        (group / "memory.max").write_text(f"{limit}\n")
        (group / "memory.current").write_text("100\n")
        (group / "memory.stat").write_text("anon 1\ninactive_file 10\n")
    assert sorted(_cgroup_bytes(own, tmp_path)) == [350, 810]
    assert list(_cgroup_bytes(tmp_path / "none", tmp_path)) == []


@pytest.mark.skipif(sys.platform != "linux", reason="the limit is Linux's")
def test_a_limit_of_the_address_space_is_read() -> None:
    code = (
        "import resource; from engine.memory import _machine_bytes; "
        "resource.setrlimit(resource.RLIMIT_AS, (2**31, 2**31)); print(_machine_bytes())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert 0 < int(done.stdout) < 2**31


def test_converting_refining_and_looking_are_counted(tiny_model: Path) -> None:
    parts = tuple(components_of(index.find("tiny")))
    small = Work(parts, 1, 1, (64, 64), (64, 64), 1)
    plan = plans([OPENVINO], LARGE)[0]
    largest = max(map(numbers, parts))
    assert needed_bytes(plan, small._replace(convert=parts)) >= largest * 4 + 2 * 10**8
    assert needed_bytes(plan, small._replace(load=parts * 2)) > needed_bytes(plan, small)
    assert needed_bytes(plan, small._replace(added=10**6)) - needed_bytes(plan, small) == 4 * 10**6
    assert needed_bytes(plan, small._replace(passing=parts)) > needed_bytes(plan, small)


def test_what_cannot_be_converted_for_want_of_memory_is_drawn_by_torch(
    shared_home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    order = Draw(settings=GenerateSettings(width=64, height=64), model=index.find("tiny"), part=str(tmp_path / "x"))
    found = [OPENVINO, TORCH]
    monkeypatch.setattr("engine.memory._machine_bytes", lambda: 5 * 10**8)
    monkeypatch.setattr("engine.tasks.attempts.unprepared", lambda components, _precision: components)
    plan = Attempts(Pipelines(), order, found).plan()
    assert (plan.device.backend, plan.device.precisions) == ("torch", ("bf16",))
    assert plan.notes == ("Torch draws, more slowly, because memory is too short to convert the model for OpenVINO.",)
