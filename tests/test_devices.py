"""What runs on the CPU runs on a GPU: the same numbers, nothing left behind, no wait within a meta-step."""

import copy
import functools
import itertools

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy, mse_loss

from battery import Blobs
from devices import DEVICES, never_waiting, on
from mamlbook import (
    MOML,
    Execution,
    FixedTasks,
    GradientDescent,
    LinearRegression,
    MetaLearner,
    Model,
    Quadratics,
    Recurrent,
    RobustWeights,
    Sinusoids,
    Tasks,
    WaveCollection,
    accuracy,
    batches_by_size,
    check_tasks,
    confidence,
    conv4,
    cost,
    distance,
    evaluate,
    fit,
    fit_replicas,
    glyphs,
    gradient_check,
    half_squared_error,
    linear,
    maml,
    meta_sgd,
    mlp,
)
from mamlbook.analysis import (
    change,
    largest_curvature,
    linear_cka,
    measure,
    meta_gradients,
    search,
    task_gradients,
)
from mamlbook.devices import drawn_on_cpu, noise_kept, pick_device, random_states, sent, set_random_states
from mamlbook.execution.choice import Executor
from mamlbook.pages import figures
from mamlbook.tasks import (
    DriftingTasks,
    Episodes,
    Lines,
    Mixture,
    SquareWaves,
    class_split,
    glyph_split,
)
from mamlbook.tasks.features import OwnFeatures, SharedFeatures
from mamlbook.torch_internals import tree_leaves
from mamlbook.training.drive import Drive
from training_cases import WAVES, learner, with_dropout

every_device = pytest.mark.parametrize("device", DEVICES)


def double(seed=0):
    return learner(seed=seed).double()


def classifier():
    return maml(Model(mlp(2, 8, 3, seed=0), cross_entropy), 0.1, 2)


def drawn(distribution=WAVES, tasks=3):
    return distribution.draw(tasks, torch.Generator().manual_seed(0))


# ---------------------------------------------------------------- devices by name


@pytest.mark.parametrize("device", ["gpu0", "cuda:99", "graphics", 2.5])
def test_an_unknown_device_is_refused(device):
    with pytest.raises(ValueError, match=f"device: expected 'auto', .* got '{device}'"):
        pick_device(device)


def test_the_automatic_device_is_the_gpu_if_there_is_one():
    assert pick_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")


@every_device
def test_a_device_may_be_named_or_numbered(device):
    for name in (device, f"{device}:0", torch.device(device), torch.device(device, 0), 0):
        trained = learner()
        fit(trained, WAVES, steps=1, tasks=2, device=name)
        assert on(device, trained.parameters())


# ---------------------------------------------------------------- copies and noise


@every_device
@pytest.mark.parametrize("dtype", [None, torch.float64])
def test_what_is_sent_is_there_without_a_wait_and_comes_back_with_one(device, dtype):
    x = torch.linspace(0, 1, 5)
    with never_waiting(device):
        gone = sent(x, torch.device(device), dtype)
    wanted = x.to(dtype, copy=True)
    x.zero_()  # as a distribution may that reuses its memory
    assert on(device, [gone])
    assert torch.equal(sent(gone, torch.device("cpu")), wanted)


@every_device
def test_the_generators_of_all_devices_are_kept_and_put_back(device):
    def numbers():
        return torch.cat([torch.rand(2), torch.rand(2, device=device).cpu()])

    states = random_states()
    assert len(states) >= 2
    with noise_kept():
        first = numbers()
    with noise_kept():
        torch.manual_seed(5)
        numbers()
    assert torch.equal(first, numbers())
    set_random_states([*states[:1], torch.zeros(3, dtype=torch.uint8)])  # as those of another kind of GPU
    assert torch.equal(random_states()[0], states[0])
    assert not torch.equal(random_states()[1], states[1])
    set_random_states(states)
    assert all(map(torch.equal, states, random_states()))


@every_device
def test_a_seed_for_a_network_leaves_the_noise_of_the_device_alone(device):
    before = random_states()
    networks = [mlp(1, 4, 1, seed=3), Recurrent(1, 4, 1, seed=3), conv4(ways=3, size=16, seed=3)]
    with drawn_on_cpu(3):
        torch.rand(1)
    assert all(map(torch.equal, before, random_states()))
    assert distance(list(networks[0].parameters()), list(mlp(1, 4, 1, seed=3).parameters())) == 0


