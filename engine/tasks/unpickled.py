"""Adapters in PyTorch's files, which are pickles, as .safetensors copies: nothing else is ever loaded."""

from pathlib import Path

from msgspec import structs

from engine.library.converted_pickles import as_safetensors
from engine.messages import Adapters
from engine.patience import Report

_OTHERS = (".onnx",)


def unpickled(adapters: Adapters, report: Report) -> Adapters:
    """The same adapters with a .safetensors file for each that is none, made where it is not there yet.

    Embeddings are left as they are: of all that are installed a prompt names few. Raises BadInput for a file that
    holds no weights Easel reads, and what `report` raises.
    """

    def safe(name: str) -> str:
        path = Path(name)
        is_weights = name and path.is_file() and path.suffix.lower() not in _OTHERS
        return str(as_safetensors(path, report)) if is_weights else name

    return structs.replace(
        adapters,
        loras=tuple(structs.replace(each, path=safe(each.path)) for each in adapters.loras),
        nets=tuple(map(safe, adapters.nets)),
        image_prompts=tuple(structs.replace(each, adapter=safe(each.adapter)) for each in adapters.image_prompts),
        upscaler=safe(adapters.upscaler),
        vae=safe(adapters.vae),
    )
