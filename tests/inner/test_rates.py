"""Learned inner rates against plain loops, and against what they are in a limit."""

import pytest
import torch
from torch.nn.functional import mse_loss

from battery import sine_model, sine_tasks
from mamlbook import ALL, GradientDescent, MetaLearner, Sinusoids, distance, fit, fomaml, maml
from mamlbook.inner import LearnedRates

ALPHA = 0.03


def learner_of(model, per, steps, rows=None):
    return maml(model, ALPHA, steps, LearnedRates(model, per, steps if rows is None else rows))


def drawn(learner, seed=0):
    """Rates that are no longer 1, and a learner that has them."""
    generator = torch.Generator().manual_seed(seed)
    (rates,) = learner.solver.transforms
    with torch.no_grad():
        for rate in rates.rates:
            rate.copy_(1 + 0.5 * torch.randn(rate.shape, generator=generator, dtype=rate.dtype))
    return rates.rates


def by_hand(model, rates, steps, tasks):
    """The mean query loss after steps of phi - alpha s g, task by task and tensor by tensor."""
    total = 0
    for b in range(len(tasks.index)):
        one = tasks.pick([b])
        phi = [t[None] for t in model.theta]
        for step in range(steps):
            loss = mse_loss(model(tuple(phi), one.support.x), one.support.y)
            gradients = torch.autograd.grad(loss, phi, create_graph=True)
            rows = [rate[min(step, len(rate) - 1)] for rate in rates]
            phi = [p - ALPHA * s * g for p, s, g in zip(phi, rows, gradients, strict=True)]
        total = total + mse_loss(model(tuple(phi), one.query.x), one.query.y)
    return total / len(tasks.index)


@pytest.mark.parametrize("per", ["weight", "tensor"])
@pytest.mark.parametrize(("steps", "rows"), [(1, 1), (3, 3), (3, 2)])
def test_gradients_in_the_weights_and_in_the_rates_equal_a_plain_loop(per, steps, rows):
    model, tasks = sine_model(), sine_tasks()
    learner = learner_of(model, per, steps, rows)
    rates = drawn(learner)
    learned = (*model.theta, *rates)
    got = torch.autograd.grad(learner(tasks)[0], learned)
    assert distance(got, torch.autograd.grad(by_hand(model, rates, steps, tasks), learned)) < 1e-12


def test_after_one_step_the_gradient_in_the_rates_is_minus_alpha_g_q():
    # d L(theta - alpha s g) / d s = -alpha g q, entry by entry, with q the query gradient at phi.
    model, tasks = sine_model(), sine_tasks()
    learner = learner_of(model, "weight", 1)
    rates = drawn(learner)
    got = torch.autograd.grad(learner(tasks)[0], list(rates))
    expected = [torch.zeros_like(rate) for rate in rates]
    for b in range(5):
        one = tasks.pick([b])
        g = torch.autograd.grad(mse_loss(model.net(one.support.x[0]), one.support.y[0]), model.theta)
        phi = [(t - ALPHA * s[0] * d).detach() for t, s, d in zip(model.theta, rates, g, strict=True)]
        phi = tuple(p[None].requires_grad_() for p in phi)
        q = torch.autograd.grad(mse_loss(model(phi, one.query.x), one.query.y), phi)
        for total, support, query in zip(expected, g, q, strict=True):
            total -= ALPHA * support * query / 5
    assert distance(got, expected) < 1e-13


@pytest.mark.parametrize("per", ["weight", "tensor"])
def test_at_one_it_is_maml(per):
    model, tasks = sine_model(), sine_tasks()
    assert distance(learner_of(model, per, 3).meta_gradient(tasks), maml(model, ALPHA, 3).meta_gradient(tasks)) < 1e-14


def test_a_step_beyond_the_last_row_takes_the_last_row():
    model, tasks = sine_model(), sine_tasks()
    short = MetaLearner(model, GradientDescent(ALPHA, 4, LearnedRates(model, "tensor", 2)))
    long = MetaLearner(model, GradientDescent(ALPHA, 4, LearnedRates(model, "tensor", 4)))
    with torch.no_grad():
        for few, many in zip(drawn(short), long.solver.transforms[0].rates, strict=True):
            many.copy_(few[[0, 1, 1, 1]])
    assert distance(short.adapt(tasks.support).phi, long.adapt(tasks.support).phi) == 0


def test_there_is_one_rate_for_each_weight_or_tensor_and_step():
    model = sine_model()
    assert [r.shape for r in LearnedRates(model, "weight", 2).rates] == [(2, *t.shape) for t in model.theta]
    assert [r.numel() for r in LearnedRates(model, "tensor", 5).rates] == [5] * 6
    assert all(r.dtype == torch.float64 for r in LearnedRates(model).rates)


def test_the_outer_loop_learns_the_rates():
    model = sine_model()
    learner = learner_of(model, "tensor", 2)
    fit(learner, Sinusoids(), steps=5, tasks=5)
    assert all((rate != 1).all() for rate in learner.solver.transforms[0].rates)


def test_the_first_order_reading_teaches_the_rates_nothing():
    model, tasks = sine_model(), sine_tasks()
    rates = LearnedRates(model)
    surrogate, _ = fomaml(model, ALPHA, 1, rates)(tasks)
    assert torch.autograd.grad(surrogate, list(rates.rates), allow_unused=True) == (None,) * 6


def test_without_unroll_nothing_points_back():
    model, tasks = sine_model(), sine_tasks()
    solver = GradientDescent(ALPHA, 2, LearnedRates(model))
    assert all(p.grad_fn is None for p in solver(model, tasks.support, unroll=0).phi)
    assert all(p.grad_fn is not None for p in solver(model, tasks.support, unroll=ALL).phi)


def test_what_is_wrong_is_named():
    with pytest.raises(ValueError, match="per: expected 'weight' or 'tensor', got 'layer'"):
        LearnedRates(sine_model(), "layer")
    for steps in (0, 1.5, True):
        with pytest.raises(ValueError, match="steps: expected a whole number of inner steps of at least 1"):
            LearnedRates(sine_model(), steps=steps)