# ---------------------------------------------------------------- training and evaluation


@every_device
def test_training_sees_the_same_tasks(device):
    on_cpu, there = double(), double()
    losses = fit(on_cpu, WAVES, steps=20, tasks=3, every=7).losses
    assert fit(there, WAVES, steps=20, tasks=3, every=7, device=device).losses == pytest.approx(losses, rel=1e-9)
    assert on(device, there.parameters())
    assert distance([p.cpu() for p in there.parameters()], list(on_cpu.parameters())) < 1e-9


@every_device
@pytest.mark.parametrize("made", [learner, classifier, with_dropout])
def test_a_meta_step_never_waits_for_the_device(device, made, monkeypatch):
    step, steps = Drive._step, itertools.count()

    def watched(drive, compute):
        if next(steps) == 0:
            return step(drive, compute)  # what is loaded late, is loaded now
        with never_waiting(device):
            return step(drive, compute)

    monkeypatch.setattr(Drive, "_step", watched)
    trained, distribution = made(), Blobs() if made is classifier else WAVES
    fit(trained, distribution, steps=4, tasks=3, device=device, execution="eager")
    assert next(steps) == 4
    assert on(device, trained.parameters())


DISTRIBUTIONS = {
    "waves": WAVES,
    "square waves": SquareWaves(shots=5, queries=5),
    "lines": Lines(shots=5, queries=5),
    "a mixture": Mixture([WAVES, SquareWaves(shots=5, queries=5)]),
    "a collection": WaveCollection(shots=5, queries=5),
    "always the same": FixedTasks(drawn()),
    "drifting": DriftingTasks(lambda step: Lines(shots=5, queries=5, slope=(0.0, 1.0 + step))),
}


@every_device
@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_tasks_are_drawn_on_the_cpu_and_evaluated_there(name, device):
    one, there = double(), double().to(device)
    options = {"tasks": 4, "steps": 3, "metric": lambda y_hat, y: (y_hat - y).abs().mean()}
    found = evaluate(there, copy.deepcopy(DISTRIBUTIONS[name]), **options)
    assert found.device.type == "cpu"
    wanted = evaluate(one, copy.deepcopy(DISTRIBUTIONS[name]), **options)
    torch.testing.assert_close(found, wanted, rtol=1e-9, atol=0)


@every_device
def test_linear_tasks_in_double_precision(device):
    for tasks in (drawn(Quadratics([1.0, 3.0], [0.0, 1.0]), 2), drawn(LinearRegression(1, shots=4, queries=4))):
        one, there = (maml(Model(linear([0.5]), half_squared_error), 0.1, 2) for _ in range(2))
        got = there.to(device).meta_gradient(tasks)
        assert on(device, got)
        assert distance([g.cpu() for g in got], one.meta_gradient(tasks)) < 1e-12


@every_device
def test_pictures_may_lie_on_the_cpu_or_on_the_device(device):
    pool = glyphs()[:12]
    options = {"ways": 3, "shots": 1, "queries": 2, "rotate": True}
    networks = [conv4(ways=3, filters=4, size=28, seed=0).double() for _ in range(2)]
    one, there = (maml(Model(network, cross_entropy), 0.1, 1) for network in networks)
    here, moved = Episodes(pool, **options), Episodes(pool.to(device), **options)
    assert torch.equal(drawn(here).query.x, drawn(moved).query.x.cpu())
    assert on(device, (drawn(moved).support.x, drawn(moved).query.y, drawn(moved).index))
    wanted = evaluate(one, here, tasks=2, metric=accuracy)
    for episodes in (here, moved):
        torch.testing.assert_close(evaluate(there.to(device), episodes, tasks=2, metric=accuracy), wanted)


@every_device
def test_tasks_of_two_sizes(device):
    tasks = batches_by_size([*task_by_task(drawn()), *task_by_task(drawn(Sinusoids(shots=3, queries=5)))])
    got = double().to(device).meta_gradient(tasks)
    assert on(device, got)
    assert distance([g.cpu() for g in got], double().meta_gradient(tasks)) < 1e-12


