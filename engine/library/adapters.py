"""The adapters that are installed: LoRAs, ControlNets and embeddings, the person's own and the starter's."""

from engine.errors import BadInput, closest
from engine.library.autoencoders import autoencoder_for
from engine.library.image_prompts import chosen
from engine.library.named import file_at
from engine.library.nets import check_nets, net_for
from engine.library.preprocessors import model_for
from engine.library.shelves import called, named
from engine.messages import Adapters, ChosenLora, ModelCard
from engine.prompt import parse
from engine.settings import LANCZOS, LATENT, GenerateSettings, LoraUse


def needed(settings: GenerateSettings, card: ModelCard) -> Adapters:
    """The files behind every name in the settings and the prompt.

    Raises BadInput for a name that nothing is installed under, and for a ControlNet that is made for another model.
    """
    spoken = [("negative prompt", settings.negative_prompt, "negative_prompt")]
    spoken += [("prompt of a region", each.prompt, "regions") for each in settings.regions]
    for what, text, where in spoken:
        if calls := parse(text).loras:
            raise BadInput(
                f"The {what} calls the LoRA “{calls[0].name[:80]}”, and a LoRA changes the whole picture.",
                "Call it in the main prompt.",
                where,
            )
    said = [LoraUse(**each._asdict()) for each in parse(settings.prompt).loras]
    nets = [net_for(each, card) for each in settings.controls]
    check_nets(settings, nets, card)
    return Adapters(
        loras=(
            *(_lora(each, card, can_be_path=True) for each in settings.loras),
            *(_lora(each, card) for each in said),
        ),
        nets=tuple(map(str, nets)),
        preprocessors=tuple(model_for(each.kind) for each in settings.controls),
        image_prompts=tuple(chosen(each, card) for each in settings.image_prompts),
        embeddings=tuple((name, str(path)) for name, path in named("embedding").items()),
        upscaler=_upscaler(settings.upscaler),
        vae=autoencoder_for(settings.vae, card),
    )


def _lora(use: LoraUse, card: ModelCard, *, can_be_path: bool = False) -> ChosenLora:
    """A prompt may come from anybody's picture: what it names is never looked for by its path."""
    path = called("lora", use.name, "loras", family=card.family) or (file_at(use.name) if can_be_path else None)
    if path is None:
        raise BadInput(
            f"There is no LoRA named “{use.name[:80]}”.",
            closest(use.name, [each.stem for each in named("lora").values()]),
            "loras",
        )
    of_text = use.weight if use.text_encoder_weight is None else use.text_encoder_weight
    return ChosenLora(path=str(path), weight=use.weight, text_encoder_weight=of_text, blocks=use.blocks)


def _upscaler(name: str) -> str:
    if name.strip().casefold() in ("", LANCZOS.casefold(), LATENT.casefold()):
        return ""
    path = called("upscaler", name, "upscaler") or file_at(name)
    if path is None:
        raise BadInput(
            f"There is no upscaler named “{name[:80]}”.",
            closest(name, [LANCZOS, LATENT, *(each.stem for each in named("upscaler").values())]),
            where="upscaler",
        )
    return str(path)
