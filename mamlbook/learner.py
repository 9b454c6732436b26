"""The composition model x solver x meta-gradient x weighting, and nothing else."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from mamlbook.checks import whole_number
from mamlbook.inner.base import Adapted, Solver
from mamlbook.meta_batch import MetaBatch, UnequalBatches
from mamlbook.metagradient.base import MetaGradient
from mamlbook.metagradient.exact import Exact
from mamlbook.model import Model
from mamlbook.modes import evaluating
from mamlbook.network_attributes import without_graphs
from mamlbook.network_calls import learning
from mamlbook.network_checks import call_arguments
from mamlbook.network_errors import naming_missing_derivatives, refuse_inference_mode
from mamlbook.numerics import Params
from mamlbook.parts import Part
from mamlbook.tasks.base import Data, Tasks
from mamlbook.tasks.preparation import prepared, prepared_data
from mamlbook.torch_internals import tree_leaves, tree_map
from mamlbook.weighting import FunctionWeights, UniformWeights, Weighting
from mamlbook.weighting.base import task_weights


class MetaLearner(nn.Module):
    """Everything that decides how theta learns: the four factors of the book's formula.

    theta <- theta - beta sum_b w_b (d phi_b / d theta)^T grad L_b(phi_b),  phi_b = solver(theta, support_b).

    Calling it on tasks gives the scalar to call ``backward()`` on, and the query losses after adaptation, (B,). Tasks
    of unequal size come as a list of ``Tasks``, one for each size (``mamlbook.tasks.batches_by_size``), and their
    losses in the order of the list. ``meta_steps`` counts the outer steps taken so far.

    Raises:
        TypeError: a factor is of another kind than its name says.
        ValueError: a factor cannot serve this network, or this solver.

    >>> from mamlbook import GradientDescent, Sinusoids, mlp
    >>> learner = MetaLearner(Model(mlp(1, 40, 40, 1), nn.functional.mse_loss), GradientDescent(alpha=0.01, steps=1))
    >>> surrogate, losses = learner(Sinusoids(shots=10).draw(25, torch.Generator().manual_seed(0)))
    >>> surrogate.shape, losses.shape
    (torch.Size([]), torch.Size([25]))
    """

    def __init__(
        self,
        model: Model,
        solver: Solver,
        metagradient: MetaGradient | None = None,
        weighting: Weighting | None = None,
    ):
        super().__init__()
        self.model = _of_kind("model", model, Model, "Model(net, loss)")
        self.solver = _of_kind("solver", solver, Solver, "GradientDescent(alpha, steps)")
        self.metagradient = _of_kind("metagradient", metagradient or Exact(), MetaGradient, "Exact()")
        if callable(weighting) and not isinstance(weighting, nn.Module | type):
            weighting = FunctionWeights(weighting)
        weighting = weighting or UniformWeights()
        self.weighting = _of_kind("weighting", weighting, Weighting, "UniformWeights()")
        self.meta_steps = 0
        self._served: list[tuple[str, torch.Size, torch.device]] = []
        self._require_parts()

    def forward(self, tasks: Tasks | Sequence[Tasks]) -> tuple[Tensor, Tensor]:
        if not isinstance(tasks, Tasks):
            return self._of_unequal_size(tasks)
        batch = self._batch(tasks)
        surrogates = self.metagradient(batch)
        weights = task_weights(self.weighting, surrogates, batch)
        return (weights * surrogates).sum(), surrogates.detach()

    def _of_unequal_size(self, tasks: Sequence[Tasks]) -> tuple[Tensor, Tensor]:
        if self.metagradient.remembers:
            raise ValueError(
                f"tasks: expected one batch of tasks of equal size, got a list of batches; "
                f"{self.metagradient} remembers whole meta-batches"
            )
        batches = UnequalBatches([self._batch(part) for part in prepared(tasks, self.model.theta[0])])
        surrogates = torch.cat([self.metagradient(batch) for batch in batches.parts])
        weights = task_weights(self.weighting, surrogates, batches)
        return (weights * surrogates).sum(), surrogates.detach()

    def _require_parts(self) -> None:
        """Let the factors look at the weights that learn: at first, and when layers were frozen, moved or replaced."""
        now = [(name, weight.shape, weight.device) for name, weight in learning(self.model.net)]
        if now != self._served:
            if not now:
                raise ValueError(
                    "net: expected weights that learn, got only frozen ones by now (requires_grad=False), of which "
                    "nothing is left to adapt; call requires_grad_() on the layers that shall"
                )
            _require_one_device(self)
            for part in (self.solver, self.metagradient, self.weighting):
                part.require(self.model, self.solver)
            self._served = now

    def _batch(self, tasks: Tasks) -> MetaBatch:
        refuse_inference_mode()
        self._require_parts()
        return MetaBatch.of(self.model, self.solver, prepared(tasks, self.model.theta[0]))

    def adapt(self, support: Data, steps: int | None = None) -> Adapted:
        """Solve new tasks from the learned start, without a graph; ``steps`` may differ from training.

        Raises:
            TypeError, ValueError: ``support`` is no ``Data`` or pair (x, y) with the task axis first.
        """
        with self.testing(), naming_missing_derivatives():
            return self.solver(self.model, prepared_data(support, self.model.theta[0]), unroll=0, steps=steps)

    def network(self, support: Data, *, task: int = 0, steps: int | None = None) -> nn.Module:
        """A copy of the network that has solved one of these tasks: an ordinary ``nn.Module`` that shares nothing.

        It is in evaluation mode, and predicts (K, ...) like any other network.

        Raises:
            TypeError, ValueError: ``support`` is none, or has no such task; a network that cannot be copied; weights
                that are not finite; a solver that predicts by other means than the network, as a kernel does.
        """
        adapted = self.adapt(support, steps)
        count = len(adapted.phi[0])
        number = whole_number("task", task, 0, f"the number of one of the {count} tasks, from 0")
        if number >= count:
            raise ValueError(f"task: expected the number of one of the {count} tasks, from 0, got {number}")
        solved = {name: phi[number] for name, phi in zip(self.model.names, adapted.phi, strict=True)}
        for name in (name for name, weight in solved.items() if not weight.isfinite().all()):
            raise ValueError(
                f"support: expected a task that can be solved, got {name} with nan or infinite numbers after adapting: "
                f"{self.solver.remedy}"
            )
        net = self._copied_network()
        with torch.no_grad():
            for name, weight in solved.items():
                net.get_parameter(name).copy_(weight)
        self._require_same_predictions(net, adapted, support, number)
        return net

    def _copied_network(self) -> nn.Module:
        with without_graphs(self.model.net):
            try:
                return copy.deepcopy(self.model.net).eval()
            except (TypeError, RuntimeError, AttributeError, pickle.PicklingError) as error:
                name, said = type(self.model.net).__name__, str(error).splitlines()[0]
                raise TypeError(
                    f"net: expected a network that copy.deepcopy can copy, got {name}, of which it says: {said}; let "
                    "it hold what can be copied, or keep learner.adapt(support) and its predict"
                ) from error

    def _require_same_predictions(self, net: nn.Module, adapted: Adapted, support: Data, number: int) -> None:
        x = prepared_data(support, self.model.theta[0]).x
        with self.testing(), torch.no_grad():
            wanted = tree_map(lambda y: y[number], adapted.predict(adapted.phi, x))
            alone = net(*call_arguments(net, tree_map(lambda leaf: leaf[number], x)))
        for one, other in zip(tree_leaves(alone), tree_leaves(wanted), strict=True):
            # The last digits of 16 bits differ from one task by itself to all at once.
            share = max([1e-3, *(16 * torch.finfo(y.dtype).eps for y in (one, other) if y.is_floating_point())])
            if not torch.allclose(one.to(other), other, rtol=share, atol=share * other.abs().max().item()):
                raise ValueError(
                    f"solver: expected one that predicts by the network alone, got {type(self.solver).__name__}, whose "
                    "predictions are others, unless it is the network that draws random numbers; keep "
                    "learner.adapt(support) and its predict"
                )

    def meta_gradient(self, tasks: Tasks | Sequence[Tasks]) -> Params:
        """The direction that one outer step would follow, as a tuple of (\\*shape); the weights are left alone."""
        with torch.enable_grad(), naming_missing_derivatives():
            surrogate, _ = self(tasks)
            return torch.autograd.grad(surrogate, self.model.theta, materialize_grads=True)

    @property
    def learned(self) -> Params:
        """Everything that the outer loop learns: theta, then the weights of solver, meta-gradient and weighting."""
        return tuple(p for p in self.parameters() if p.requires_grad)

    def gradients(self, tasks: Tasks | Sequence[Tasks]) -> tuple[Params, Tensor]:
        """The gradients of all that is ``learned``, and the query losses after adaptation, (B,)."""
        with torch.enable_grad(), naming_missing_derivatives():
            surrogate, losses = self(tasks)
            return torch.autograd.grad(surrogate, self.learned, materialize_grads=True), losses

    def advance(self) -> None:
        """An outer step has been taken: what remembers, a memory or a schedule, moves on.

        Only here, and not when a meta-gradient is computed, does anything change besides the weights.
        """
        self.meta_steps += 1
        for part in self.parts():
            part.advance()

    def parts(self) -> Iterator[Part]:
        """The parts of the factors that may have a memory or a schedule."""
        return (part for part in self.modules() if isinstance(part, Part))

    @contextmanager
    def testing(self) -> Iterator[None]:
        """Evaluation mode for a while: what is random in training, such as dropout, is off.

        Afterwards every module is in the mode that it was in before.
        """
        refuse_inference_mode()
        self._require_parts()
        with evaluating(self):
            yield


def _require_one_device(learner: MetaLearner) -> None:
    counted = (named for named in learner.named_buffers() if named[1].ndim)  # a single number may be anywhere
    places = {tensor.device: name for name, tensor in (*learner.named_parameters(), *counted)}
    if len(places) > 1:
        found = " and ".join(f"{name} on {place}" for place, name in places.items())
        raise ValueError(
            f"learner: expected all weights and buffers on one device, got {found}; move the whole learner, as in "
            f"learner.to({str(next(iter(places)))!r})"
        )


def _of_kind(name: str, part: nn.Module, kind: type, example: str):
    if not isinstance(part, kind):
        got = f"the class {part.__name__}" if isinstance(part, type) else type(part).__name__
        raise TypeError(f"{name}: expected a mamlbook.{kind.__name__}, such as {example}, got {got}")
    return part
