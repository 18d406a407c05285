"""A short trial of the precisions on this machine: a piece of a U-Net with made-up weights, timed in each."""

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import openvino
from openvino import opset13 as ops

from engine.backends.openvino.convert import WIDE
from engine.manners import openvino_options
from engine.patience import Report

WIDTHS = (320, 640)
"""Of the two levels of Stable Diffusion's U-Net that the piece is like: below `WIDE`, and not."""
SIDE = 32
"""Latents a side."""
HEADS = 8
GROUPS = 32
WORDS = (77, 768)
"""Tokens of a prompt, and their width."""
SECONDS = 1.2
"""How long passes are timed altogether, once everything is compiled; each precision has two at least."""
ROUNDS = 8
_LARGEST = 3.0
"""The made-up range of int8 activations; numbers behind a norm are about 1."""


def seconds(precisions: Sequence[str], report: Report) -> dict[str, float]:
    """The shortest pass of the piece in each precision; takes about three seconds on a laptop.

    The precisions take turns, so that what else the machine does in a moment falls on all of them.
    """
    runs: dict[str, Callable[[], object]] = {}
    for place, precision in enumerate(precisions):
        report("Measuring which precision is fastest here, once", place / (len(precisions) + 1))
        runs[precision] = _compiled(precision)
    report("Measuring which precision is fastest here, once", len(precisions) / (len(precisions) + 1))
    taken: dict[str, list[float]] = {precision: [] for precision in runs}
    end = time.monotonic() + SECONDS
    while len(taken[precisions[-1]]) < 2 or (time.monotonic() < end and len(taken[precisions[-1]]) < ROUNDS):
        for precision, run in runs.items():
            began = time.perf_counter()
            run()
            taken[precision].append(time.perf_counter() - began)
    return {precision: min(each) for precision, each in taken.items()}


def _compiled(precision: str) -> Callable[[], object]:
    core = openvino.Core()
    has_bf16 = "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    hint = "bf16" if has_bf16 and precision != "fp32" else "f32"
    hints = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": hint}
    compiled = core.compile_model(_Piece(precision == "int8").model(), "CPU", hints | openvino_options())
    inputs = [_numbers(*each.shape) for each in compiled.inputs]
    return lambda: compiled(inputs)


class _Piece:
    """What a level of the U-Net has: residual convolutions, attention to itself and to a prompt, a feed-forward."""

    def __init__(self, is_int8: bool) -> None:
        """In int8, what our conversion quantises is: convolutions, and products of `WIDE` and more."""
        self._is_int8 = is_int8

    def model(self) -> openvino.Model:
        """Two levels, one after the other; latents and a prompt go in."""
        latents = ops.parameter([1, WIDTHS[0], SIDE, SIDE], np.float32)
        words = ops.parameter([1, *WORDS], np.float32)
        picture: Any = latents
        for width in WIDTHS:
            picture = self._transformed(self._convolved(picture, width), words, width)
        return openvino.Model([picture], [latents, words])  # pyright: ignore[reportGeneralTypeIssues]

    def _convolved(self, picture: Any, width: int) -> Any:
        first = self._convolution(_normed(picture), width)
        second = self._convolution(_normed(first), width)
        return ops.add(second, picture if picture.shape[1] == width else first)

    def _transformed(self, picture: Any, words: Any, width: int) -> Any:
        flat = ops.reshape(_normed(picture), [1, width, SIDE * SIDE], False)
        tokens: Any = ops.transpose(flat, [0, 2, 1])
        tokens = ops.add(tokens, self._attention(_centred(tokens), None, width))
        tokens = ops.add(tokens, self._attention(_centred(tokens), words, width))
        wide = self._product(_centred(tokens), 4 * width)
        gate = ops.gelu(self._product(_centred(tokens), 4 * width), "erf")
        tokens = ops.add(tokens, self._product(ops.multiply(wide, gate), width))
        back = ops.reshape(ops.transpose(tokens, [0, 2, 1]), list(picture.shape), False)
        return ops.add(back, picture)

    def _attention(self, tokens: Any, words: Any, width: int) -> Any:
        seen = tokens if words is None else words
        heads = [
            ops.transpose(ops.reshape(self._product(each, width), [1, -1, HEADS, width // HEADS], False), [0, 2, 1, 3])
            for each in (tokens, seen, seen)
        ]
        found = ops.transpose(ops.scaled_dot_product_attention(*heads), [0, 2, 1, 3])
        return self._product(ops.reshape(found, [1, -1, width], False), width)

    def _convolution(self, picture: Any, width: int) -> Any:
        weight = self._weight((width, picture.shape[1], 3, 3), self._is_int8)
        seen = self._ranged(picture, self._is_int8)
        return ops.convolution(seen, weight, [1, 1], [1, 1], [1, 1], [1, 1])

    def _product(self, tokens: Any, width: int) -> Any:
        is_int8 = self._is_int8 and tokens.shape[-1] >= WIDE
        weight = self._weight((width, tokens.shape[-1]), is_int8)
        return ops.matmul(self._ranged(tokens, is_int8), weight, False, True)

    def _weight(self, shape: tuple[int, ...], is_int8: bool) -> Any:
        """As NNCF keeps it: integers, and a scale a row."""
        if not is_int8:
            return ops.constant(_numbers(*shape) * np.float32(0.05))
        whole = ops.convert(ops.constant((_numbers(*shape) * 127).astype(np.int8)), np.float32)
        return ops.multiply(whole, ops.constant(np.full((shape[0], *[1] * (len(shape) - 1)), 4e-4, np.float32)))

    def _ranged(self, seen: Any, is_int8: bool) -> Any:
        if not is_int8:
            return seen
        low, high = np.float32(-_LARGEST * 128 / 127), np.float32(_LARGEST)
        return ops.fake_quantize(seen, low, high, low, high, 256)


def _normed(picture: Any) -> Any:
    ones = np.ones(picture.shape[1], np.float32)
    return ops.swish(ops.group_normalization(picture, ones, 0 * ones, GROUPS, 1e-5))


def _centred(tokens: Any) -> Any:
    return ops.mvn(tokens, [-1], True, 1e-5, "inside_sqrt")


def _numbers(*shape: int) -> np.ndarray:
    """Between -1 and 1."""
    return np.resize(np.random.default_rng(0).uniform(-1, 1, 4099).astype(np.float32), shape)
