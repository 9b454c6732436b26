"""The composition: what it gives a meta-gradient and a weighting, and when anything may change."""

import threading

import pytest
import torch
from torch import nn
from torch.nn.functional import mse_loss
from torch.nn.utils import prune

from battery import sine_model, sine_tasks
from mamlbook import (
    ALGORITHMS,
    ALL,
    Data,
    GradientDescent,
    MetaLearner,
    Model,
    Sinusoids,
    distance,
    evaluate,
    fit,
    maml,
    mlp,
)
from mamlbook.meta_batch import MetaBatch
from mamlbook.metagradient import MetaGradient


class Counting(MetaGradient):
    """A meta-gradient that remembers how often an outer step was taken."""

    def __init__(self):
        super().__init__()
        self.register_buffer("taken", torch.tensor(0))

    def forward(self, batch):
        return batch.query(batch.solve(unroll=ALL))

    def advance(self):
        self.taken += 1


class Noise(nn.Module):
    """A transform that is random in training."""

    def forward(self, gradients, place):
        return [g + torch.randn_like(g) if self.training else g for g in gradients]


def test_every_task_has_its_own_gradient():
    model, tasks = sine_model(), sine_tasks()
    batch = MetaBatch.of(model, GradientDescent(0.05, 2), tasks)
    gradients = batch.gradients(batch.query(batch.solve(unroll=ALL)))
    for b in range(5):
        alone = maml(model, 0.05, 2).meta_gradient(tasks.pick([b]))
        assert distance([g[b] for g in gradients], alone) < 1e-12


def test_a_problem_can_be_solved_from_other_weights():
    model, other, tasks = sine_model(), sine_model(seed=1), sine_tasks()
    theta = tuple(t.expand(5, *t.shape) for t in other.theta)
    here = MetaBatch.of(model, GradientDescent(0.05, 2), tasks).solve(unroll=0, theta=theta)
    assert distance(here.phi, GradientDescent(0.05, 2)(other, tasks.support, unroll=0).phi) == 0
    assert distance(here.start, theta) == 0


def test_what_remembers_advances_with_the_outer_step_and_only_then():
    model, waves = Model(mlp(1, 4, 1), nn.functional.mse_loss), Sinusoids()
    learner = MetaLearner(model, GradientDescent(0.01, 1), Counting())
    learner.meta_gradient(waves.draw(3, torch.Generator().manual_seed(0)))
    evaluate(learner, waves, tasks=4)
    assert learner.metagradient.taken == 0
    fit(learner, waves, steps=7, tasks=3)
    assert learner.metagradient.taken == 7


def test_what_is_random_in_training_is_off_in_testing():
    model, tasks = sine_model(), sine_tasks()
    learner = MetaLearner(model, GradientDescent(0.05, 2, Noise()))
    assert distance(learner.meta_gradient(tasks), learner.meta_gradient(tasks)) > 0
    assert distance(learner.adapt(tasks.support).phi, maml(model, 0.05, 2).adapt(tasks.support).phi) == 0
    still = evaluate(learner, Sinusoids(), tasks=5, steps=2)
    assert torch.equal(still, evaluate(maml(model, 0.05, 2), Sinusoids(), tasks=5, steps=2))
    assert learner.training


def test_testing_ends_when_something_fails():
    learner = maml(sine_model())
    try:
        with learner.testing():
            assert not learner.model.training
            raise KeyError
    except KeyError:
        pass
    assert learner.training
    assert learner.model.training


class Doubling(nn.Module):
    """A transform with a weight of its own."""

    def __init__(self):
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(2.0, dtype=torch.float64))

    def forward(self, gradients, place):
        return [self.factor * g for g in gradients]


