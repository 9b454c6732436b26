"""Parameters of the task that begin at zero, whatever the weights are."""

import pytest
import torch
from torch.nn.functional import mse_loss

from battery import sine_model, sine_tasks
from mamlbook import Model, Sinusoids, fit
from mamlbook.algorithms import cavia
from mamlbook.inner import reset_context
from mamlbook.networks import contextual


def model():
    return Model(contextual(1, 8, 8, 1, seed=0), mse_loss).double()


def test_only_the_context_adapts_and_it_begins_at_zero():
    net, tasks = model(), sine_tasks()
    with torch.no_grad():
        net.theta[0].fill_(2.0)
    path = [adapted.phi for adapted in cavia(net, 0.5, 3).solver.path(net, tasks.support, unroll=0)]
    assert not path[0][0].any()
    assert all(phi[0].abs().max() > 0 for phi in path[1:])
    assert all(
        torch.equal(adapted[b], t) for adapted, t in zip(path[-1][1:], net.theta[1:], strict=True) for b in range(5)
    )


def test_at_a_context_of_zeros_the_gradient_does_not_vanish():
    # d L / d c = W_c^T (d L / d a), with W_c the columns of the first layer that read the context.
    net, tasks = model(), sine_tasks()
    phi = tuple(t.detach().expand(5, *t.shape).clone().requires_grad_() for t in net.theta)
    losses = net.losses(net(phi, tasks.support.x), tasks.support.y)
    context, _, bias = torch.autograd.grad(losses.sum(), phi[:3])
    assert context.abs().amax(1).min() > 1e-3
    assert torch.allclose(context, bias @ net.theta[1][:, 1:], atol=1e-15)


def test_the_context_of_the_network_is_never_learned():
    net = Model(contextual(1, 8, 8, 1, seed=0), mse_loss)
    before = [t.detach().clone() for t in net.theta]
    fit(cavia(net), Sinusoids(), steps=3, tasks=5)
    assert torch.equal(net.theta[0], before[0])
    assert all(not torch.equal(now, old) for now, old in zip(net.theta[1:], before[1:], strict=True))


def test_a_network_without_a_context_is_refused():
    with pytest.raises(ValueError, match="net: expected a layer called 'context'"):
        reset_context(sine_model(), sine_tasks().support, ())
