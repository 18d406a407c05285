"""Writes the LoRA files of this folder with the libraries people make them with, and what those merge them to.

Run in an environment of its own, beside the main one's packages (peft and LyCORIS are no dependencies of Easel):
    .venv/bin/python -m venv /tmp/peftvenv
    echo $PWD/.venv/lib/python3.11/site-packages > /tmp/peftvenv/lib/python3.11/site-packages/main.pth
    /tmp/peftvenv/bin/pip install --no-deps peft==0.21.2 lycoris-lora==4.1.3 einops toml
    /tmp/peftvenv/bin/python -m tests.data.lora.record

`expected.safetensors` has the original weights as `base|part|path` and every fourth row of the merged ones as
`case|part|path`.
"""

from collections.abc import Callable, Iterable
from pathlib import Path

import torch
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline
from lycoris import create_lycoris
from lycoris.wrapper import LycorisNetwork
from peft import LoHaConfig, LoKrConfig, LoraConfig, get_peft_model
from peft.utils import get_peft_model_state_dict
from safetensors.torch import save_file

from tests.data.lora.tiny import CONV, FF, KEY, OUT, POINTWISE, QUERY, TEXT, TEXT_MLP, TEXT_OUT, text_encoder, unet

FOLDER = Path(__file__).parent
Tensors = dict[str, torch.Tensor]


def noise(*shape: int) -> torch.Tensor:
    return torch.randn(shape) * 0.3


def kept(case: str, parts: dict[str, tuple[torch.nn.Module, Iterable[str]]]) -> Tensors:
    return {
        f"{case}|{part}|{path}": module.get_submodule(path).weight.detach().clone().contiguous()
        for part, (module, paths) in parts.items()
        for path in paths
    }


