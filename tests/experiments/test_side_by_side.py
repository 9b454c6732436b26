"""Seeds trained side by side are seeds trained alone, by the package's own loop."""

import torch
from torch.nn.functional import mse_loss

from experiments.side_by_side import draw, meta_train
from mamlbook import Exact, GradientDescent, MetaLearner, Model, Sinusoids, distance, fit, mlp

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
