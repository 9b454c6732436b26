"""Meta-train, remember what happened, stop at any moment and go on."""

from mamlbook.devices import pick_device
from mamlbook.training.finite import NonFinite, NonFiniteLoss, NonFiniteState
from mamlbook.training.history import History
from mamlbook.training.loop import fit
from mamlbook.training.replicas import fit_replicas

__all__ = ["History", "NonFinite", "NonFiniteLoss", "NonFiniteState", "fit", "fit_replicas", "pick_device"]
