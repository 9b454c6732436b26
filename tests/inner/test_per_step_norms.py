"""Gains and offsets of each inner step: against a plain loop, and that no task adapts them."""

import pytest
import torch
import torch.nn.functional as F

from battery import Blobs, relative, sine_model
from mamlbook import BatchNorm, GradientDescent, MetaLearner, Model, distance, fit, keep, maml, mlp, without_norms
from mamlbook.inner import PerStepNorms

ALPHA, STEPS = 0.1, 3


def blobs():
    return Blobs().draw(3, torch.Generator().manual_seed(0)).to(torch.float64)


def model():
    return Model(mlp(2, 6, 3, activation=torch.nn.Tanh, norm=BatchNorm), F.cross_entropy).double()


def learner(model):
    return maml(model, ALPHA, STEPS, PerStepNorms(model, STEPS))


def drawn(one):
    """Shifts that are no longer 0."""
    (part,) = one.solver.transforms
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for shift in part.shifts:
            shift.copy_(torch.randn(shift.shape, generator=generator, dtype=shift.dtype))
    return list(part.shifts)


def test_loss_and_gradients_equal_a_plain_loop_with_a_table_of_gains():
    one, tasks = learner(model()), blobs()
    shifts, total = drawn(one), 0
    names = dict(zip(one.model.names, one.model.theta, strict=True))
    gains, offsets = ([names[f"norm1.{kind}"]] for kind in ("gain", "offset"))
    for table, shift in zip((gains, offsets), shifts, strict=True):
        for step in range(STEPS - 1):
            table.append(table[-1] + shift[step])
    for support, y, query, y_query in zip(*tasks.support, *tasks.query, strict=True):
        phi = [names[n] for n in ("linear1.weight", "linear1.bias", "head.weight", "head.bias")]

        def predicted(x, k, phi=phi):
            w, b, v, c = phi
            return F.batch_norm(x @ w.T + b, None, None, gains[k], offsets[k], True).tanh() @ v.T + c

        for k in range(STEPS):
            g = torch.autograd.grad(F.cross_entropy(predicted(support, k, phi), y), phi, create_graph=True)
            phi = [p - ALPHA * d for p, d in zip(phi, g, strict=True)]
        total = total + F.cross_entropy(predicted(query, STEPS - 1, phi), y_query) / 3
    learned = (*one.model.theta, *shifts)
    surrogate, _ = one(tasks)
    assert surrogate.item() == pytest.approx(total.item(), abs=1e-12)
    assert relative(torch.autograd.grad(surrogate, learned), torch.autograd.grad(total, learned)) < 1e-10


def test_at_zero_it_is_maml_that_adapts_no_norm():
    one, tasks = learner(model()), blobs()
    plain = maml(one.model, ALPHA, STEPS, keep(without_norms))
    assert distance(one.meta_gradient(tasks), plain.meta_gradient(tasks)) < 1e-14


def test_the_outer_loop_learns_every_shift():
    one = learner(model().float())
    fit(one, Blobs(), steps=3, tasks=2)
    (part,) = one.solver.transforms
    assert [shift.shape for shift in part.shifts] == [(STEPS - 1, 6)] * 2
    assert all((shift != 0).all() for shift in part.shifts)


def test_what_cannot_be_shifted_is_refused():
    with pytest.raises(ValueError, match="net: expected a network with norms, got the weights linear1"):
        PerStepNorms(sine_model(), 2)
    made = model()
    for solver in (
        GradientDescent(0.1, 2, PerStepNorms(made, 2), rule=torch.optim.Adam),
        GradientDescent(0.0, 2, PerStepNorms(made, 2)),
    ):
        with pytest.raises(ValueError, match="PerStepNorms: expected plain gradient descent at a rate above 0"):
            MetaLearner(made, solver)
