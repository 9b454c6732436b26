"""Seeds trained side by side are seeds trained alone, by the package's own loop."""

import torch
from torch.nn.functional import mse_loss

from experiments.side_by_side import OwnRates, draw, meta_train
from mamlbook import GradientDescent, MetaLearner, Model, Sinusoids, distance, fit, mlp
from mamlbook.metagradient import Exact
from mamlbook.tasks.distribution import FixedTasks

WAVES = Sinusoids(shots=5)


def model(seed):
    return Model(mlp(1, 6, 1, activation=torch.nn.Tanh, seed=seed), mse_loss).double()


def test_tasks_of_the_seeds_follow_one_another():
    generators = [torch.Generator().manual_seed(seed) for seed in (4, 7)]
    both = draw(WAVES, 3, generators)
    alone = WAVES.draw(3, torch.Generator().manual_seed(7))
    assert torch.equal(both.query.y[3:], alone.query.y)
    assert both.index.tolist() == [-1] * 6


def test_two_seeds_end_where_fit_takes_each_of_them():
    models, solver = [model(0), model(1)], GradientDescent(0.05, 2)
    options = {"tasks": 3, "beta": lambda step: 0.01 / (1 + step)}
    losses = meta_train(models, solver, Exact(), WAVES, iterations=6, **options)
    assert losses.shape == (2, 6)
    for seed, trained in enumerate(models):
        learner = MetaLearner(model(seed), GradientDescent(0.05, 2), Exact())
        history = fit(learner, WAVES, steps=6, seed=seed, **options)
        assert distance(trained.theta, learner.model.theta) < 1e-12
        assert distance([losses[seed]], [torch.tensor(history.losses, dtype=torch.float64)]) < 1e-12


def test_seeds_and_rates_of_ones_own_end_where_fit_takes_each_of_them():
    models, solver, seeds, betas = [model(4), model(7)], GradientDescent(0.05, 1), (4, 7), (0.01, 0.1)
    rates = [lambda step, beta=beta: beta / (1 + step) for beta in betas]
    meta_train(models, solver, Exact(), WAVES, iterations=4, tasks=3, beta=rates, seeds=seeds)
    for seed, rate, trained in zip(seeds, rates, models, strict=True):
        learner = MetaLearner(model(seed), solver, Exact())
        fit(learner, WAVES, steps=4, seed=seed, tasks=3, beta=rate)
        assert distance(trained.theta, learner.model.theta) < 1e-12


def test_each_training_has_its_own_outer_rate():
    betas, tasks = (0.01, 0.1), WAVES.draw(3, torch.Generator().manual_seed(0)).to(torch.float64)
    outer = OwnRates([model(0), model(1)], betas, tasks=3)
    assert [len(weight) for weight in outer.start()] == [6] * 4
    for _ in range(3):
        theta = tuple(weight.requires_grad_() for weight in outer.start())
        x, y = (torch.cat([part, part]) for part in tasks.query)
        outer.step(torch.autograd.grad(model(0).losses(model(0)(theta, x), y).sum(), theta))
    for seed, beta in enumerate(betas):
        learner = MetaLearner(model(seed), GradientDescent(0.05, 0), Exact())
        fit(learner, FixedTasks(tasks), steps=3, tasks=3, beta=beta)
        found = [weight[3 * seed] for weight in outer.start()]
        assert distance(found, learner.model.theta) < 1e-12