def task_by_task(tasks):
    return [((tasks.support.x[b], tasks.support.y[b]), (tasks.query.x[b], tasks.query.y[b])) for b in range(tasks.size)]


@every_device
def test_a_run_goes_on_on_another_device(device, tmp_path):
    whole = fit(double(), WAVES, steps=12, tasks=3, every=4).losses
    for first, second in ((device, None), ("cpu", device), (device, device)):
        path = tmp_path / f"{first}-{second}.pt"
        fit(double(), WAVES, steps=8, tasks=3, every=4, device=first, checkpoint=path)
        resumed = double()
        history = fit(resumed, WAVES, steps=12, tasks=3, every=4, device=second, checkpoint=path, resume=True)
        assert history.losses == pytest.approx(whole, rel=1e-9)
        assert on(second or "cpu", resumed.parameters())


@every_device
def test_a_run_with_noise_is_the_same_whole_and_in_two_parts(device, tmp_path):
    def run(steps, **options):
        return fit(with_dropout(), WAVES, steps=steps, tasks=3, every=2, device=device, **options).losses

    torch.manual_seed(1)
    whole = run(6)
    torch.manual_seed(1)
    run(4, checkpoint=tmp_path / "run.pt")
    torch.manual_seed(2)
    assert run(6, checkpoint=tmp_path / "run.pt", resume=True) == whole


@every_device
def test_replicas_are_what_each_learner_is_by_itself(device):
    here, there = ([made(seed) for seed in range(2)] for made in (double, double))
    wanted = fit_replicas(here, WAVES, steps=5, tasks=3)
    got = fit_replicas(there, WAVES, steps=5, tasks=3, device=device)
    for one, other, a, b in zip(wanted, got, here, there, strict=True):
        assert one.losses == pytest.approx(other.losses, rel=1e-9)
        assert on(device, b.parameters())
        assert distance(list(a.parameters()), [p.cpu() for p in b.parameters()]) < 1e-9


@every_device
def test_replicas_with_noise_draw_what_each_would_by_itself(device):
    replicas = fit_replicas([with_dropout(), with_dropout()], WAVES, steps=3, tasks=2, noise=[4, 5], device=device)
    for seed, (history, noise) in enumerate(zip(replicas, (4, 5), strict=True)):
        torch.manual_seed(noise)
        alone = fit(with_dropout(), WAVES, steps=3, tasks=2, seed=seed, device=device, execution="eager")
        assert history.losses == pytest.approx(alone.losses, rel=1e-4)


@every_device
def test_a_few_tasks_at_a_time_are_all_tasks(device):
    tasks, there = drawn(tasks=4), double().to(device)
    gradients, losses = Executor(there, Execution(tasks=2), 3)(tasks)
    wanted, wanted_losses = double().gradients(tasks)
    assert on(device, (*gradients, losses))
    assert distance([g.cpu() for g in (*gradients, losses)], [*wanted, wanted_losses]) < 1e-12


@every_device
def test_the_fastest_way_is_found_there_as_well(device, monkeypatch, tmp_path):
    monkeypatch.setenv("MAMLBOOK_CACHE", str(tmp_path))
    monkeypatch.setattr("mamlbook.execution.choice.WORTH_MEASURING", 0.0)
    there, tasks, said = double().to(device), drawn(tasks=5).to(device).to(torch.float64), []
    executor = Executor(there, None, 10, say=said.append)
    for _ in range(3):
        gradients, _ = executor(tasks)
    assert executor.execution is not None
    assert said
    assert distance([g.cpu() for g in gradients], double().meta_gradient(tasks.to("cpu"))) < 1e-12


# ---------------------------------------------------------------- analysis


