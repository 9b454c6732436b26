"""Evaluation mode for a while, whatever a network does on the way to it and back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Evaluation mode for a while; afterwards every part is in the mode that it was in before.

    Raises:
        ValueError: a part changes its weights on the way, as adapters do that are merged into the weights beside them.
    """
    modes = {part: part.training for part in module.modules()}
    own = [part for part in modes if type(part).train is not nn.Module.train]
    before = [(name, weight, weight.detach().clone()) for part in own for name, weight in part.named_parameters()]
    module.eval()
    changed = [(name, weight, was) for name, weight, was in before if not torch.equal(weight, was)]
    try:
        if changed:
            raise ValueError(
                f"net: expected weights that the change to evaluation mode leaves alone, got a train() that changes "
                f"{', '.join(name for name, _, _ in changed)}, with what is adapted merged into them; switch that off"
            )
        yield
    finally:
        for part in own:
            part.train(modes[part])
        for _, weight, was in changed:
            weight.data.copy_(was)
        for part, training in modes.items():
            part.training = training
