"""Predictions beside the support set: by plain loops, and what it is good for."""

import pytest
import torch
import torch.nn.functional as F

from battery import Blobs, relative, sine_model, sine_tasks
from mamlbook import BatchNorm, Exact, GradientDescent, MetaLearner, Model, distance, evaluate, maml, mlp
from mamlbook.inner import SupportFirst

ALPHA, STEPS, K = 0.1, 2, 12


def blobs(tasks=3):
    return Blobs().draw(tasks, torch.Generator().manual_seed(0)).to(torch.float64)


def learner(first=K):
    net = mlp(2, 6, 3, activation=torch.nn.Tanh, norm=lambda width: BatchNorm(width, first=first))
    return MetaLearner(Model(net, F.cross_entropy).double(), SupportFirst(GradientDescent(ALPHA, STEPS)), Exact())


def by_hand(model, tasks):
    """The mean query loss, one task at a time, with the support set's statistics kept as torch keeps them."""
    total = 0
    for support, y, query, y_query in zip(*tasks.support, *tasks.query, strict=True):
        w, b, gain, offset, v, c = model.theta
        for _ in range(STEPS):
            hidden = F.batch_norm(support @ w.T + b, None, None, gain, offset, training=True)
            loss = F.cross_entropy(hidden.tanh() @ v.T + c, y)
            gradients = torch.autograd.grad(loss, (w, b, gain, offset, v, c), create_graph=True)
            phi = (t - ALPHA * g for t, g in zip((w, b, gain, offset, v, c), gradients, strict=True))
            w, b, gain, offset, v, c = phi
        kept = support @ w.T + b
        centred = (query @ w.T + b - kept.mean(0)) / (kept.var(0, unbiased=False) + 1e-5).sqrt()
        total = total + F.cross_entropy((centred * gain + offset).tanh() @ v.T + c, y_query)
    return total / len(tasks.index)


def test_loss_and_meta_gradient_with_the_support_sets_statistics_equal_a_plain_loop():
    one, tasks = learner(), blobs()
    expected = by_hand(one.model, tasks)
    surrogate, _ = one(tasks)
    assert surrogate.item() == pytest.approx(expected.item(), abs=1e-12)
    assert relative(one.meta_gradient(tasks), torch.autograd.grad(expected, one.model.theta)) < 1e-10


@pytest.mark.parametrize(("first", "alike"), [(K, True), (None, False)])
def test_query_examples_see_one_another_only_in_a_batch_norm_of_the_whole_batch(first, alike):
    one, tasks = learner(first), blobs()
    adapted = one.adapt(tasks.support)
    together = adapted.predict(adapted.phi, tasks.query.x)
    alone = torch.cat([adapted.predict(adapted.phi, x) for x in tasks.query.x.split(1, 1)], 1)
    assert (distance([together], [alone]) < 1e-12) == alike


def test_without_layers_in_which_examples_meet_nothing_changes():
    tasks = sine_tasks()
    plain = maml(sine_model(), ALPHA, STEPS)
    beside = MetaLearner(sine_model(), SupportFirst(plain.solver), Exact())
    assert relative(beside.meta_gradient(tasks), plain.meta_gradient(tasks)) < 1e-12


def test_evaluation_sees_it_after_every_step():
    one = learner()
    found = evaluate(one, Blobs(), tasks=2, steps=3, chunk=2)
    tasks = Blobs().draw(2, torch.Generator().manual_seed(1)).to(torch.float64)
    for steps in range(4):
        adapted = one.adapt(tasks.support, steps=steps)
        losses = one.model.losses(adapted.predict(adapted.phi, tasks.query.x), tasks.query.y)
        assert distance([found[:, steps]], [losses.detach()]) < 1e-12
    assert "SupportFirst(" in str(one)