@every_device
def test_what_looks_at_a_learner_takes_tasks_from_the_cpu(device):
    one, there, tasks = double(), double().to(device), drawn()

    def both(look):
        found, wanted = look(there), look(one)
        torch.testing.assert_close(found.cpu(), wanted, rtol=1e-6, atol=1e-12)

    exact = tasks.to(torch.float64)
    both(lambda learner: meta_gradients(learner, exact))
    both(lambda learner: torch.cat([g.flatten(1) for g in task_gradients(learner.model, exact.support)], 1))
    both(lambda learner: largest_curvature(learner.model, exact.support, iterations=5))
    both(lambda learner: change(learner, exact, linear_cka)["head"])
    both(lambda learner: confidence(evaluate(learner, WAVES, tasks=3)).mean)
    assert measure(there, ("11",), exact).loss == pytest.approx(measure(one, ("11",), exact).loss, rel=1e-9)
    assert cost(there, exact) == cost(one, exact), "what is sent is no part of what the graph holds"
    verdicts = [gradient_check(learner.meta_gradient(exact), learner, exact).verdict for learner in (one, there)]
    assert verdicts[0] == verdicts[1] == "MAML"
    assert str(check_tasks(WAVES, learner=there)) == str(check_tasks(WAVES, learner=one))


@every_device
@pytest.mark.parametrize("figure", [figures.adaptation, functools.partial(figures.fits, shots=(2, 5))])
def test_figures_draw_what_a_learner_there_does(figure, device):
    drawings = [figure(learner, Sinusoids(shots=5), seed=0) for learner in (double().to(device), double())]
    there, here = ([line.get_ydata() for ax in each.axes for line in ax.lines] for each in drawings)
    for one, other in zip(there, here, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9)


# ---------------------------------------------------------------- another device by default


@pytest.fixture
def by_default(device):
    """Make the device the one on which PyTorch makes tensors, as a reader's notebook may have done."""
    torch.set_default_device(device)
    yield
    torch.set_default_device(None)


class Ramps:
    """Tasks as a reader writes them, who names no device."""

    def draw(self, tasks, generator):
        x = torch.rand(tasks, 10, 1, generator=generator)
        y = torch.arange(tasks)[:, None, None] * x
        return Tasks((x[:, :5], y[:, :5]), (x[:, 5:], y[:, 5:]))


# What makes tensors from a seed, each made where it is called.
SEEDED = {
    "waves": lambda: drawn(),
    "square waves": lambda: drawn(SquareWaves(shots=5)),
    "lines": lambda: drawn(Lines(shots=5)),
    "a mixture": lambda: drawn(Mixture([WAVES, SquareWaves(shots=5, queries=5)])),
    "a collection": lambda: drawn(WaveCollection(shots=5)),
    "bowls": lambda: drawn(Quadratics([1.0, 3.0], [0.0, 1.0]), 2),
    "all bowls": lambda: Quadratics([1.0, 3.0], [0.0, 1.0]).all(),
    "regressions": lambda: drawn(LinearRegression(1)),
    "shared features": lambda: drawn(SharedFeatures()),
    "features of their own": lambda: drawn(OwnFeatures()),
    "letters": lambda: drawn(Episodes(glyphs(drawings=3, seed=8)[:12], ways=3, shots=1, queries=2, rotate=True)),
    "scripts": lambda: [part.looks for part in glyph_split(glyphs())],
    "parts": lambda: [part.images for part in class_split(glyphs()[::40], by_alphabet=True)],
    "a network": lambda: list(mlp(1, 4, 1, seed=3).parameters()),
    "a recurrent network": lambda: list(Recurrent(1, 4, 1, seed=3).parameters()),
    "convolutions": lambda: list(conv4(ways=3, size=16, seed=3).parameters()),
}


@every_device
@pytest.mark.parametrize("name", SEEDED)
def test_a_seed_means_the_same_where_another_device_is_the_default(name, device, by_default):
    found = tree_leaves(SEEDED[name]())
    torch.set_default_device(None)
    wanted = tree_leaves(SEEDED[name]())
    assert on("cpu", found)
    assert all(map(torch.equal, found, wanted))


LOOKS = {
    "fit": lambda: fit(double(), WAVES, steps=5, tasks=3).losses,
    "fit on a reader's tasks": lambda: fit(double(), Ramps(), steps=5, tasks=3).losses,
    "fit_replicas": lambda: [h.losses for h in fit_replicas([double(), double(1)], WAVES, steps=3, tasks=2)],
    "evaluate": lambda: evaluate(double(), Ramps(), tasks=3, steps=2).tolist(),
    "check_tasks": lambda: str(check_tasks(Ramps(), learner=double())),
    "gradient_check": lambda: str(gradient_check(double().meta_gradient(exact()), double(), exact())),
    "largest_curvature": lambda: largest_curvature(double().model, exact().support, iterations=3).tolist(),
    "search": lambda: str(search(double(), Ramps(), [("11",), ("01",)], tasks=3)),
}


