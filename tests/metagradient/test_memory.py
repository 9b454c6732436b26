"""The memory of MOML against plain loops, what it is good for, and its errors."""

import pytest
import torch

from battery import sine_model, sine_tasks
from mamlbook import GradientDescent, MetaLearner, Model, Tasks, distance, fit, linear
from mamlbook.metagradient import MOML, Exact, LocalMOML
from mamlbook.numerics import expand_over_tasks
from mamlbook.tasks import Data, Quadratics, WaveCollection, half_squared_error


def moml(rate=0.3, *, tasks=6, everyone=False, model=None):
    model = sine_model() if model is None else model
    return MetaLearner(model, GradientDescent(0.03, 1), MOML(model, tasks, rate, everyone=everyone))


def numbered(numbers, seed=0):
    return sine_tasks(len(numbers), seed)._replace(index=torch.tensor(numbers))


@pytest.mark.parametrize("everyone", [False, True])
def test_memory_and_direction_by_plain_loops(everyone):
    """Scalar bowls, where phi = theta - alpha a (theta - c): the update of the paper's code, task by task."""
    a, c, alpha, rate, beta = [1.0, 3.0, 0.5], [0.0, 1.0, -2.0], 0.1, 0.3, 0.2
    model = Model(linear([0.7]), half_squared_error)
    learner = MetaLearner(model, GradientDescent(alpha, 1), MOML(model, 3, rate, everyone=everyone))
    bowls, theta, u = Quadratics(a, c).all(), 0.7, [None] * 3
    for drawn in ([0, 1], [1, 2], [2, 1], [0, 2]):
        step, new = 0.0, list(u)
        if everyone:
            new = [None if v is None else (1 - rate) * v + rate * theta for v in u]
        for i in drawn:
            phi = theta - alpha * a[i] * (theta - c[i])
            if u[i] is None:
                new[i] = phi
            elif everyone:
                new[i] = (1 - rate) * u[i] + rate * theta + rate * 3 / 2 * (phi - theta)
            else:
                new[i] = (1 - rate) * u[i] + rate * phi
            step += (1 - alpha * a[i]) * a[i] * (new[i] - c[i]) / 2
        u = new
        got = learner.meta_gradient(bowls.pick(drawn))[0]
        assert got.item() == pytest.approx(step, abs=1e-14)
        with torch.no_grad():
            model.theta[0].sub_(beta * got)
        learner.advance()
        theta -= beta * step
        remembered = learner.metagradient.memory[0].flatten().tolist()
        assert [m for m, v in zip(remembered, u, strict=True) if v is not None] == pytest.approx(
            [v for v in u if v is not None], abs=1e-14
        )


def test_only_an_outer_step_writes_the_memory_and_only_once():
    learner = moml()
    learner.advance()
    learner(numbered([4, 1]))
    assert not learner.metagradient.met.any()
    learner.advance()
    assert learner.metagradient.met.nonzero().flatten().tolist() == [1, 4]
    before = [u.clone() for u in learner.metagradient.memory]
    learner.advance()
    assert distance(before, learner.metagradient.memory) == 0


def test_a_checkpoint_remembers():
    learner, copy = moml(), moml()
    for seed in range(3):
        learner(numbered([0, 3, 5], seed))
        learner.advance()
    copy.load_state_dict(learner.state_dict())
    tasks = numbered([3, 4, 0], seed=9)
    assert distance(learner.meta_gradient(tasks), copy.meta_gradient(tasks)) == 0


def quartic(y_hat, y):
    return ((y_hat - y) ** 4).mean() / 4


def square(y_hat, y):
    return ((y_hat - y) ** 2).mean() / 2


def one_sample_mean(loss, theta=1.2, alpha=0.1, spread=1.0):
    """The mean of the meta-gradient on one support and all query targets y = +-1, and that on both support targets."""
    model = Model(linear([theta]), loss)
    learner = MetaLearner(model, GradientDescent(alpha, 1), Exact())
    y = torch.tensor([[[spread], [-spread]]], dtype=torch.float64)
    both = Data(torch.ones_like(y), y)
    exact = learner.meta_gradient(Tasks(both, both, torch.tensor([-1])))[0].item()
    one = Data(torch.ones(2, 1, 1, dtype=torch.float64), y.mT.reshape(2, 1, 1))
    query = both.pick([0, 0])
    return learner.meta_gradient(Tasks(one, query, torch.tensor([-1, -1])))[0].item(), exact


