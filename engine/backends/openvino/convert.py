"""The converting process: a model's heavy parts as OpenVINO graphs, the denoiser in int8 where asked."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import openvino
import torch

from engine.backends.openvino.calibration import denoiser_inputs
from engine.backends.openvino.converted import Conversion, is_owned
from engine.backends.openvino.exports import graphs_of
from engine.components import Component, numbers
from engine.errors import BadInput
from engine.library.conversions import NOTE, source_of
from engine.library.recognise import weight_files
from engine.manners import confine
from engine.messages import Preparing, line
from engine.paths import sync
from engine.stdio import end_with_parent, own_output

Say = Callable[[float], object]
"""Hears what is done, 0 to 1."""
DENOISERS = ("unet", "transformer")
_QUANTISED = 8
"""How many times as long a number of a denoiser takes in int8; measured on SD 1.5."""
_TRACED, _CALIBRATED = 0.1, 0.5
"""What is done of a denoiser in int8 when its graph is there, and when it was run to know its ranges."""
_LARGE = ("T5EncoderModel",)
"""Classes of parts that are run once a picture, and are larger than many a laptop's memory."""
_WHOLE = "__module.transformer."
_ENDS = (
    ".conv_in/",
    ".conv_out/",
    *(f"{_WHOLE}{end}" for end in ("pos_embed.", "x_embedder/", "time_text_embed.", "norm_out.", "proj_out/")),
)
"""What reads the noisy latents and the timestep, and what gives the prediction."""
WIDE = 640
"""The width from which an int8 matrix product beats bf16, measured on AMX; narrower ones stay in float."""


def main(argument: str) -> int:
    """Convert as `argument`, a Conversion in JSON, asks; progress goes to standard output, a JSON line each."""
    end_with_parent()
    confine()  # NNCF compiles graphs without our options
    output = own_output()
    asked = msgspec.json.decode(argument, type=Conversion)
    convert(asked, lambda done: output.write(line(Preparing(what="Converting the model, once", done=done))))
    return 0


def convert(asked: Conversion, say: Say) -> None:
    """Make the target folder; it appears under its name when everything is in it.

    Where it fails, the parts that are finished stay beside it, to be taken up again.
    """
    target = Path(asked.target)
    part = _begun(target)
    try:
        _convert(asked, part, say)
        _put(part, target)
    except BadInput:  # another try would end like this one
        shutil.rmtree(part, ignore_errors=True)
        raise


def _begun(target: Path) -> Path:
    """A folder of our own for the graphs: a new one, or what a process that was ended has left of them."""
    own = target.with_name(f"{target.name}.{os.getpid()}.part")
    for left in target.parent.glob(f"{target.name}.*.part"):
        if not is_owned(left):
            with suppress(OSError):  # another process was faster
                left.rename(own)
                return own
    own.mkdir(parents=True)
    return own


def _put(part: Path, target: Path) -> None:
    try:
        part.rename(target)
    except OSError:
        if not target.is_dir():  # else another process was faster, with the same graphs
            raise
        shutil.rmtree(part, ignore_errors=True)


def _convert(asked: Conversion, folder: Path, say: Say) -> None:
    components = {part: Component(part, name, Path(place)) for part, name, place in asked.components}
    _note(asked, folder, list(components.values()))
    works = {part: numbers(each) * _work(asked, part) for part, each in components.items()}
    done = 0.0
    for part, component in components.items():
        share = works[part] / max(1, sum(works.values()))
        if not _mark(folder, part).is_file():
            _convert_part(asked, component, components, folder, _within(say, done, share))
            _mark(folder, part).touch()
        done += share
        say(done)
    for part in components:
        _mark(folder, part).unlink()


def _convert_part(
    asked: Conversion, component: Component, components: dict[str, Component], folder: Path, say: Say
) -> None:
    with pages(component, folder.parent) as placed:
        for name, graph in graphs_of(component, placed).items():
            if _work(asked, component.part) > 1:
                say(_TRACED)
                graph = quantised(graph, components, _within(say, _TRACED, _CALIBRATED - _TRACED))
            elif asked.int8 and (component.part in DENOISERS or component.class_name in _LARGE):
                graph = compressed(graph)
            openvino.save_model(graph, folder / f"{name}.xml", compress_to_fp16=False)
            for suffix in (".xml", ".bin"):
                sync(folder / f"{name}{suffix}")