def pipeline() -> StableDiffusionPipeline:
    return StableDiffusionPipeline(
        vae=AutoencoderKL(block_out_channels=(4,), norm_num_groups=2),
        text_encoder=text_encoder(),
        tokenizer=None,
        unet=unet(),
        scheduler=DDIMScheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def by_diffusers(case: str, tensors: Tensors, weight: float, paths: list[str], texts: list[str]) -> Tensors:
    """diffusers reads a file and fuses it."""
    save_file(tensors, FOLDER / f"{case}.safetensors")
    pipe = pipeline()
    pipe.load_lora_weights(FOLDER, weight_name=f"{case}.safetensors")
    pipe.fuse_lora(components=["unet", "text_encoder"], lora_scale=weight)
    pipe.unload_lora_weights()
    return kept(case, {"unet": (pipe.unet, paths), "text_encoder": (pipe.text_encoder, texts)})


def kohya(prefix: str, path: str, shape: tuple[int, ...], rank: int, alpha: float | None) -> Tensors:
    name = prefix + path.replace(".", "_")
    tensors = {
        f"{name}.lora_down.weight": noise(rank, *shape[1:]),
        f"{name}.lora_up.weight": noise(shape[0], rank, *[1] * (len(shape) - 2)),
    }
    return tensors | ({} if alpha is None else {f"{name}.alpha": torch.tensor(alpha)})


def diffusers_cases() -> Tensors:
    """One alpha for all and out_proj too: 0.37.1 mixes up several alphas, and reads q_proj only beside out_proj."""
    shapes = {path: tuple(unet().get_submodule(path).weight.shape) for path in (QUERY, KEY, OUT, POINTWISE, CONV, FF)}
    texts = {path: tuple(text_encoder().get_submodule(path).weight.shape) for path in (TEXT, TEXT_OUT, TEXT_MLP)}
    file: Tensors = {}
    for place, (path, shape) in enumerate(shapes.items()):
        file |= kohya("lora_unet_", path, shape, 2 + place % 2, 1.5)
    for path, shape in texts.items():
        file |= kohya("lora_te_", path, shape, 3, 2.0)
    found = by_diffusers("kohya", file, 0.7, list(shapes), list(texts))

    old: Tensors = {}
    for path, name in ((QUERY, "to_q"), (KEY, "to_k"), (OUT, "to_out")):
        base = "unet." + path.rpartition(".to_")[0] + f".processor.{name}_lora."
        old |= {base + "down.weight": noise(2, shapes[path][1]), base + "up.weight": noise(shapes[path][0], 2)}
    base = "text_encoder." + TEXT.replace("q_proj", "to_q_lora")
    old |= {base + ".down.weight": noise(2, 8), base + ".up.weight": noise(8, 2)}
    base = "text_encoder." + TEXT.replace("q_proj", "to_out_lora")  # by which diffusers knows the form
    old |= {base + ".down.weight": noise(2, 8), base + ".up.weight": noise(8, 2)}
    return found | by_diffusers("diffusers_old", old, 0.5, [QUERY, KEY, OUT], [TEXT, TEXT_OUT])


def saved_by_diffusers() -> Tensors:
    """What diffusers writes: PEFT's names, and alpha in the metadata alone."""
    pipe = pipeline()
    settings = LoraConfig(
        r=3,
        lora_alpha=7,
        target_modules=[QUERY, CONV],
        init_lora_weights=False,
        alpha_pattern={QUERY: 2},
        use_rslora=True,
    )
    pipe.unet.add_adapter(settings)
    randomise(pipe.unet, "lora_")
    StableDiffusionPipeline.save_lora_weights(
        FOLDER,
        unet_lora_layers=get_peft_model_state_dict(pipe.unet),
        weight_name="diffusers_saved.safetensors",
        unet_lora_adapter_metadata=pipe.unet.peft_config["default"].to_dict(),
    )
    pipe = pipeline()
    pipe.load_lora_weights(FOLDER, weight_name="diffusers_saved.safetensors")
    pipe.fuse_lora(components=["unet"])
    pipe.unload_lora_weights()
    return kept("diffusers_saved", {"unet": (pipe.unet, [QUERY, CONV])})


def randomise(module: torch.nn.Module, *names: str) -> None:
    for name, parameter in module.named_parameters():
        if "magnitude" in name:
            parameter.data = parameter.data * (1 + 0.3 * torch.rand_like(parameter))
        elif any(each in name for each in names):
            parameter.data = noise(*parameter.shape)


def by_peft(case: str, settings: LoraConfig | LoHaConfig | LoKrConfig, paths: list[str]) -> Tensors:
    """PEFT wraps, saves and merges."""
    model = get_peft_model(unet(), settings)
    randomise(model, "lora_", "hada_", "lokr_")
    folder = FOLDER / case
    model.save_pretrained(folder)
    (folder / "README.md").unlink(missing_ok=True)
    return kept(case, {"unet": (model.merge_and_unload(), paths)})


def peft_cases() -> Tensors:
    both, linear = [KEY, POINTWISE, CONV], [QUERY, KEY]
    return (
        by_peft("peft_lora", LoraConfig(r=3, lora_alpha=5, target_modules=both, rank_pattern={KEY: 2}), both)
        | by_peft("peft_dora", LoraConfig(r=3, lora_alpha=5, target_modules=both, use_dora=True), both)
        | by_peft("peft_loha", LoHaConfig(r=3, alpha=5, target_modules=both), both)
        | by_peft("peft_loha_tucker", LoHaConfig(r=3, alpha=5, target_modules=both, use_effective_conv2d=True), both)
        | by_peft("peft_lokr", LoKrConfig(r=3, alpha=5, target_modules=both, decompose_factor=2), both)
        | by_peft(
            "peft_lokr_tucker",
            LoKrConfig(r=1, alpha=2, target_modules=both, use_effective_conv2d=True, decompose_both=True),
            both,
        )
        | by_peft("peft_lokr_full", LoKrConfig(r=64, alpha=5, target_modules=linear), linear)
    )


def by_lycoris(case: str, paths: list[str], weight: float, **settings: object) -> Tensors:
    """LyCORIS wraps and saves; its layers say what they make of a weight."""
    model = unet()
    originals = {path: model.get_submodule(path).weight.detach().clone() for path in paths}
    LycorisNetwork.apply_preset({"target_module": [], "target_name": paths, "enable_conv": True})
    network = create_lycoris(model, 1.0, **settings)
    network.apply_to()
    randomise(network, "lora_", "hada_", "lokr_", "weight")
    for name, parameter in network.named_parameters():
        if "dora_scale" in name:
            parameter.data = parameter.data * (1 + 0.3 * torch.rand_like(parameter))
    network.save_weights(FOLDER / f"{case}.safetensors", None, {})
    merged: Tensors = {}
    for lora in network.loras:
        path = next(path for path in paths if lora.lora_name == "lycoris_" + path.replace(".", "_"))
        merged[f"{case}|unet|{path}"] = _merged(lora, originals[path], weight).detach().clone()
    assert len(merged) == len(paths), (case, [lora.lora_name for lora in network.loras])
    return merged


def _merged(lora: torch.nn.Module, original: torch.Tensor, weight: float) -> torch.Tensor:
    """As the layer's forward computes it; `get_diff_weight` of LoHa and LoKr (4.1.3) scales by alpha / rank twice."""
    if lora.name in ("loha", "kron"):
        changed = original + lora.get_weight(original.shape)
    else:
        changed = original + lora.get_diff_weight(1.0, original.shape)[0]
    if getattr(lora, "wd", False):
        changed = lora.apply_weight_decompose(changed, 1.0)
    return original + weight * (changed - original)


def lycoris_cases() -> Tensors:
    paths = [QUERY, KEY, CONV]
    case: Callable[..., Tensors] = by_lycoris
    return (
        case("lycoris_locon", paths, 0.7, algo="lora", linear_dim=3, linear_alpha=2, conv_dim=2, conv_alpha=3)
        | case("lycoris_tucker", [CONV], 1.3, algo="lora", linear_dim=3, linear_alpha=2, conv_dim=2, use_tucker=True)
        | case("lycoris_loha", paths, -0.5, algo="loha", linear_dim=3, linear_alpha=2, conv_dim=2, use_tucker=True)
        | case("lycoris_doha", paths, 1.0, algo="loha", linear_dim=3, linear_alpha=2, dora_wd=True)
        | case(
            "lycoris_lokr", paths, 0.7, algo="lokr", linear_dim=2, linear_alpha=5, conv_dim=2, conv_alpha=3, factor=2
        )
        | case("lycoris_lokr_full", paths, 0.7, algo="lokr", linear_dim=999, linear_alpha=5, full_matrix=True)
        | case("lycoris_lokr_tucker", [CONV], 1.0, algo="lokr", linear_dim=3, conv_dim=3, factor=2, use_tucker=True)
        | case("lycoris_dora", paths, 1.0, algo="lora", linear_dim=3, linear_alpha=2, dora_wd=True)
        | case("lycoris_dora_columns", paths, 0.6, algo="lora", linear_dim=3, dora_wd=True, wd_on_out=False)
        | case("lycoris_full", paths[:2], 0.7, algo="full")
        | case("lycoris_ia3", paths, 0.6, algo="ia3")
        | case("lycoris_ia3_input", paths, 0.6, algo="ia3", train_on_input=True)
    )


def main() -> None:
    torch.manual_seed(0)
    everything = [QUERY, KEY, OUT, POINTWISE, CONV, FF]
    texts = [TEXT, TEXT_OUT, TEXT_MLP]
    expected = kept("base", {"unet": (unet(), everything), "text_encoder": (text_encoder(), texts)})
    expected |= diffusers_cases() | saved_by_diffusers() | peft_cases() | lycoris_cases()
    few = {name: weight if name.startswith("base|") else weight[::4].contiguous() for name, weight in expected.items()}
    save_file(few, FOLDER / "expected.safetensors")


if __name__ == "__main__":
    main()
