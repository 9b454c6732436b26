"""Several learners trained at once: each as it would have been by itself."""

import pytest
import torch
from torch.nn.functional import mse_loss

from battery import distribution_for, model_for, sine_model
from mamlbook import (
    ALGORITHMS,
    Exact,
    GradientDescent,
    MetaLearner,
    Model,
    Sinusoids,
    distance,
    fit,
    fit_replicas,
    maml,
    mlp,
)
from mamlbook.tasks.families import DriftingTasks
from mamlbook.training import NonFiniteLoss

SEEDS = (3, 4, 9)


def learners(name="maml", **options):
    row = ALGORITHMS[name]
    return [row.offer(model_for(name, seed=seed), alpha=0.03, steps=2, **options) for seed in range(len(SEEDS))]


def alone(made, distribution, **options):
    """What each learner's own training gives, from where the global generator is."""
    histories = []
    for learner, seed in zip(made, SEEDS, strict=True):
        with torch.random.fork_rng():
            histories.append(fit(learner, distribution, seed=seed, **options))
    return histories


def require_same(one, other, histories, own):
    for a, b in zip(histories, own, strict=True):
        assert a.losses == pytest.approx(b.losses, rel=1e-8)
    for a, b in zip(one, other, strict=True):
        assert distance(a.learned, b.learned) < 1e-8
        assert a.meta_steps == b.meta_steps


# Memories, a schedule, learned rates and weights, noise, a start of its own, a closed form.
TELLING = {
    *("maml", "reptile", "anil", "annealed", "meta-sgd", "robust", "learned-weights"),
    *("dropgrad", "moml", "protomaml", "kernel-ridge"),
}


@pytest.mark.parametrize(
    "name", [name if name in TELLING else pytest.param(name, marks=pytest.mark.slow) for name in ALGORITHMS]
)
def test_each_replica_is_its_own_training(name):
    one, other, options = learners(name), learners(name), {"steps": 4, "tasks": 5, "every": 3}
    torch.manual_seed(1)
    own = alone(other, distribution_for(name), **options)
    histories = fit_replicas(one, distribution_for(name), seeds=SEEDS, **options)
    require_same(one, other, histories, own)


def test_compiled_they_are_the_same():
    one, other, options = learners(), learners(), {"steps": 4, "tasks": 5}
    own = alone(other, Sinusoids(), **options)
    histories = fit_replicas(one, Sinusoids(), seeds=SEEDS, execution="compiled", **options)
    require_same(one, other, histories, own)
    assert histories[0].execution.compiled


def test_rates_of_their_own():
    one, other, betas = learners(), learners(), [1e-3, lambda step: 1e-2 / (1 + step), 0.0]
    histories = fit_replicas(one, Sinusoids(), steps=5, tasks=5, seeds=SEEDS, beta=betas, optimizer=torch.optim.SGD)
    for learner, history, seed, beta in zip(other, histories, SEEDS, betas, strict=True):
        own = fit(learner, Sinusoids(), steps=5, tasks=5, seed=seed, beta=beta, optimizer=torch.optim.SGD)
        assert history.losses == pytest.approx(own.losses, rel=1e-10)


def test_noise_of_their_own():
    one, other = learners("dropgrad"), learners("dropgrad")
    histories = fit_replicas(one, Sinusoids(), steps=4, tasks=5, seeds=SEEDS, noise=SEEDS)
    own = []
    for learner, seed in zip(other, SEEDS, strict=True):
        torch.manual_seed(seed)
        own.append(fit(learner, Sinusoids(), steps=4, tasks=5, seed=seed))
    require_same(one, other, histories, own)


def test_they_go_on_where_they_ended():
    one, other, waves = learners("maml"), learners("maml"), Sinusoids()
    first = fit_replicas(one, waves, steps=3, tasks=5, seeds=SEEDS, beta=[1e-3, 1e-2, 1e-1])
    histories = fit_replicas(one, waves, steps=2, tasks=5, seeds=SEEDS, beta=[1e-3, 1e-2, 1e-1], after=first)
    own = [
        fit(learner, waves, steps=5, tasks=5, seed=seed, beta=beta)
        for learner, seed, beta in zip(other, SEEDS, (1e-3, 1e-2, 1e-1), strict=True)
    ]
    require_same(one, other, histories, own)


def test_whoever_goes_on_keeps_step():
    made, waves = learners("maml"), Sinusoids()
    histories = [fit(learner, waves, steps=1 + place, tasks=5) for place, learner in enumerate(made)]
    with pytest.raises(ValueError, match="after: expected histories of equally many meta-steps"):
        fit_replicas(made, waves, steps=2, tasks=5, after=histories)
    drifting = DriftingTasks(lambda t: Sinusoids())
    with pytest.raises(ValueError, match="distribution: expected one that drawing does not change"):
        fit_replicas(made[:1], drifting, steps=2, tasks=5, after=histories[:1])