def exact():
    return drawn().to(torch.float64)


@every_device
@pytest.mark.parametrize("name", LOOKS)
def test_what_a_learner_does_is_the_same_where_another_device_is_the_default(name, device, by_default):
    found = LOOKS[name]()
    torch.set_default_device(None)
    assert found == LOOKS[name]()


# ---------------------------------------------------------------- two devices


COLLECTION = WaveCollection((1.0, 2.0, 3.0), (0.5,))


class Holding(nn.Module):
    """A network with a constant that no ``to`` moves."""

    def __init__(self):
        super().__init__()
        self.net, self.scale = mlp(1, 4, 1, seed=0), torch.ones(1, 1)

    def forward(self, x):
        return self.net(x * self.scale)


def half_moved(device):
    trained = learner()
    trained.model.net[0].to(device)
    return trained.meta_gradient(drawn())


def solver_left(device):
    trained = meta_sgd(Model(mlp(1, 4, 1, seed=0), mse_loss), 0.01, 1)
    trained.model.to(device)
    return fit(trained, WAVES, steps=1, tasks=2)


def buffer_left(device):
    model = Model(mlp(1, 4, 1, seed=0).to(device), mse_loss)
    return MetaLearner(model, GradientDescent(0.01, 1), weighting=RobustWeights(3, 0.1)).meta_gradient(
        drawn(COLLECTION)
    )


def data_left(device):
    model = learner().to(device).model
    return model(tuple(t[None] for t in model.theta), torch.zeros(1, 5, 1))


def targets_left(device):
    model = learner().to(device).model
    return model.losses(
        model(tuple(t[None] for t in model.theta), torch.zeros(1, 5, 1, device=device)), torch.zeros(1, 5, 1)
    )


def constant_of_the_network(device):
    return maml(Model(Holding(), mse_loss), 0.01, 1).to(device).meta_gradient(drawn())


def constant_of_the_loss(device):
    weights = torch.ones(3)
    trained = maml(Model(mlp(2, 4, 3, seed=0), lambda y_hat, y: cross_entropy(y_hat, y, weight=weights)), 0.01, 1)
    return trained.to(device).meta_gradient(drawn(Blobs()))


@every_device
@pytest.mark.parametrize(
    ("program", "said"),
    [
        (half_moved, "^learner: expected all .* on one device, got .* on .* and .* on .*; move the whole learner"),
        (solver_left, r"^learner: expected all .* and solver\.learned\..* on cpu; move the whole learner"),
        (buffer_left, r"^learner: expected all .* and weighting\.logits on cpu; move the whole learner"),
        (data_left, r"^x: expected tensors on .*:0, where the weights are, got x on cpu; move them"),
        (targets_left, r"^y: expected tensors on .*:0, where the predictions are, got y on cpu; move them"),
        (
            constant_of_the_network,
            "^net: expected .* a tensor that it holds or makes is elsewhere: make it on .*buffer",
        ),
        (constant_of_the_loss, "^loss: expected .* a tensor that it holds or makes is elsewhere: make it on .*buffer"),
    ],
)
def test_two_devices_are_named_in_one_sentence(program, said, device):
    with pytest.raises(ValueError, match=said):
        program(device)


@every_device
def test_a_memory_is_made_where_the_network_is(device):
    model = Model(mlp(1, 4, 1, seed=0).to(device), mse_loss)
    remembers = MetaLearner(model, GradientDescent(0.01, 1), MOML(model, 3, 0.3))
    assert on(device, remembers.meta_gradient(drawn(COLLECTION)))


@every_device
def test_a_constant_that_is_a_buffer_moves_along(device):
    net = Holding()
    scale = net.scale
    del net.scale
    net.register_buffer("scale", scale)
    assert on(device, maml(Model(net, mse_loss), 0.01, 1).to(device).meta_gradient(drawn()))


@every_device
def test_tasks_that_are_there_stay_there(device):
    tasks = drawn().to(device)
    assert on(device, (tasks.support.x, tasks.query.y, tasks.numbers, Tasks(*tasks[:2]).numbers))
    assert on("cpu", learner().meta_gradient(tasks)), "the learner decides where"
