"""The batched inner loop against the canonical one of higher, task by task."""

import copy
from functools import partial

import higher
import pytest
import torch
from torch.nn.functional import cross_entropy, mse_loss

from battery import sine_model, sine_tasks
from mamlbook import (
    ALL,
    Data,
    GradientDescent,
    MetaLearner,
    Model,
    Sinusoids,
    Tasks,
    conv4,
    distance,
    keep,
    maml,
    mlp,
    without_norms,
)

RULES = {
    "sgd": torch.optim.SGD,
    "momentum": partial(torch.optim.SGD, momentum=0.9),
    "nesterov": partial(torch.optim.SGD, momentum=0.9, nesterov=True, weight_decay=0.01),
    "adam": torch.optim.Adam,
}


def waves(tasks=4, seed=0):
    return Sinusoids(shots=6, queries=7).draw(tasks, torch.Generator().manual_seed(seed)).to(torch.float64)


def pictures(tasks=3, ways=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    y = torch.arange(ways).repeat(tasks, 1)
    x = [torch.rand(tasks, ways, 1, 16, 16, dtype=torch.float64, generator=generator) for _ in range(2)]
    return Tasks(Data(x[0], y), Data(x[1], y), torch.full((tasks,), -1))


def canonical(net, loss, rule, alpha, steps, tasks):
    """The meta-gradient as higher's own example computes it: a Python loop over tasks, mean of query losses."""
    gradients = [torch.zeros_like(p) for p in net.parameters()]
    count = len(tasks.support.x)
    for b in range(count):
        optimizer = rule(net.parameters(), lr=alpha)
        with higher.innerloop_ctx(net, optimizer, copy_initial_weights=False) as (fnet, diffopt):
            for _ in range(steps):
                diffopt.step(loss(fnet(tasks.support.x[b]), tasks.support.y[b]))
            query = loss(fnet(tasks.query.x[b]), tasks.query.y[b]) / count
            for total, part in zip(gradients, torch.autograd.grad(query, list(net.parameters())), strict=True):
                total += part
    return gradients


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES.keys())
@pytest.mark.parametrize("steps", [1, 3])
def test_all_tasks_at_once_equals_the_canonical_loop(rule, steps):
    net, tasks = mlp(1, 8, 8, 1, activation=torch.nn.Tanh).double(), waves()
    learner = MetaLearner(Model(net, mse_loss), GradientDescent(0.05, steps, rule=rule))
    assert distance(learner.meta_gradient(tasks), canonical(net, mse_loss, rule, 0.05, steps, tasks)) < 1e-10


@pytest.mark.parametrize("pooling", ["stride", "max"])
def test_convolutions_with_batch_norm_equal_the_canonical_loop(pooling):
    net, tasks = conv4(3, filters=4, size=16, pooling=pooling).double(), pictures()
    learner = maml(Model(net, cross_entropy), 0.2, 2)
    expected = canonical(net, cross_entropy, torch.optim.SGD, 0.2, 2, tasks)
    assert distance(learner.meta_gradient(tasks), expected) < 1e-10


def test_path_yields_every_solution_from_theta_on():
    model, tasks = Model(mlp(1, 5, 1).double(), mse_loss), waves()
    solver = GradientDescent(0.1, 3)
    path = list(solver.path(model, tasks.support, unroll=0))
    assert len(path) == 4
    assert all(torch.equal(p[0], t) for p, t in zip(path[0].phi, model.theta, strict=True))
    last = solver(model, tasks.support, unroll=0)
    assert distance(path[-1].phi, last.phi) == 0
    losses = [adapted.inner(model.theta, adapted.phi).mean().item() for adapted in path]
    assert losses == sorted(losses, reverse=True)