def test_a_small_support_set_biases_the_meta_gradient_unless_the_loss_is_quadratic():
    single, exact = one_sample_mean(square)
    assert single == pytest.approx(exact, abs=1e-14)
    single, exact = one_sample_mean(quartic)
    assert abs(single - exact) > 0.1 * abs(exact)


def test_memory_takes_the_mean_over_support_sets():
    """At a theta that rests, the variance of u is rate / (2 - rate) times that of one solution."""
    rate, rounds = 0.1, 300
    model = Model(linear([0.7]), half_squared_error)
    learner = MetaLearner(model, GradientDescent(0.5, 1), MOML(model, 400, rate))
    generator = torch.Generator().manual_seed(0)
    for _ in range(rounds):
        y = torch.randn(400, 1, 1, dtype=torch.float64, generator=generator)
        data = Data(torch.ones_like(y), y)
        learner(Tasks(data, data, torch.arange(400)))
        learner.advance()
    # phi = theta / 2 + y / 2: a variance of 1/4.
    variance = learner.metagradient.memory[0].var().item()
    assert variance == pytest.approx(0.25 * rate / (2 - rate), rel=0.25)


def test_it_trains_on_a_collection():
    model = sine_model()
    learner = MetaLearner(model, GradientDescent(0.01, 1), MOML(model, 25, 0.5))
    history = fit(learner, WaveCollection(shots=5), steps=3, tasks=3, progress=False)
    assert len(history.losses) == 3
    assert 3 <= learner.metagradient.met.sum() <= 9


def test_local_steps_cut_the_examples_and_report_the_query_loss():
    model, tasks = sine_model(), sine_tasks()
    local = MetaLearner(model, GradientDescent(0.03, 2), LocalMOML(3, 0.01, 0.5))
    exact = MetaLearner(model, GradientDescent(0.03, 2))
    torch.testing.assert_close(local(tasks)[1], exact(tasks)[1])
    with pytest.raises(ValueError, match="at least 11 examples"):
        MetaLearner(model, GradientDescent(0.03, 2), LocalMOML(11, 0.01, 0.5))(tasks)


def test_a_round_is_the_mean_of_the_clients():
    """One server step of rate beta lands on the mean of the clients' own weights, whatever their memory."""
    beta, alpha, rate = 0.1, 0.03, 0.4
    model, tasks = sine_model(), sine_tasks(tasks=3)
    learner = MetaLearner(model, GradientDescent(alpha, 1), LocalMOML(2, beta, rate))
    landed = [t - beta * g for t, g in zip(model.theta, learner.meta_gradient(tasks), strict=True)]
    ends = []
    for b in range(3):
        w, u = expand_over_tasks(model.theta, 1), None
        for part in (slice(0, 5), slice(5, 10)):
            (x, y), (xq, yq) = ((d.x[b : b + 1, part], d.y[b : b + 1, part]) for d in tasks[:2])
            w = [t.detach().requires_grad_() for t in w]
            g = torch.autograd.grad(((model(tuple(w), x) - y) ** 2).mean(), w, create_graph=True)
            phi = [t - alpha * d for t, d in zip(w, g, strict=True)]
            u = [p.detach() if u is None else (1 - rate) * u[i] + rate * p.detach() for i, p in enumerate(phi)]
            v = [t.requires_grad_() for t in u]
            at_u = torch.autograd.grad(((model(tuple(v), xq) - yq) ** 2).mean(), v)
            u = [t.detach() for t in u]
            back = torch.autograd.grad(phi, w, at_u)
            w = [t - beta * d for t, d in zip(w, back, strict=True)]
        ends.append([t[0].detach() for t in w])
    assert distance(landed, [torch.stack(parts).mean(0) for parts in zip(*ends, strict=True)]) < 1e-12


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: moml(rate=0), "rate: expected"),
        (lambda: moml(rate=1.5), "rate: expected"),
        (lambda: moml(tasks=0), "tasks: expected"),
        (lambda: LocalMOML(0, 0.1, 0.5), "local_steps: expected"),
        (lambda: LocalMOML(1, 0.0, 0.5), "beta: expected"),
        (lambda: LocalMOML(1, 0.1, 0.0), "rate: expected"),
    ],
)
def test_errors(build, message):
    with pytest.raises(ValueError, match=message):
        build()


@pytest.mark.parametrize("numbers", [[-1, -1], [0, 6]])
def test_tasks_without_a_number_are_refused(numbers):
    with pytest.raises(RuntimeError, match="finite collection"):
        moml()(numbered(numbers))
