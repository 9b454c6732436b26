"""Which gradient is this? A finite difference of the objective tells.

The objective of a learner is computed apart from the learner: its network is called as anybody calls it, with its
weights set in place, one task after another, and the inner steps are those of ``torch.optim``. Only for a solver that
is no plain rule, such as a kernel or a computed start, is it the learner's own, and the result says so.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from copy import deepcopy
from functools import partial
from typing import Any, overload

import torch
from torch import Tensor

from mamlbook.analysis.plain_loop import NotFollowed, OwnObjective, PlainLoop
from mamlbook.analysis.verdict import CANNOT, RIGHT, WRONG, Audit, GradientCheck
from mamlbook.checks import positive, seed_number
from mamlbook.devices import noise_kept
from mamlbook.learner import MetaLearner
from mamlbook.meta_batch import MetaBatch
from mamlbook.network_errors import refuse_inference_mode
from mamlbook.numerics import Params
from mamlbook.tasks.base import Tasks, require_tasks
from mamlbook.tasks.preparation import prepared
from mamlbook.weighting import UniformWeights
from mamlbook.weighting.base import task_weights

OF_A_FUNCTION = {RIGHT: "gradient of the objective", WRONG: "not its gradient"}
"""What the verdicts are called where there is no learner."""

ANOTHER_RULE = (
    "the gradient is that of the learner's inner steps, but these are not quite those of the optimiser in torch.optim, "
    "by which it would be wrong: the differentiable twin rounds or places a constant in another way"
)


@overload
def gradient_check(
    gradient: Iterable[Tensor | None],
    learner: MetaLearner,
    tasks: Tasks | Sequence[Tasks],
    /,
    *,
    step: float = ...,
    seed: int = ...,
    within: float = ...,
) -> GradientCheck: ...


@overload
def gradient_check(
    gradient: Tensor | Iterable[Tensor | None],
    objective: Callable[..., Any],
    theta: Tensor | Iterable[Tensor],
    /,
    *,
    first_order: Tensor | Iterable[Tensor] | None = ...,
    step: float = ...,
    seed: int = ...,
    within: float = ...,
) -> GradientCheck: ...


def gradient_check(gradient, judge, at, /, *, first_order=None, step=1e-3, seed=0, within=1e-6) -> GradientCheck:
    """Name the gradient that some code computed, by the slope of the objective along three random directions v.

    <grad F, v> = lim (F(theta + h v) - F(theta - h v)) / 2h,  extrapolated from steps h that begin at ``step``.

    For ``gradient_check(gradient, learner, tasks)`` F is sum_b w_b L_b(phi_b(theta)), with the weights w_b held. For
    ``gradient_check(gradient, objective, theta)`` it is any function that gives one number, of a tensor, a list of them
    or several; ``first_order`` is a gradient to be called FOMAML's. ``within`` is the share of their size by which the
    slopes may differ. What is random, flat, infinite or has a kink at theta cannot be judged.

    Shapes: ``gradient`` is one (\\*shape) per weight that learns, or None where the objective does not use the weight.

    Raises:
        TypeError: the arguments are none of the two forms.
        ValueError: the shapes are others, something is not in double precision, or a number is not above 0.

    >>> x = torch.tensor([2.0, 3.0], dtype=torch.float64)
    >>> gradient_check(x.cos(), lambda x: x.sin().sum(), x).verdict
    'gradient of the objective'

    >>> from mamlbook import Model, Sinusoids, fomaml, maml, mlp
    >>> learner = maml(Model(mlp(1, 8, 1, activation=torch.nn.Tanh), torch.nn.functional.mse_loss).double(), 0.1, 2)
    >>> tasks = Sinusoids(shots=5).draw(4, torch.Generator().manual_seed(0)).to(torch.float64)
    >>> gradient_check(learner.meta_gradient(tasks), learner, tasks).verdict
    'MAML'
    >>> gradient_check(fomaml(learner.model, 0.1, 2).meta_gradient(tasks), learner, tasks).verdict
    'FOMAML'
    """
    seed = seed_number("seed", seed)
    positive("step", "largest step", step)
    positive("within", "share of the slopes", within)
    audit = partial(Audit, step=step, seed=seed, within=within)
    if isinstance(judge, MetaLearner):
        if first_order is not None:
            raise TypeError("first_order: expected none beside a learner, which computes its own")
        require_tasks(at)
        return _check_learner(gradient, judge, at, audit)
    if not callable(judge):
        raise TypeError(f"objective: expected a MetaLearner or a function of tensors, got {type(judge).__name__}")
    return _check_function(gradient, judge, at, first_order, audit)


def _check_learner(gradient, learner: MetaLearner, tasks, audit: partial[Audit]) -> GradientCheck:
    theta, names = learner.model.theta, learner.model.names
    _require_double("learner", theta, names)
    gradient = _matching("gradient", gradient, theta, names)
    refuse_inference_mode()
    batches = prepared([tasks] if isinstance(tasks, Tasks) else tasks, theta[0])
    with noise_kept():
        w = _task_weights(learner, batches)

        def judged(judge: PlainLoop | OwnObjective) -> GradientCheck:
            trial = audit(lambda point: (w * judge.losses(point)).sum(), theta, names)
            return trial.judge(gradient, judge.first_order(theta, w))._replace(judged_by=judge.name)

        own = OwnObjective(learner, batches)
        try:
            plain = PlainLoop(learner, batches)
            found = judged(plain)
        except NotFollowed:
            return judged(own)
        if found.verdict == CANNOT or found.reason:
            return found
        reason = _disagreement(own, plain, theta, audit.keywords["within"])
        if found.verdict == WRONG and not reason and plain.has_twin and judged(own).verdict == RIGHT:
            return judged(own)._replace(reason=ANOTHER_RULE)
        return found._replace(reason=reason)


def _check_function(gradient, objective: Callable, theta, first_order, audit: partial[Audit]) -> GradientCheck:
    each = isinstance(theta, Tensor) or _takes_each(objective)
    if isinstance(theta, Tensor):
        gradient = (gradient,) if gradient is None or isinstance(gradient, Tensor) else gradient
        first_order = (first_order,) if isinstance(first_order, Tensor) else first_order
        theta = (theta,)
    if not isinstance(theta, Iterable):
        raise TypeError(f"theta: expected a tensor or a sequence of them, got {type(theta).__name__}")
    theta = tuple(theta)
    names = tuple(f"theta[{number}]" for number in range(len(theta)))
    _require_double("theta", theta, names)
    gradient = _matching("gradient", gradient, theta, names)
    if first_order is not None:
        first_order = _matching("first_order", first_order, theta, names)
    trial = audit(lambda point: objective(*point) if each else objective(list(point)), theta, names)
    with noise_kept():
        found = trial.judge(gradient, first_order)
    return found._replace(verdict=OF_A_FUNCTION.get(found.verdict, found.verdict), judged_by="the function")


def _task_weights(learner: MetaLearner, batches: Sequence[Tasks]) -> Tensor:
    """The weights of the tasks at theta, (B,); what the weighting remembers of them is not kept."""
    count = sum(batch.size for batch in batches)
    if type(learner.weighting) is UniformWeights:
        return learner.model.theta[0].new_full((count,), 1 / count).detach()
    if len(batches) > 1:
        raise ValueError(f"tasks: expected one batch, for {learner.weighting} weighs its tasks, got {len(batches)}")
    metagradient, weighting = deepcopy((learner.metagradient, learner.weighting))
    batch = MetaBatch.of(learner.model, learner.solver, batches[0])
    return task_weights(weighting, metagradient(batch), batch).detach()


def _disagreement(own: OwnObjective, plain: PlainLoop, theta: Params, within: float) -> str:
    """What is to be said where the learner evaluates its network in another way than anybody else."""
    expected = plain.losses(theta)
    try:
        found = own.losses(theta)
    except RuntimeError as error:  # the gradient is not the learner's, then, and could be judged all the same
        return f"the learner itself cannot be evaluated: {str(error).splitlines()[0]}"
    off = ((found - expected).abs().max() / expected.abs().max()).item()
    if not off > within:
        return ""
    return (
        "the learner computes something else than its network does: by its own account the query losses after "
        f"adaptation are others than by plain calls, by a share of {off:.1e}"
    )


def _require_double(argument: str, theta: Sequence[Tensor], names: Sequence[str]) -> None:
    if not theta:
        raise ValueError(f"{argument}: expected at least one tensor to differentiate by, got none")
    for name, tensor in zip(names, theta, strict=True):
        if not isinstance(tensor, Tensor):
            raise TypeError(f"{argument}: expected tensors, got {type(tensor).__name__} for {name}")
        if tensor.dtype != torch.float64:
            call = "learner.double()" if argument == "learner" else "t.double() for each tensor"
            raise ValueError(
                f"{argument}: expected weights in double precision, got {tensor.dtype} for {name}; call {call}"
            )


def _matching(argument: str, gradient, theta: Params, names: Sequence[str]) -> list[Tensor | None]:
    """The gradient, if it has a tensor or None for each weight."""
    if isinstance(gradient, Tensor) or not isinstance(gradient, Iterable):
        raise TypeError(f"{argument}: expected a sequence of tensors, one per weight, got {type(gradient).__name__}")
    gradient = list(gradient)
    if len(gradient) != len(theta):
        raise ValueError(
            f"{argument}: expected {len(theta)} tensors, one per weight of the network that learns, got {len(gradient)}"
        )
    for name, part, weight in zip(names, gradient, theta, strict=True):
        if part is not None and not isinstance(part, Tensor):
            raise TypeError(f"{argument}: expected a tensor or None for {name}, got {type(part).__name__}")
        if part is not None and part.shape != weight.shape:
            raise ValueError(
                f"{argument}: expected shape {tuple(weight.shape)} for {name}, got {tuple(part.shape)}; "
                "the tensors come in the order of the weights"
            )
    return gradient


def _takes_each(objective: Callable) -> bool:
    """Whether a function takes the tensors one by one, and not in one list."""
    try:
        signature = inspect.signature(objective)
        signature.bind([])
    except ValueError:  # a function of another language does not say
        return False
    except TypeError:
        return True
    return any(p.kind is inspect.Parameter.VAR_POSITIONAL for p in signature.parameters.values())