def test_the_outer_loop_learns_the_weights_of_a_transform():
    model, tasks = sine_model(), sine_tasks()
    learner = MetaLearner(model, GradientDescent(0.05, 1, Doubling()))
    assert "learned.0.module.factor" in dict(learner.solver.named_parameters())
    surrogate, _ = learner(tasks)
    surrogate.backward()
    # By finite differences.
    factor, ends = learner.solver.transforms[0].module.factor, []
    for shift in (1e-5, -1e-5):
        with torch.no_grad():
            factor += shift
        ends.append(learner(tasks)[1].mean().item())
        with torch.no_grad():
            factor -= shift
    torch.testing.assert_close(factor.grad.item(), (ends[0] - ends[1]) / 2e-5, rtol=1e-7, atol=0)
    assert "Doubling()" in str(learner)


def test_a_solved_task_gives_an_ordinary_network():
    learner, tasks = maml(sine_model(), 0.05, 3), sine_tasks(4)
    adapted = learner.adapt(tasks.support, 7)
    net = learner.network(tasks.support, task=2, steps=7)
    assert type(net) is type(learner.model.net)
    torch.testing.assert_close(
        net(tasks.query.x[2]), adapted.predict(adapted.phi, tasks.query.x)[2], rtol=0, atol=1e-14
    )
    before = [p.clone() for p in learner.model.theta]
    with torch.no_grad():
        for weight in net.parameters():
            weight.zero_()
    assert all(torch.equal(now, then) for now, then in zip(learner.model.theta, before, strict=True))


def test_a_network_of_a_task_that_is_not_there_or_that_predicts_by_a_kernel_is_refused():
    tasks = sine_tasks(4)
    with pytest.raises(ValueError, match=r"task: expected the number of one of the 4 tasks, from 0, got 4"):
        maml(sine_model(), 0.05, 1).network(tasks.support, task=4)
    with pytest.raises(ValueError, match="solver: expected one that predicts by the network alone, got KernelRidge"):
        ALGORITHMS["ntk-ridge"](sine_model()).network(tasks.support)


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16])
def test_a_solved_task_gives_a_network_of_16_bits(kind):
    learner, tasks = maml(Model(mlp(8, 64, 64, 10, seed=0).to(kind), mse_loss), 0.1, 3), torch.randn(3, 50, 8)
    support = Data(tasks, torch.zeros(3, 50, 10))
    adapted, nets = learner.adapt(support), [learner.network(support, task=task) for task in range(3)]
    alone = torch.stack([net(x) for net, x in zip(nets, tasks.to(kind), strict=True)])
    torch.testing.assert_close(alone, adapted.predict(adapted.phi, tasks.to(kind)), rtol=0.1, atol=0.1)


def test_a_solved_task_gives_a_network_where_precision_is_chosen_for_each_operation():
    learner, tasks = maml(Model(mlp(1, 8, 1, seed=0), mse_loss), 0.01, 2), sine_tasks(4)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert learner.network(tasks.support)[0].weight.dtype == torch.float32


def test_a_task_that_has_not_been_solved_gives_no_network():
    with pytest.raises(ValueError, match=r"^support: expected a task that can be solved.*infinite.*alpha"):
        maml(sine_model(), 1e200, 5).network(sine_tasks(4).support)


def test_a_network_that_cannot_be_copied_is_refused():
    model = sine_model()
    model.net.lock = threading.Lock()
    with pytest.raises(TypeError, match=r"^net: expected a network that copy.deepcopy can copy.*keep learner.adapt"):
        maml(model, 0.05, 1).network(sine_tasks(4).support)


def test_what_a_hook_computes_before_a_call_stays_that_of_the_network():
    net, tasks = mlp(1, 6, 1, seed=0).double(), sine_tasks(4)
    prune.random_unstructured(net[0], "weight", amount=0.5)
    before = net[0].weight
    learner = maml(Model(net, mse_loss), 0.05, 2)
    learner.meta_gradient(tasks)
    assert net[0].weight is before
    alone = learner.network(tasks.support, task=1)
    adapted = learner.adapt(tasks.support)
    expected = adapted.predict(adapted.phi, tasks.query.x)[1]
    torch.testing.assert_close(alone(tasks.query.x[1]), expected, rtol=0, atol=1e-14)
    assert torch.equal(alone[0].weight == 0, alone[0].weight_mask == 0)
