"""How a file's numbers are packed, where it is tighter than in 16 bits."""

from collections.abc import Iterator

from engine.library.headers.signs import Look

_DTYPES = {"F8_E4M3": "fp8", "F8_E5M2": "fp8"}


def packing(look: Look) -> tuple[str, ...]:
    """Any of "fp8", "scaled fp8", "nf4", "fp4" or "int8"; nothing for ordinary numbers."""
    return tuple(dict.fromkeys(_packing(look)))


def _packing(look: Look) -> Iterator[str]:
    dtypes = {tensor.dtype for tensor in look.tensors.values()}
    if look.ends("scaled_fp8", ".scale_weight", ".weight_scale") and not dtypes.isdisjoint(_DTYPES):
        yield "scaled fp8"
    else:
        yield from (name for dtype, name in _DTYPES.items() if dtype in dtypes)
    if look.ends(".quant_state.bitsandbytes__nf4"):
        yield "nf4"
    if look.ends(".quant_state.bitsandbytes__fp4"):
        yield "fp4"
    if look.ends(".SCB") or (look.ends(".weight_scale") and "I8" in dtypes):
        yield "int8"
    if look.ends(".qweight"):
        yield "int4"
