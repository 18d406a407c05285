"""Memory that runs out and numbers that overflow, in the real worker: the same seed again, another way."""

import io
import queue
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import psutil
import pytest
import torch
from diffusers import AutoencoderKL, StableDiffusionPipeline
from PIL import Image
from safetensors.torch import load_file, save_file

from engine.backends import openvino
from engine.backends.choice import devices
from engine.child import Child
from engine.components import Component
from engine.errors import EaselError, OutOfMemory, Overflowed
from engine.library import adapters, index
from engine.memory import Plan
from engine.messages import (
    Device,
    Done,
    Draw,
    Event,
    Failed,
    Message,
    Picture,
    Progress,
    Ready,
    Started,
    read_event,
)
from engine.pipelines import Pipelines
from engine.settings import GenerateSettings
from engine.tasks.draw import draw, prepare
from engine.worker import Worker
from tests.drawing import STARTER

SOME = GenerateSettings(model="tiny", prompt="a red house", seed=3, steps=2, width=272, height=64, backend="torch")
WORDS = "[enforce fail at alloc_cpu.cpp:124] err == 0. DefaultCPUAllocator: can't allocate memory: you tried"


class _Orders:
    """Nobody cancels."""

    def check(self, job: str, tell: Callable[[Message], None]) -> None:
        pass


def _order(settings: GenerateSettings, part: Path, deaths: int = 0) -> Draw:
    card = index.find(settings.model)
    return Draw(
        job="j", settings=settings, model=card, adapters=adapters.needed(settings, card), part=str(part), deaths=deaths
    )


class Bench:
    """A worker in this process, its events, and the pictures it leaves."""

    def __init__(self, folder: Path, found: list[Device]) -> None:
        self.part = folder / "a.png.part"
        self._output = io.BytesIO()
        self.worker = Worker(self._output, _Orders())  # pyright: ignore[reportArgumentType]
        self.worker._devices = found

    def asked(self, settings: GenerateSettings, deaths: int = 0) -> list[Event]:
        """Every event of one picture."""
        self._output.seek(0)
        self._output.truncate()
        self.worker._draw(_order(settings, self.part, deaths))
        return [read_event(text) for text in self._output.getvalue().splitlines()]

    def pixels(self) -> bytes:
        with Image.open(self.part) as image:
            return image.tobytes()


@pytest.fixture
def bench(tiny_model: Path, tmp_path: Path) -> Bench:
    return Bench(tmp_path, devices())


def _notes(events: list[Event]) -> list[tuple[str, ...]]:
    return [event.notes for event in events if isinstance(event, Started)]


def _failing(monkeypatch: pytest.MonkeyPatch, fails: Callable[[Any], bool], error: Exception) -> None:
    decode = AutoencoderKL._decode

    def decoding(self: Any, *args: Any, **kwargs: Any) -> Any:
        if fails(self):
            raise error
        return decode(self, *args, **kwargs)

    monkeypatch.setattr(AutoencoderKL, "_decode", decoding)


ERRORS = [
    ("torch", RuntimeError(WORDS)),
    ("torch", MemoryError()),
    ("torch", torch.OutOfMemoryError("CUDA out of memory.")),
    ("openvino", RuntimeError("std::bad_alloc")),
]


@pytest.mark.parametrize(("backend", "error"), ERRORS, ids=lambda each: str(each)[:20])
def test_decoded_in_tiles_once_memory_ran_out(
    bench: Bench, tiny_model: Path, monkeypatch: pytest.MonkeyPatch, backend: str, error: Exception
) -> None:
    """Tiles of 256 pixels, as plain diffusers makes them of the same latents."""
    _failing(monkeypatch, lambda vae: not vae.use_tiling, error)
    events = bench.asked(msgspec.structs.replace(SOME, backend=backend, precision="fp32"))
    assert _notes(events) == [
        (),
        (
            "The memory ran out, so the picture was begun again.",
            "The picture is decoded in tiles, because memory is short.",
        ),
    ]
    assert isinstance(events[-1], Done)
    (picture,) = [event for event in events if isinstance(event, Picture)]
    assert picture.settings.seed == SOME.seed
    ours = np.frombuffer(bench.pixels(), np.uint8).astype(int)
    assert np.abs(ours - _tiled(tiny_model)).max() <= (0 if backend == "torch" else 1)