def test_steps_can_be_overridden_and_the_path_leaves_the_gradient_mode_alone():
    model, tasks = Model(mlp(1, 5, 1).double(), mse_loss), waves()
    with torch.no_grad():
        path = GradientDescent(0.1, 1).path(model, tasks.support, unroll=0, steps=4)
        modes = [torch.is_grad_enabled() for _ in path]
    assert modes == [False] * 5


def test_without_unroll_nothing_points_back_to_theta():
    model, tasks = Model(mlp(1, 5, 1).double(), mse_loss), waves()
    solver = GradientDescent(0.1, 2)
    assert all(p.grad_fn is None for p in solver(model, tasks.support, unroll=0).phi)
    assert all(p.grad_fn is not None for p in solver(model, tasks.support, unroll=ALL).phi)


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES.keys())
def test_keep_leaves_the_rest_bit_identical(rule):
    model, tasks = Model(mlp(1, 5, 5, 1), mse_loss), Sinusoids().draw(3, torch.Generator().manual_seed(0))
    solver = GradientDescent(0.1, 2, keep(lambda name: name.startswith("head")), rule=rule)
    for unroll in (ALL, 0):
        phi = solver(model, tasks.support, unroll=unroll).phi
        for name, adapted, start in zip(model.names, phi, model.theta, strict=True):
            moved = not torch.equal(adapted, start.expand_as(adapted))
            assert moved == name.startswith("head"), name


def test_frozen_weights_still_learn_in_the_outer_loop():
    model, tasks = Model(mlp(1, 5, 5, 1).double(), mse_loss), waves()
    gradients = maml(model, 0.1, 2, keep(lambda name: name.startswith("head"))).meta_gradient(tasks)
    assert all(g.abs().max() > 0 for g in gradients)


def test_weights_are_everything_but_the_gains_and_offsets_of_batch_norm():
    model = Model(conv4(3, filters=2, size=16), cross_entropy)
    assert [name for name in model.names if name not in without_norms.choose(model)] == [
        f"block{number}.norm.{part}" for number in range(1, 5) for part in ("gain", "offset")
    ]


def test_transforms_act_left_to_right_with_names_and_step():
    seen = []

    def first(gradients, place):
        seen.append((place.names, place.step))
        return [None for _ in gradients]

    def second(gradients, place):
        assert all(g is None for g in gradients)
        return gradients

    model = Model(mlp(1, 3, 1).double(), mse_loss)
    GradientDescent(0.1, 2, first, second)(model, waves().support, unroll=0)
    assert seen == [(model.names, 0), (model.names, 1)]


@pytest.mark.parametrize("alpha", [-0.1, float("nan"), float("inf")])
def test_bad_alpha(alpha):
    with pytest.raises(ValueError, match="alpha: expected a finite inner rate"):
        GradientDescent(alpha, 1)


@pytest.mark.parametrize("steps", [-1, 1.5, True])
def test_bad_steps(steps):
    with pytest.raises(ValueError, match="steps: expected a whole number"):
        GradientDescent(0.1, steps)


def test_a_rule_that_maximises_is_refused():
    with pytest.raises(ValueError, match="ignores maximize"):
        GradientDescent(0.1, 1, rule=partial(torch.optim.SGD, maximize=True))


