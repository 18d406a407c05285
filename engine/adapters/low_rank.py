"""The arithmetic of low-rank changes: what LoRA, LoCon, LoHa, LoKr, DoRA, IA3 and full differences make of a weight.

Sources: LoRA, Hu et al. 2021; DoRA, Liu et al. 2024; IA3, Liu et al. 2022; LoCon, LoHa and LoKr, Yeh et al. 2023
("Navigating Text-To-Image Customization"), whose names for the factors stand in the files; and for what the papers
leave open https://github.com/KohakuBlueleaf/LyCORIS and https://github.com/huggingface/peft.
"""

from collections.abc import Collection, Mapping

import torch

Factors = Mapping[str, torch.Tensor]
"""The tensors of one module by their roles, as `engine.formats.lora_keys` calls them."""
Rows = tuple[slice, ...]
"""Which rows, one after the other, of a matrix that other programs hold as one; none for all."""

_LOHA = {"hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b"}


def is_whole(roles: Collection[str]) -> bool:
    """Whether these factors are one kind of change, with nothing missing and nothing of another kind."""
    given = set(roles) - {"alpha", "dora_scale", "magnitude"}
    if "down" in given:
        return given - {"mid"} == {"down", "up"}
    if "hada_w1_a" in given:
        return given - {"hada_t1", "hada_t2"} == _LOHA and ("hada_t1" in given) == ("hada_t2" in given)
    if any(role.startswith("lokr_") for role in given):
        first = given & {"lokr_w1", "lokr_w1_a", "lokr_w1_b"}
        second = given - first
        return first in ({"lokr_w1"}, {"lokr_w1_a", "lokr_w1_b"}) and second in (
            {"lokr_w2"},
            {"lokr_w2_a", "lokr_w2_b"},
            {"lokr_w2_a", "lokr_w2_b", "lokr_t2"},
        )
    return given in ({"diff"}, {"weight", "on_input"})


def rank(factors: Factors) -> int | None:
    """The dimension that the factors share; None where nothing was factorised."""
    for role in ("down", "hada_w1_b", "lokr_w2_b", "lokr_w1_b"):
        if role in factors:
            return factors[role].shape[0]
    return None


def product(factors: Factors, rows: Rows = ()) -> torch.Tensor:
    """What the factors multiply to in float32, before scaling: [out, in, ...], a kernel's last axes perhaps flattened.

    Meta tensors give the shape alone. Raises RuntimeError, ValueError or IndexError for factors that do not fit one
    another. IA3 has no product: it is given as it is.
    """
    of = {role: tensor.to(torch.float32) for role, tensor in factors.items()}
    if rows and "up" in of and "mid" not in of:
        return _lora(of | {"up": _taken(of["up"], rows)})
    if rows:
        return _taken(product(factors), rows)
    if "down" in of:
        return _lora(of)
    if "hada_w1_a" in of:
        return _loha(of)
    return _lokr(of) if "lokr_w2" in of or "lokr_w2_a" in of else of["diff" if "diff" in of else "weight"]


def changed(factors: Factors, scale: float, weight: torch.Tensor, ratio: float, rows: Rows = ()) -> torch.Tensor:
    """The float32 weight with `ratio` times its change, as a new tensor on its device; `scale` is alpha / rank.

    With `rows` the weight is those of a larger one that the factors change.

    Raises ValueError, and what `product` raises, where the factors do not fit the weight.
    """
    change = product(factors, rows).to(weight.device)
    if "on_input" in factors:
        numbers = _along(weight, change, 1 if bool(factors["on_input"]) else 0)
        return torch.addcmul(weight, weight, numbers, value=ratio)
    if change.shape[0] != weight.shape[0] or change.numel() != weight.numel():
        raise ValueError("a change of another shape")
    change = change.reshape(weight.shape)
    if "magnitude" in factors:
        return weight.lerp(_dora(weight, change * scale, _taken(factors["magnitude"], rows), along=0), ratio)
    if "dora_scale" in factors:
        magnitude = factors["dora_scale"]
        if rows and magnitude.shape[0] == 1:
            raise ValueError("lengths of columns of a larger weight")
        magnitude = _taken(magnitude, rows)
        along = 0 if magnitude.shape[0] == weight.shape[0] else 1
        return weight.lerp(_dora(weight, change * scale, magnitude, along), ratio)
    return torch.add(weight, change, alpha=scale * ratio)


def _taken(whole: torch.Tensor, rows: Rows) -> torch.Tensor:
    """Those rows of a matrix; all where none are named."""
    return torch.cat([whole[each] for each in rows]) if rows else whole


def _lora(of: Factors) -> torch.Tensor:
    down, up = of["down"], of["up"]
    if "mid" in of:
        return _tucker(of["mid"], up.flatten(1).T, down.flatten(1))
    return (up.flatten(1) @ down.flatten(1)).reshape(len(up), *down.shape[1:])


def _loha(of: Factors) -> torch.Tensor:
    if "hada_t1" in of:
        first = _tucker(of["hada_t1"], of["hada_w1_a"], of["hada_w1_b"])
        return first * _tucker(of["hada_t2"], of["hada_w2_a"], of["hada_w2_b"])
    first = of["hada_w1_a"].flatten(1) @ of["hada_w1_b"].flatten(1)
    second = of["hada_w2_a"].flatten(1) @ of["hada_w2_b"].flatten(1)
    if first.shape != second.shape:  # or broadcasting would hide it
        raise ValueError("two products of different shapes")
    return first * second


def _lokr(of: Factors) -> torch.Tensor:
    first = of["lokr_w1"] if "lokr_w1" in of else of["lokr_w1_a"] @ of["lokr_w1_b"]
    if "lokr_w2" in of:
        second = of["lokr_w2"]
    elif "lokr_t2" in of:
        second = _tucker(of["lokr_t2"], of["lokr_w2_a"], of["lokr_w2_b"])
    else:
        wide = of["lokr_w2_b"]
        second = (of["lokr_w2_a"] @ wide.flatten(1)).reshape(-1, *wide.shape[1:])
    if first.ndim != 2:
        raise ValueError("a first factor that is no matrix")
    return torch.kron(first[(...,) + (None,) * (second.ndim - 2)], second.contiguous())


def _tucker(core: torch.Tensor, out: torch.Tensor, into: torch.Tensor) -> torch.Tensor:
    """[out, in, height, width] from [r, s, height, width], [r, out] and [s, in]."""
    return torch.einsum("rs...,ro,si->oi...", core, out, into)


def _dora(weight: torch.Tensor, change: torch.Tensor, magnitude: torch.Tensor, along: int) -> torch.Tensor:
    """DoRA's new weight: the directions of weight and change together, with lengths of their own.

    The lengths are those of the rows (`along` 0: PEFT, LyCORIS today) or of the columns (1: LyCORIS's first files).
    """
    whole = weight + change
    others = [axis for axis in range(weight.ndim) if axis != along]
    lengths = torch.linalg.vector_norm(whole, dim=others, keepdim=True)
    wanted = _along(weight, magnitude.to(weight.device, torch.float32), along)
    # Nought keeps its direction, none, whatever length it is given.
    return whole * (wanted / lengths.clamp_min(torch.finfo(torch.float32).eps))


def _along(weight: torch.Tensor, numbers: torch.Tensor, axis: int) -> torch.Tensor:
    """One number for each place on an axis of the weight, in whatever shape they were written."""
    if numbers.numel() != weight.shape[axis]:
        raise ValueError("numbers for another width")
    return numbers.reshape([-1 if each == axis else 1 for each in range(weight.ndim)])
