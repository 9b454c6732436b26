"""Starts that were meta-trained once and travel with the package."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor, nn
from torch.nn.functional import cross_entropy, mse_loss

from mamlbook.algorithms import ALGORITHMS
from mamlbook.inner import keep, without_norms
from mamlbook.learner import MetaLearner
from mamlbook.model import Model
from mamlbook.networks import conv4, mlp
from mamlbook.stored import RESULTS, load_theta, recall, recall_weights

NETWORKS: dict[str, Callable[..., nn.Module]] = {"mlp": mlp, "conv4": conv4}
LOSSES: dict[str, Callable[[Any, Any], Tensor]] = {"mlp": mse_loss, "conv4": cross_entropy}


class Pretrained(NamedTuple):
    """A learner with stored weights, and the record of how it was trained and how well it does."""

    learner: MetaLearner
    record: dict[str, Any]


def pretrained(name: str, *, folder: str | Path = RESULTS) -> Pretrained:
    """A stored start: the learner as it was meta-trained, and the record of the training.

    In the record, ``command`` trains it again, ``protocol`` says what was measured, ``accuracy`` or ``error`` is what
    came out, a mean with the half-width of its 95 % interval, and ``paper``, where there is one, is the published
    figure. The weights are kept in half precision, and what is reported was measured with them. Names such as
    omniglot-short-20w1s-maml are cells of the Omniglot table, after its short protocol. ``folder`` is where your own
    experiments have written.

    Raises:
        ValueError: no start of that name is stored; the message lists those that are.

    >>> import torch
    >>> from mamlbook.tasks import Episodes, glyphs
    >>> learner, record = pretrained("omniglot-5w1s-maml")
    >>> record["accuracy"]["1"]["1"], record["paper"]["accuracy"]
    ([98.12, 0.39], [98.7, 0.4])
    >>> tasks = Episodes(glyphs(), ways=5, shots=1).draw(2, torch.Generator().manual_seed(0))
    >>> [tuple(p.shape) for p in learner.adapt(tasks.support).phi[-2:]]
    [(2, 5, 256), (2, 5)]
    """
    found = _starts(Path(folder))
    if not isinstance(name, str) or name not in found:
        known = ", ".join(sorted(found)) or "none, for none is stored"
        raise ValueError(f"name: expected one of {known}, got {name!r}")
    file, record = found[name]
    learner = composed(record["learner"])
    theta = recall_weights(file, record.get("weights", ""), folder=Path(folder))
    load_theta(learner, theta)  # with what the solver has learned, such as rates
    return Pretrained(learner, record)


def _starts(folder: Path) -> dict[str, tuple[str, dict[str, Any]]]:
    """The file and the record of every start in a folder: a result is one, or has several under ``starts``."""
    found = {}
    for path in folder.glob("*.npz"):
        result = recall(path.stem, folder=folder)
        if "learner" in result:
            found[path.stem] = path.stem, result
        common = {key: result[key] for key in ("protocol", "device", "versions") if key in result}
        found |= {name: (path.stem, {**start, **common}) for name, start in result.get("starts", {}).items()}
    return found


def composed(settings: Mapping[str, Any], *, seed: int = 0) -> MetaLearner:
    """The learner that the settings of a record describe, with the weights of a seed.

    ``network`` has the name of a network and its arguments, ``algorithm`` is a row of the table, ``alpha`` and
    ``steps`` are for rows that have them, ``options`` are all others. Where a row leaves open what adapts, batch norms
    do not.
    """
    network = dict(settings["network"])
    kind = network.pop("name")
    net = NETWORKS[kind](*network.pop("sizes", ()), **network, seed=seed)
    model, row = Model(net, LOSSES[kind]), ALGORITHMS[settings["algorithm"]]
    options = {name: settings[name] for name in ("alpha", "steps") if name in settings} | settings.get("options", {})
    open_to_choice = any(p.kind is p.VAR_POSITIONAL for p in inspect.signature(row.build).parameters.values())
    if kind == "conv4" and open_to_choice:
        return row(model, options.pop("alpha"), options.pop("steps"), keep(without_norms), **options)
    return row.offer(model, **options)