def _tiled(folder: Path) -> np.ndarray:
    from diffusers import DPMSolverMultistepScheduler

    from engine.schedulers import SCHEDULERS

    theirs = StableDiffusionPipeline.from_pretrained(folder, local_files_only=True)
    options = SCHEDULERS[SOME.scheduler].options
    theirs.scheduler = DPMSolverMultistepScheduler.from_config(theirs.scheduler.config, **options)
    theirs.vae.tile_sample_min_size, theirs.vae.tile_latent_min_size = 256, 32
    theirs.vae.enable_tiling()
    image = theirs(
        SOME.prompt,
        num_inference_steps=SOME.steps,
        guidance_scale=SOME.guidance_scale,
        width=SOME.width,
        height=SOME.height,
        generator=torch.Generator("cpu").manual_seed(3),
    ).images[0]
    return np.asarray(image).ravel().astype(int)


def test_the_next_picture_of_the_job_begins_where_the_last_one_ended(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    _failing(monkeypatch, lambda vae: not vae.use_tiling, MemoryError())
    bench.asked(SOME)
    again = bench.asked(msgspec.structs.replace(SOME, seed=4))
    assert _notes(again) == [("The picture is decoded in tiles, because memory is short.",)]


def test_where_nothing_helps_there_are_two_sentences_and_the_worker_goes_on(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        _failing(patched, lambda vae: True, MemoryError())
        with pytest.raises(OutOfMemory) as refused:
            bench.asked(SOME)
    assert refused.value.cause == "The memory ran out while the picture was made, however it was done."
    assert refused.value.advice
    assert isinstance(bench.asked(SOME)[-1], Done)


def test_what_is_too_large_from_the_start_is_told_with_figures(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.memory._machine_bytes", lambda: 10**7)
    with pytest.raises(OutOfMemory, match=r"needs about 0\.\d GB of memory and 0\.0 GB is free"):
        bench.asked(SOME)


def test_a_picture_that_a_worker_died_of_is_made_with_less(bench: Bench) -> None:
    for deaths in (1, 2):
        assert "The picture is decoded in tiles, because memory is short." in _notes(bench.asked(SOME, deaths))[0]


def test_another_failure_is_not_taken_for_memory(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    _failing(monkeypatch, lambda vae: True, RuntimeError("shapes do not match"))
    with pytest.raises(RuntimeError, match="shapes"):
        bench.asked(SOME)


# ---------------------------------------------------------------- a real limit


@pytest.mark.skipif(sys.platform != "linux", reason="the limit is Linux's")
def test_a_real_limit_of_memory_is_met_and_the_picture_made(shared_home: Path, tmp_path: Path) -> None:
    """The starter on torch; once the first step is done, the process may take 180 MB more, and decoding wants 270."""
    told: queue.Queue[Event | str] = queue.Queue()
    child = Child(told.put, told.put)
    settings = GenerateSettings(model=STARTER, prompt="a red house", seed=1, width=512, height=512, backend="torch")
    small = msgspec.structs.replace(settings, width=128, height=128, steps=1, guidance_scale=1.0)
    try:
        _until(told, lambda event: isinstance(event, Ready))
        child.send(_order(small, tmp_path / "small.png.part"))
        _until(told, lambda event: isinstance(event, Done))
        child.send(_order(msgspec.structs.replace(small, width=512, height=512), tmp_path / "a.png.part"))
        _until(told, lambda event: isinstance(event, Progress))
        process = psutil.Process(child.process_id)
        process.rlimit(psutil.RLIMIT_AS, (process.memory_info().vms + 180 * 10**6, psutil.RLIM_INFINITY))
        events = _until(told, lambda event: isinstance(event, (Done, Failed, str)))
    finally:
        child.close()
    assert isinstance(events[-1], Done), events[-1]
    again = [event for event in events if isinstance(event, Started)]
    assert again[0].notes[0] == "The memory ran out, so the picture was begun again."
    with Image.open(tmp_path / "a.png.part") as image:
        assert image.size == (512, 512)


def _until(told: "queue.Queue[Event | str]", wanted: Callable[[Event | str], bool]) -> list[Event | str]:
    seen: list[Event | str] = []
    while not seen or not wanted(seen[-1]):
        seen.append(told.get(timeout=120))
    return seen


# ---------------------------------------------------------------- numbers that overflow


def _louder(model: Path, part: str, weight: str, factor: float) -> None:
    """Make a layer's outputs too large for half precision; the norm behind it takes the size out again."""
    file = model / part / "diffusion_pytorch_model.safetensors"
    tensors = load_file(file)
    save_file(tensors | {weight: tensors[weight] * factor}, file)


@pytest.fixture
def own(tiny_model: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_model, tmp_path / "own"))


HALF = Device(backend="torch", name="CPU", here=True, precisions=("fp16", "fp32"))


@pytest.mark.parametrize("tile", [0, 256])
def test_an_autoencoder_that_overflows_decodes_the_same_latents_in_float32(own: Path, tile: int) -> None:
    _louder(own, "vae", "decoder.conv_in.weight", 1e5)
    settings = msgspec.structs.replace(SOME, model=str(own), scheduler="DDIM")
    half = msgspec.structs.replace(HALF, precisions=("fp16",))
    pipelines = Pipelines()
    order = _order(settings, own / "a.png.part")
    ours = draw(prepare(pipelines, order, Plan(half, tile), lambda what, done: None), lambda *_: None).image
    assert pipelines.mended() == ("The picture is decoded in fp32, because the numbers overflowed.",)
    assert pipelines.vae.dtype == torch.float16
    theirs = StableDiffusionPipeline.from_pretrained(own, local_files_only=True, torch_dtype=torch.float16)
    latents = _latents(theirs, settings)
    vae: Any = theirs.vae.float()
    if tile:
        vae.tile_sample_min_size, vae.tile_latent_min_size = tile, tile // 8
        vae.enable_tiling()
    with torch.no_grad():
        pixels = vae.decode((latents / vae.config.scaling_factor).float()).sample
    expected = theirs.image_processor.postprocess(pixels, output_type="pil")[0]
    assert ours.tobytes() == expected.tobytes()


def _latents(pipeline: Any, settings: GenerateSettings) -> torch.Tensor:
    return pipeline(
        settings.prompt,
        num_inference_steps=settings.steps,
        guidance_scale=settings.guidance_scale,
        width=settings.width,
        height=settings.height,
        generator=torch.Generator("cpu").manual_seed(settings.seed or 0),
        output_type="latent",
    ).images


def test_a_source_that_overflows_is_encoded_in_float32(own: Path, tmp_path: Path) -> None:
    _louder(own, "vae", "encoder.conv_in.weight", 2e5)
    Image.effect_noise((64, 64), 80).convert("RGB").save(tmp_path / "source.png")
    bench = Bench(tmp_path, [HALF])
    settings = GenerateSettings(model=str(own), source=str(tmp_path / "source.png"), width=64, height=64, seed=1)
    events = bench.asked(msgspec.structs.replace(settings, steps=4, backend="torch"))
    (picture,) = [event for event in events if isinstance(event, Picture)]
    assert "The picture is decoded in fp32, because the numbers overflowed." in picture.notes
    assert picture.precision == "fp16"


def test_a_denoiser_that_overflows_draws_in_float32(own: Path, tmp_path: Path) -> None:
    _louder(own, "unet", "conv_in.weight", 1e5)
    bench = Bench(tmp_path, [HALF])
    settings = msgspec.structs.replace(SOME, model=str(own), width=64, height=64)
    events = bench.asked(settings)
    assert [event.precision for event in events if isinstance(event, Started)] == ["fp16", "fp32"]
    assert _notes(events)[-1] == ("The numbers overflowed, so the picture was begun again in fp32.",)
    (picture,) = [event for event in events if isinstance(event, Picture)]
    assert picture.settings.precision == "fp32"
    pixels = bench.pixels()
    bench.asked(msgspec.structs.replace(settings, precision="fp32"))
    assert bench.pixels() == pixels


def test_numbers_that_overflow_in_float32_are_told_and_nothing_is_saved(own: Path, tmp_path: Path) -> None:
    _louder(own, "unet", "conv_out.weight", 1e38)
    bench = Bench(tmp_path, [HALF])
    with pytest.raises(Overflowed) as refused:
        bench.asked(msgspec.structs.replace(SOME, model=str(own), width=64, height=64))
    assert isinstance(refused.value, EaselError)
    assert "overflowed" in refused.value.cause
    assert not bench.part.exists()


def test_a_picture_of_one_colour_is_kept_and_told(own: Path, tmp_path: Path) -> None:
    file = own / "vae" / "diffusion_pytorch_model.safetensors"
    tensors = load_file(file)
    tensors["decoder.conv_out.weight"] *= 0
    save_file(tensors, file)
    bench = Bench(tmp_path, [HALF])
    events = bench.asked(msgspec.structs.replace(SOME, model=str(own), width=64, height=64, precision="fp32"))
    (picture,) = [event for event in events if isinstance(event, Picture)]
    assert picture.notes == ("The picture is of one colour; another seed, scheduler or guidance scale may help.",)


def test_an_autoencoder_on_openvino_counts_in_float32_from_then_on(tiny_model: Path) -> None:
    parts = [Component("vae", "AutoencoderKL", tiny_model / "vae")]
    quick, exact = (openvino.place(parts, kind, lambda what, done: None)["vae"] for kind in ("bf16", "fp32"))
    latents = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    with openvino.exact(quick):
        assert torch.equal(quick.decode(latents).sample, exact.decode(latents).sample)
