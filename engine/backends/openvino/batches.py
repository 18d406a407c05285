"""Between shells and graphs: tensors as arrays, and a batch as examples, for graphs are of batch 1."""

import numpy as np
import torch

from engine.backends.openvino.graphs import Graph


def one_by_one(graph: Graph, batch: dict[str, torch.Tensor], **shared: np.ndarray) -> list[torch.Tensor]:
    """The graph's outputs for every example of a batch, put together again; what is `shared` goes to each."""
    arrays = {name: array(each) for name, each in batch.items()}
    count = len(next(iter(arrays.values())))
    found = [
        graph(**{name: each[place : place + 1] for name, each in arrays.items()}, **shared) for place in range(count)
    ]
    return [torch.from_numpy(np.concatenate(parts)) for parts in zip(*found, strict=True)]


def array(tensor: torch.Tensor) -> np.ndarray:
    """The tensor in float32."""
    return tensor.detach().to(torch.float32).contiguous().numpy()