@pytest.mark.parametrize("name", ["sgd", "momentum", "adam"])
def test_rule_is_in_the_configuration(name):
    assert {"sgd": "SGD", "momentum": "momentum=0.9", "adam": "Adam"}[name] in str(
        GradientDescent(0.1, 1, rule=RULES[name])
    )


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES.keys())
@pytest.mark.parametrize("last", [1, 2, 4])
def test_the_last_steps_alone_can_be_unrolled(rule, last):
    """By a plain loop: the first steps without a graph, their end shifted along with theta, the rest with a graph."""
    model, tasks = Model(mlp(1, 6, 1, activation=torch.nn.Tanh).double(), mse_loss), waves()
    solver = GradientDescent(0.05, 4, rule=rule)
    whole = solver(model, tasks.support, unroll=ALL).phi
    phi = solver(model, tasks.support, unroll=last).phi
    assert distance(whole, phi) < 1e-14
    if rule is not torch.optim.SGD:  # the rule's own state makes the plain loop longer
        return
    theta = [t.expand(4, *t.shape) for t in model.theta]
    with torch.no_grad():
        first = GradientDescent(0.05, 4 - last)(model, tasks.support, unroll=0)
        shift = [p - t for p, t in zip(first.phi, theta, strict=True)]
    plain = tuple(t + s for t, s in zip(theta, shift, strict=True))
    for _ in range(last):
        loss = model.losses(model(plain, tasks.support.x), tasks.support.y).sum()
        gradients = torch.autograd.grad(loss, plain, create_graph=True)
        plain = tuple(p - 0.05 * g for p, g in zip(plain, gradients, strict=True))
    query = [model.losses(model(p, tasks.query.x), tasks.query.y).sum() for p in (phi, plain)]
    assert distance(*(torch.autograd.grad(q, model.theta) for q in query)) < 1e-13


def test_the_pull_ends_where_the_gradient_balances_it():
    model, tasks = Model(mlp(1, 5, 1, activation=torch.nn.Tanh).double(), mse_loss), waves()
    adapted = GradientDescent(0.05, 3000, lam=2.0)(model, tasks.support, unroll=0)
    loss = model.losses(model(adapted.phi, tasks.support.x), tasks.support.y).sum()
    gradients = torch.autograd.grad(loss, adapted.phi)
    pulls = [2.0 * (t - p) for t, p in zip(adapted.start, adapted.phi, strict=True)]
    assert distance(gradients, pulls) < 1e-10
    away = sum(((p - t) ** 2).flatten(1).sum(1) for p, t in zip(adapted.phi, adapted.start, strict=True))
    losses = model.losses(model(adapted.phi, tasks.support.x), tasks.support.y)
    assert distance([adapted.inner(adapted.start, adapted.phi)], [losses + away]) < 1e-14


@pytest.mark.parametrize("lam", [-1.0, float("nan")])
def test_bad_lam(lam):
    with pytest.raises(ValueError, match="lam: expected a finite strength"):
        GradientDescent(0.1, 1, lam=lam)


def test_steps_can_begin_elsewhere_and_theta_feels_it():
    def half(model, support, theta):
        return tuple(t / 2 for t in theta)

    model, tasks = Model(mlp(1, 5, 1).double(), mse_loss), waves()
    solver = GradientDescent(0.1, 2, start=half)
    halved = Model(mlp(1, 5, 1).double(), mse_loss)
    with torch.no_grad():
        for t in halved.theta:
            t /= 2
    assert (
        distance(
            solver(model, tasks.support, unroll=0).phi, GradientDescent(0.1, 2)(halved, tasks.support, unroll=0).phi
        )
        == 0
    )
    at_half = maml(halved, 0.1, 2).meta_gradient(tasks)
    assert distance(MetaLearner(model, solver).meta_gradient(tasks), [g / 2 for g in at_half]) < 1e-14
    assert "start=half" in str(solver)


def test_another_support_loss():
    def absolute(y_hat, y):
        return (y_hat - y).abs().mean((1, 2))

    model, tasks = Model(mlp(1, 5, 1).double(), mse_loss), waves()
    phi = GradientDescent(0.1, 1, loss=absolute)(model, tasks.support, unroll=0).phi
    theta = tuple(t.expand(4, *t.shape) for t in model.theta)
    gradients = torch.autograd.grad(absolute(model(theta, tasks.support.x), tasks.support.y).sum(), theta)
    assert distance(phi, [t - 0.1 * g for t, g in zip(theta, gradients, strict=True)]) < 1e-15