def _work(asked: Conversion, part: str) -> int:
    """How many times as long a number of the part takes as one that stays in float."""
    return _QUANTISED if asked.int8 and part in DENOISERS and not asked.weights_only else 1


def _within(say: Say, begin: float, share: float) -> Say:
    return lambda done: say(begin + share * done)


def _mark(folder: Path, part: str) -> Path:
    """What stands beside a part's graphs once they are all there, so that a conversion that ended goes on behind it."""
    return folder / f"{part}.finished"


def _note(asked: Conversion, folder: Path, components: list[Component]) -> None:
    """Say what the graphs are made of, for the library; a part that another model lends is no whole one."""
    precisions = ("int8",) if asked.int8 else ("bf16", "fp32")
    is_whole = not asked.weights_only and any(each.part in DENOISERS for each in components)
    files = [file.resolve() for each in components for file in weight_files(each.folder)]
    source = source_of(components[0].folder.parent, precisions if is_whole else (), files)
    (folder / NOTE).write_bytes(msgspec.json.encode(source))


@contextmanager
def pages(component: Component, folder: Path) -> Iterator[Callable[[torch.Tensor], torch.Tensor]]:
    """A place in a file for each of the component's weights, in float32: the system lends memory for it as it can.

    In memory of its own the denoiser of SD 1.5 alone would take 3.4 GB all the while, that of XL 10 GB.
    """
    with TemporaryDirectory(dir=folder, suffix=f".{os.getpid()}.part", ignore_cleanup_errors=True) as scratch:
        whole = torch.from_file(
            str(Path(scratch, "weights")), shared=True, size=max(1, numbers(component)), dtype=torch.float32
        )
        at = 0

        def placed(weight: torch.Tensor) -> torch.Tensor:
            nonlocal at
            place = whole[at : at + weight.numel()].view(weight.shape)
            at += weight.numel()
            return place.copy_(weight)

        yield placed


def compressed(graph: openvino.Model) -> openvino.Model:
    """With weights in int8, a scale a row, that are counted with as before: a quarter of the memory."""
    import nncf

    return nncf.compress_weights(graph, mode=nncf.CompressWeightsMode.INT8_SYM)


def quantised(denoiser: openvino.Model, components: dict[str, Component], say: Say) -> openvino.Model:
    """The denoiser with int8 weights and activations where that is faster, calibrated on its own sampling.

    NNCF's post-training quantisation; ranges come from whole sampling runs, so that every noise level counts.
    """
    import nncf

    inputs = list(denoiser_inputs(denoiser, components, say))
    return nncf.quantize(
        denoiser,
        nncf.Dataset(inputs),
        subset_size=len(inputs),
        model_type=nncf.ModelType.TRANSFORMER,
        ignored_scope=nncf.IgnoredScope(names=_narrow(denoiser), validate=False),
        advanced_parameters=nncf.AdvancedQuantizationParameters(disable_bias_correction=True, smooth_quant_alpha=-1.0),
    )


def _narrow(graph: openvino.Model) -> list[str]:
    """Names of the matrix products that int8 would not speed up, attention's own among them; and the two ends."""
    names: list[str] = []
    for op in graph.get_ops():
        name = op.get_friendly_name()
        if (
            op.get_type_name() == "MatMul"
            and _inner_width(op) < WIDE
            or op.get_type_name() == "ScaledDotProductAttention"
            or any(end in name for end in _ENDS)
        ):
            names.append(name)
    return names


def _inner_width(product: Any) -> int:
    weight = product.input_value(1)
    if weight.get_node().get_type_name() not in ("Constant", "Convert") or not weight.get_partial_shape().is_static:
        return 0
    return max(weight.get_shape()[-2:]) if len(weight.get_shape()) < 2 else weight.get_shape()[-1]