def test_tasks_that_drift_drift_for_each():
    drift = lambda: DriftingTasks(lambda t: Sinusoids(phase=(0.0, 0.1 * t)))  # noqa: E731
    one, other = learners(), learners()
    own = [fit(learner, drift(), steps=4, tasks=5, seed=seed) for learner, seed in zip(other, SEEDS, strict=True)]
    require_same(one, other, fit_replicas(one, drift(), steps=4, tasks=5, seeds=SEEDS), own)


def test_who_diverges_is_left_behind_and_the_others_go_on():
    one, other = learners(), learners()
    betas = [1e-3, 1e300, 1e-3]
    histories = fit_replicas(one, Sinusoids(), steps=8, tasks=5, every=2, seeds=SEEDS, beta=betas)
    assert isinstance(histories[1].error, NonFiniteLoss)
    assert len(histories[1].losses) < 8
    for number in (0, 2):
        own = fit(other[number], Sinusoids(), steps=8, tasks=5, seed=SEEDS[number])
        assert histories[number].error is None
        assert histories[number].losses == pytest.approx(own.losses, rel=1e-10)


def test_afterwards_each_has_weights_of_its_own_and_goes_on_alone():
    one, other = learners(), learners()
    histories = fit_replicas(one, Sinusoids(), steps=4, tasks=5, seeds=SEEDS)
    assert all(p.untyped_storage().nbytes() == p.nbytes for learner in one for p in learner.parameters())
    fit(one[1], Sinusoids(), steps=3, tasks=5, seed=SEEDS[1], after=histories[1])
    fit(other[1], Sinusoids(), steps=7, tasks=5, seed=SEEDS[1])
    assert distance(one[1].learned, other[1].learned) < 1e-10


def test_learners_of_two_kinds_are_refused():
    with pytest.raises(ValueError, match=r"^learners: expected learners of one kind, .* number 1 differs"):
        fit_replicas([maml(sine_model(), 0.03, 1), maml(sine_model(), 0.03, 2)], Sinusoids(), steps=1)
    one = maml(sine_model(), 0.03, 1)
    with pytest.raises(ValueError, match=r"^learners: .* weights of their own, got some that share them; copy them"):
        fit_replicas([one, one], Sinusoids(), steps=1)


def test_a_hidden_difference_is_found_out():
    def learner(scale):
        net = torch.nn.Sequential(*mlp(1, 8, 1).children())
        return maml(Model(net, lambda y_hat, y: scale * mse_loss(y_hat, y)).double(), 0.03, 1)

    with pytest.raises(ValueError, match=r"differ in weights and buffers only, but number 1 computes another"):
        fit_replicas([learner(1.0), learner(1.5)], Sinusoids(), steps=1)


def test_a_meta_gradient_that_hangs_on_last_digits_is_no_hidden_difference():
    """Twenty steps at a rate so large that single precision leaves of some meta-gradient not even the first digit."""
    made = [maml(sine_model(seed=seed).float(), alpha=0.1, steps=20) for seed in range(3)]
    histories = fit_replicas(made, Sinusoids(), steps=1, progress=False)
    assert [len(history.losses) for history in histories] == [1, 1, 1]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seeds": [1]}, r"^seeds: expected one for each of 3 learners, got 1"),
        ({"noise": [1]}, r"^noise: expected one for each of 3 learners, got 1"),
        ({"beta": [1e-3]}, r"^beta: expected one for each of 3 learners, got 1"),
        ({"execution": "auto"}, r"^execution: expected 'eager' or 'compiled' for replicas, got 'auto'"),
        ({"steps": 0}, r"^steps: "),
        ({"seeds": [1, 2, -3]}, r"^seeds: "),
    ],
)
def test_arguments_that_cannot_do(changes, message):
    with pytest.raises(ValueError, match=message):
        fit_replicas(learners(), Sinusoids(), **{"steps": 2, "tasks": 2, **changes})


@pytest.mark.parametrize("given", [[], maml(sine_model(), 0.03, 1), [3]])
def test_what_are_no_learners_is_refused(given):
    with pytest.raises(TypeError, match=r"^learners?: expected "):
        fit_replicas(given, Sinusoids(), steps=1)


def test_a_weight_in_a_part_is_a_replicas_own():
    """A learned inner rate is a parameter, and may differ from the start."""

    def learner(rate):
        alpha = torch.nn.Parameter(torch.tensor(rate, dtype=torch.float64))
        made = MetaLearner(sine_model(), GradientDescent(alpha, 2), Exact())
        made.solver.register_parameter("rate", alpha)
        return made

    one, other = ([learner(rate) for rate in (0.01, 0.03, 0.05)] for _ in range(2))
    own = alone(other, Sinusoids(), steps=3, tasks=5)
    require_same(one, other, fit_replicas(one, Sinusoids(), steps=3, tasks=5, seeds=SEEDS), own)
