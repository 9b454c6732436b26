"""What MAML++ and its parts become in a limit, and what they are in between by plain loops."""

import math

import torch
from torch.nn.functional import mse_loss

from battery import relative, sine_model, sine_tasks
from mamlbook import distance, fomaml, maml
from mamlbook.algorithms import annealed, maml_plus_plus, multi_step_loss

ALPHA, STEPS = 0.03, 3


def along_the_path(model, tasks, weights, rates=None, create_graph=True):
    """The gradient of sum_k v_k L_b(phi_b^k), the mean over tasks, one task and one step at a time."""
    total, learned = 0, (*model.theta, *(rates or ()))
    for b in range(len(tasks.index)):
        one = tasks.pick([b])
        phi = [t[None] for t in model.theta]
        for step, v in enumerate(weights):
            loss = mse_loss(model(tuple(phi), one.support.x), one.support.y)
            gradients = torch.autograd.grad(loss, phi, create_graph=create_graph)
            factors = [rate[step] for rate in rates] if rates else [1] * len(phi)
            phi = [p - ALPHA * s * g for p, s, g in zip(phi, factors, gradients, strict=True)]
            total = total + v * mse_loss(model(tuple(phi), one.query.x), one.query.y)
    return torch.autograd.grad(total / len(tasks.index), learned)


def after(learner, meta_steps):
    for _ in range(meta_steps):
        learner.advance()
    return learner


def multi_step_loss_limit():
    """Equal weights: the mean of all steps' losses. All weight on the last step, or a single step: MAML."""
    model, tasks = sine_model(), sine_tasks()
    equal = multi_step_loss(model, ALPHA, STEPS, anneal=math.inf).meta_gradient(tasks)
    assert relative(equal, along_the_path(model, tasks, [1 / 3] * 3)) < 1e-12
    expected = maml(model, ALPHA, STEPS).meta_gradient(tasks)
    assert (
        relative(after(multi_step_loss(model, ALPHA, STEPS, anneal=4, floor=0), 4).meta_gradient(tasks), expected) == 0
    )
    one = multi_step_loss(model, ALPHA, 1).meta_gradient(tasks)
    assert distance(one, maml(model, ALPHA, 1).meta_gradient(tasks)) == 0


def annealed_limit():
    """FOMAML before the switch, MAML after it."""
    model, tasks = sine_model(), sine_tasks()
    learner = annealed(model, ALPHA, STEPS, after=2)
    first, second = (build(model, ALPHA, STEPS).meta_gradient(tasks) for build in (fomaml, maml))
    for expected in (first, first, second, second):
        assert relative(learner.meta_gradient(tasks), expected) < 1e-12
        learner.advance()


def maml_plus_plus_limit():
    """MAML when the rates are 1 and all weight is on the last step; otherwise a plain loop, in both orders."""
    model, tasks = sine_model(), sine_tasks()
    plain = after(maml_plus_plus(model, ALPHA, STEPS, anneal=1, floor=0, after=0), 1)
    assert relative(plain.meta_gradient(tasks), maml(model, ALPHA, STEPS).meta_gradient(tasks)) < 1e-12

    learner = maml_plus_plus(model, ALPHA, STEPS, anneal=10, after=5)
    (rates,) = (list(change.rates) for change in learner.solver.transforms if hasattr(change, "rates"))
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for rate in rates:
            rate.copy_(1 + 0.5 * torch.randn(rate.shape, generator=generator, dtype=rate.dtype))
    for second_order in (False, True):
        weights = [0.2, 0.2, 0.6] if not second_order else [0.5 / 3, 0.5 / 3, 2 / 3]
        after(learner, 4 if not second_order else 1)
        found = torch.autograd.grad(learner(tasks)[0], (*model.theta, *rates))
        assert relative(found, along_the_path(model, tasks, weights, rates, second_order)) < 1e-12


LIMITS = {
    "multi-step-loss": multi_step_loss_limit,
    "annealed": annealed_limit,
    "maml++": maml_plus_plus_limit,
}
