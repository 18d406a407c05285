"""The adapters that are installed: LoRAs, ControlNets and embeddings, the person's own and the starter's."""

from engine.errors import BadInput, closest
from engine.library.autoencoders import autoencoder_for
from engine.library.image_prompts import chosen
from engine.library.named import file_at
from engine.library.nets import net_for
from engine.library.preprocessors import model_for
from engine.library.shelves import WEIGHTS, named
from engine.messages import Adapters, ChosenLora, ModelCard
from engine.prompt import parse
from engine.settings import LANCZOS, GenerateSettings, LoraUse

UPSCALERS = (*WEIGHTS, ".onnx")


def needed(settings: GenerateSettings, card: ModelCard) -> Adapters:
    """The files behind every name in the settings and the prompt.

    Raises BadInput for a name that nothing is installed under, and for a ControlNet that is made for another model.
    """
    if any(parse(each.prompt).loras for each in settings.regions):
        raise BadInput(
            "The prompt of a region calls a LoRA, and LoRAs change the whole picture.",
            "Call it in the main prompt.",
            where="regions",
        )
    said = [LoraUse(**each._asdict()) for each in parse(settings.prompt).loras]
    return Adapters(
        loras=tuple(_lora(each) for each in (*settings.loras, *said)),
        nets=tuple(str(net_for(each, card)) for each in settings.controls),
        preprocessors=tuple(model_for(each.kind) for each in settings.controls),
        image_prompts=tuple(chosen(each, card) for each in settings.image_prompts),
        embeddings=tuple((name, str(path)) for name, path in named("embedding").items()),
        upscaler=_upscaler(settings.upscaler),
        vae=autoencoder_for(settings.vae, card),
    )


def _lora(use: LoraUse) -> ChosenLora:
    known = named("lora")
    path = known.get(use.name.casefold()) or file_at(use.name, WEIGHTS)
    if path is None:
        raise BadInput(
            f"There is no LoRA named “{use.name[:80]}”.",
            closest(use.name, [each.stem for each in known.values()]),
            "loras",
        )
    of_text = use.weight if use.text_encoder_weight is None else use.text_encoder_weight
    return ChosenLora(path=str(path), weight=use.weight, text_encoder_weight=of_text, blocks=use.blocks)


def _upscaler(name: str) -> str:
    if name.strip().casefold() in ("", LANCZOS.casefold()):
        return ""
    known = named("upscaler", UPSCALERS)
    path = known.get(name.casefold()) or file_at(name, UPSCALERS)
    if path is None:
        raise BadInput(
            f"There is no upscaler named “{name[:80]}”.",
            closest(name, [LANCZOS, *(each.stem for each in known.values())]),
            where="upscaler",
        )
    return str(path)