@pytest.mark.parametrize("loss", ["squared", "entropy"])
def test_the_curvature_that_a_transform_is_told(loss):
    """v^T G v by the whole Jacobian and the Hessian of the loss in the predictions, and lam more with a pull."""
    squared = loss == "squared"
    model = Model(mlp(1 if squared else 2, 4, 1 if squared else 3).double(), mse_loss if squared else cross_entropy)
    support = waves(2).support if squared else Data(torch.randn(2, 5, 2).double(), torch.randint(3, (2, 5)))
    told = []

    def loss_of(y, out):
        return model.loss(out, y)

    def listen(gradients, place):
        told.append((gradients, place.curvature(tuple(gradients))))
        return gradients

    GradientDescent(0.1, 1, listen, lam=0.7)(model, support, unroll=0)
    ((gradients, curvature),) = told
    for b in range(2):
        x, y = support.x[b : b + 1], support.y[b]
        theta = tuple(t[None] for t in model.theta)
        jacobian = torch.autograd.functional.jacobian(lambda *p, x=x: model(p, x)[0], theta)
        hessian = torch.autograd.functional.hessian(partial(loss_of, y), model(theta, x)[0].detach())
        size = hessian.shape[0] * hessian.shape[1]
        flat = torch.cat([j.reshape(size, -1) for j in jacobian], 1)
        v = torch.cat([g[b].flatten() for g in gradients])
        slope = flat @ v
        expected = slope @ hessian.reshape(size, size) @ slope + 0.7 * v @ v
        torch.testing.assert_close(curvature[b], expected, rtol=1e-10, atol=0)


@pytest.mark.parametrize(
    "loss", [mse_loss, lambda y_hat, y: (y_hat - y).square(), lambda y_hat, y: 1.0], ids=["mean", "entries", "number"]
)
def test_a_support_loss_is_one_number_per_task(loss):
    one = MetaLearner(sine_model(), GradientDescent(0.01, 1, loss=loss))
    with pytest.raises(ValueError, match=r"^loss: expected one number per task, shape \(5,\), got"):
        one.meta_gradient(sine_tasks())


def test_adam_that_shrinks_the_weights_by_themselves():
    """``Adam(decoupled_weight_decay=True)`` is AdamW, whose steps torch takes here."""
    rule = partial(torch.optim.Adam, weight_decay=0.3, decoupled_weight_decay=True)
    model, (support, *_) = sine_model(), sine_tasks()
    phi = GradientDescent(0.1, 3, rule=rule)(model, support, unroll=0).phi
    for b in range(5):
        net = copy.deepcopy(model.net)
        optimizer = rule(net.parameters(), lr=0.1)
        for _ in range(3):
            optimizer.zero_grad()
            mse_loss(net(support.x[b]), support.y[b]).backward()
            optimizer.step()
        assert distance([p[b] for p in phi], list(net.parameters())) < 1e-14


def test_what_a_rule_would_do_and_its_twin_would_not():
    def hooked(weights, lr):
        optimizer = torch.optim.SGD(weights, lr=lr)
        optimizer.register_step_pre_hook(lambda *_: torch.nn.utils.clip_grad_norm_(weights, 1.0))
        return optimizer

    def grouped(weights, lr):
        return torch.optim.SGD([{"params": weights[:2], "lr": 0.5}, {"params": weights[2:]}], lr=lr)

    for rule, alpha, said in (
        (partial(torch.optim.SGD, lr=0.5), 0.01, "whose rate is alpha, 0.01, got .*lr=0.5.* leave lr out"),
        (hooked, 0.01, "higher ignores hooks on its steps"),
        (lambda weights, lr: torch.optim.SGD([{"params": weights, "maximize": True}], lr=lr), 0.01, "maximize=True"),
        (grouped, torch.nn.Parameter(torch.tensor(0.1)), "a learned alpha takes the place of the rates of all groups"),
    ):
        with pytest.raises(ValueError, match=f"^rule: expected an optimiser.*{said}"):
            GradientDescent(alpha, 2, rule=rule)
    assert GradientDescent(0.01, 2, rule=grouped)
