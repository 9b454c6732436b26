"""Clipped inner gradients: torch's own clipping task by task, and the gradient through it."""

import pytest
import torch
from torch.nn.functional import mse_loss

from battery import sine_model, sine_tasks
from mamlbook import distance, maml
from mamlbook.inner import Clipped, Place

PLACE = Place(("w", "b"), 0, 0.01, None)


def test_each_task_is_clipped_as_torch_would_clip_it():
    generator = torch.Generator().manual_seed(0)
    gradients = [torch.randn(4, *shape, generator=generator, dtype=torch.float64) for shape in ((3, 2), (3,))]
    gradients = [g * torch.tensor([0.1, 1.0, 10.0, 100.0]).double().view(-1, *[1] * (g.ndim - 1)) for g in gradients]
    found = Clipped(2.0)(gradients, PLACE)
    for b in range(4):
        weights = [torch.zeros_like(g[b]).requires_grad_() for g in gradients]
        for weight, g in zip(weights, gradients, strict=True):
            weight.grad = g[b].clone()
        torch.nn.utils.clip_grad_norm_(weights, 2.0)
        # torch divides by the length and a millionth.
        for weight, g in zip(weights, found, strict=True):
            torch.testing.assert_close(g[b], weight.grad, rtol=2e-6, atol=0)
    assert torch.equal(found[0][0], gradients[0][0])  # the first one is short enough


def test_what_does_not_adapt_and_what_is_zero_stay_as_they_are():
    g = torch.zeros(2, 3, requires_grad=True)
    none, zero = Clipped(1.0)([None, g], PLACE)
    assert none is None
    assert torch.equal(zero, g)
    assert torch.autograd.grad(zero.sum(), g)[0].isfinite().all()


def test_the_meta_gradient_is_that_of_a_plain_loop():
    model, tasks, limit = sine_model(), sine_tasks(), 0.7
    total = 0
    for b in range(5):
        one, phi = tasks.pick([b]), [t[None] for t in model.theta]
        for _ in range(2):
            g = torch.autograd.grad(mse_loss(model(tuple(phi), one.support.x), one.support.y), phi, create_graph=True)
            length = torch.cat([part.flatten() for part in g]).norm()
            phi = [p - 0.1 * min(1, limit / length) * part for p, part in zip(phi, g, strict=True)]
        total = total + mse_loss(model(tuple(phi), one.query.x), one.query.y) / 5
    expected = torch.autograd.grad(total, model.theta)
    assert distance(maml(model, 0.1, 2, Clipped(limit)).meta_gradient(tasks), expected) < 1e-12
    assert distance(maml(model, 0.1, 2).meta_gradient(tasks), expected) > 1e-3


def test_without_a_limit_it_is_maml():
    model, tasks = sine_model(), sine_tasks()
    assert (
        distance(maml(model, 0.1, 2, Clipped(1e9)).meta_gradient(tasks), maml(model, 0.1, 2).meta_gradient(tasks)) == 0
    )


@pytest.mark.parametrize("limit", [0, -1.0, float("nan")])
def test_a_limit_that_is_none_is_refused(limit):
    with pytest.raises(ValueError, match="limit: expected the largest length of an inner gradient, above 0"):
        Clipped(limit)
