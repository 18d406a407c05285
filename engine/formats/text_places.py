"""Text encoders in single files: CLIP by transformers' names or by open_clip's, and T5's encoder.

Sources: transformers, `models/clip/modeling_clip.py` and `models/t5/modeling_t5.py`;
https://github.com/mlfoundations/open_clip, `src/open_clip/transformer.py`, whose attention holds the three projections
in one and whose last projection is transposed.
"""

from collections.abc import Iterator

from engine.formats.places import Config, Place, Places, Shapes, count, modules, size, split

PROJECTED = "CLIPTextModelWithProjection"
_HEAD_WIDTH = 64
_WHOLE = 23
"""Layers of SD 2.x's text encoder; its original has one more, which it does not use."""
_CLIP = "text_model."
_LAYER = {name: name for name in ("layer_norm1", "layer_norm2", "mlp.fc1", "mlp.fc2", "self_attn.out_proj")}
_PROJECTIONS = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj")
_OPEN_LAYER = {
    "layer_norm1": "ln_1",
    "layer_norm2": "ln_2",
    "mlp.fc1": "mlp.c_fc",
    "mlp.fc2": "mlp.c_proj",
    "self_attn.out_proj": "attn.out_proj",
}
_T5_FORWARD = ("wi_0", "wi_1", "wo")


def clip_config(shapes: Shapes, published: Config) -> Config:
    """What the shapes tell of the configuration of a CLIP by transformers' names. Raises KeyError."""
    return _clip_config(shapes, published, _CLIP)


def clip_places(config: Config) -> Places:
    """Where its tensors lie: under the names they have in transformers."""
    return dict(_clip(config, _CLIP))


def bare_clip_config(shapes: Shapes, published: Config) -> Config:
    """The same of a file whose names lack the outer "text_model.", as some of 2022 do."""
    return _clip_config(shapes, published, "")


def bare_clip_places(config: Config) -> Places:
    """Where its tensors lie."""
    return dict(_clip(config, ""))


def open_clip_config(shapes: Shapes, published: Config) -> Config:
    """What the shapes tell of the configuration of a CLIP by open_clip's names. Raises KeyError."""
    layers = count(shapes, "transformer.resblocks.{}.ln_1.weight")
    if published["architectures"] != [PROJECTED] and layers != _WHOLE:  # it stops before the last one
        layers -= 1
    projection = shapes("text_projection")
    return _text_config(
        *(size(shapes, "token_embedding.weight", axis) for axis in (0, 1)),
        positions=size(shapes, "positional_embedding", 0),
        inner=size(shapes, "transformer.resblocks.0.mlp.c_fc.weight", 0),
        layers=layers,
    ) | ({"projection_dim": projection[1]} if projection else {})


def open_clip_places(config: Config) -> Places:
    """Where the tensors of a CLIP lie by open_clip's names."""
    return dict(_open_clip(config))


def t5_config(shapes: Shapes, published: Config) -> Config:
    """What the shapes tell of the configuration of T5's encoder. Raises KeyError."""
    block = "encoder.block.0.layer."
    heads = size(shapes, f"{block}0.SelfAttention.relative_attention_bias.weight", 1)
    return {
        "vocab_size": size(shapes, "shared.weight", 0),
        "d_model": size(shapes, "shared.weight", 1),
        "d_kv": size(shapes, f"{block}0.SelfAttention.q.weight", 0) // heads,
        "d_ff": size(shapes, f"{block}1.DenseReluDense.wi_0.weight", 0),
        "num_heads": heads,
        "num_layers": count(shapes, "encoder.block.{}.layer.0.layer_norm.weight"),
    }


def t5_places(config: Config) -> Places:
    """Where the tensors of T5's encoder lie: under the names they have in transformers."""
    names = ["shared.weight", "encoder.final_layer_norm.weight"]
    for number in range(config["num_layers"]):
        block = f"encoder.block.{number}.layer."
        names += [f"{block}0.SelfAttention.{each}.weight" for each in "qkvo"]
        names += [f"{block}1.DenseReluDense.{each}.weight" for each in _T5_FORWARD]
        names += [f"{block}{each}.layer_norm.weight" for each in (0, 1)]
    names.append("encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight")
    return {name: Place(name) for name in names}


def _clip_config(shapes: Shapes, published: Config, outer: str) -> Config:
    table = f"{outer}embeddings.token_embedding.weight"
    projection = shapes("text_projection.weight")
    layers = count(shapes, outer + "encoder.layers.{}.layer_norm1.weight")
    is_idle = published["architectures"] != [PROJECTED] and layers == _WHOLE + 1
    return _text_config(
        *(size(shapes, table, axis) for axis in (0, 1)),
        positions=size(shapes, f"{outer}embeddings.position_embedding.weight", 0),
        inner=size(shapes, f"{outer}encoder.layers.0.mlp.fc1.weight", 0),
        layers=layers - is_idle,
    ) | ({"projection_dim": projection[0]} if projection else {})


def _text_config(words: int, width: int, *, positions: int, inner: int, layers: int) -> Config:
    """The vocabulary ends with the tokens that begin and end a text."""
    return {
        "vocab_size": words,
        "bos_token_id": words - 2,
        "eos_token_id": words - 1,
        "pad_token_id": words - 1,
        "max_position_embeddings": positions,
        "hidden_size": width,
        "intermediate_size": inner,
        "num_hidden_layers": layers,
        "num_attention_heads": width // _HEAD_WIDTH,
        "projection_dim": width,
    }


def _clip(config: Config, outer: str) -> Iterator[tuple[str, Place]]:
    for embedding in ("token_embedding", "position_embedding"):
        yield f"{_CLIP}embeddings.{embedding}.weight", Place(f"{outer}embeddings.{embedding}.weight")
    for number in range(config["num_hidden_layers"]):
        layer = f"encoder.layers.{number}."
        yield from modules(_CLIP + layer, outer + layer, _LAYER | {name: name for name in _PROJECTIONS})
    yield from modules(_CLIP, outer, {"final_layer_norm": "final_layer_norm"})
    if config["architectures"] == [PROJECTED]:
        yield "text_projection.weight", Place("text_projection.weight")


def _open_clip(config: Config) -> Iterator[tuple[str, Place]]:
    yield f"{_CLIP}embeddings.token_embedding.weight", Place("token_embedding.weight")
    yield f"{_CLIP}embeddings.position_embedding.weight", Place("positional_embedding")
    for number in range(config["num_hidden_layers"]):
        ours, theirs = f"{_CLIP}encoder.layers.{number}.", f"transformer.resblocks.{number}."
        yield from modules(ours, theirs, _OPEN_LAYER)
        projections = (f"{ours}{name}" for name in _PROJECTIONS)
        yield from split(projections, f"{theirs}attn.in_proj_", (config["hidden_size"],) * 3)
    yield from modules(_CLIP, "", {"final_layer_norm": "ln_final"})
    if config["architectures"] == [PROJECTED]:
        yield "text_projection.weight", Place("text_projection", turn="turned")
