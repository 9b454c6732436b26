"""Each weighting by itself: its limits are in ``limits``, here are its memory, its edges and its errors."""

from functools import partial

import pytest
import torch

from battery import sine_model, sine_tasks
from mamlbook import GradientDescent, MetaLearner, distance, fit, gradient_check
from mamlbook.tasks import WaveCollection
from mamlbook.weighting import (
    AgreementWeights,
    ConflictAverseWeights,
    LearnedWeights,
    RobustWeights,
    SoftmaxWeights,
    UniformWeights,
)
from mamlbook.weighting.gradients import conflict_averse


def learner_with(weighting):
    return MetaLearner(sine_model(), GradientDescent(0.03, 1), weighting=weighting)


def numbered(tasks=5, numbers=None):
    return sine_tasks(tasks)._replace(index=torch.arange(tasks) if numbers is None else torch.tensor(numbers))


def weights_of(weighting, tasks):
    """What the learner multiplies each task's loss by, read from the value of its surrogate, task by task."""
    learner, seen = learner_with(weighting), []
    forward = weighting.forward
    weighting.forward = lambda *given: seen.append(forward(*given)) or seen[-1]
    learner(tasks)
    weighting.forward = forward
    return seen[0].detach()


def test_a_drawn_part_of_the_collection_counts_as_much_as_it_is_rare():
    weighting = RobustWeights(20, rate=0.1).double()
    tasks = numbered(5, [3, 0, 19, 7, 8])
    torch.testing.assert_close(weights_of(weighting, tasks), torch.full((5,), 0.2, dtype=torch.float64))
    with torch.no_grad():
        weighting.logits[7] += 1
    assert torch.equal(weights_of(weighting, tasks), 20 / 5 * weighting.p[tasks.index])


def test_the_other_player_moves_once_for_each_outer_step_and_by_the_losses():
    weighting = RobustWeights(20, rate=0.1).double()
    learner, tasks = learner_with(weighting), numbered(5, [3, 0, 19, 7, 8])
    learner.advance()  # nothing has been seen yet
    assert weighting.p.unique().numel() == 1
    losses = learner(tasks)[1]
    learner(tasks)  # looked at twice, stepped once
    learner.advance()
    learner.advance()
    expected = torch.zeros(20, dtype=torch.float64)
    expected[tasks.index] = 0.1 * 4 * losses
    torch.testing.assert_close(weighting.p, torch.softmax(expected, 0))


def test_learned_weights_go_to_one_over_the_loss():
    """Joint training of nothing but s, theta held: after many steps w_i L_i is 1."""
    learner = learner_with(LearnedWeights(5))
    tasks = numbered()
    losses = learner(tasks)[1]
    optimizer = torch.optim.Adam([learner.weighting.s], lr=0.05)
    for _ in range(400):
        optimizer.zero_grad()
        learner(tasks)[0].backward()
        optimizer.step()
    torch.testing.assert_close(
        torch.exp(-learner.weighting.s).double() * losses, torch.ones(5).double(), atol=1e-3, rtol=0
    )


def test_the_outer_loop_learns_the_noise_levels():
    learner = learner_with(LearnedWeights(25)).float()
    fit(learner, WaveCollection(), steps=5, tasks=10, progress=False)
    assert (learner.weighting.s != 0).any()


def test_a_perfect_task_does_no_harm():
    """A loss of exactly 0 pulls its noise level down without bound, one finite step at a time."""
    weighting = LearnedWeights(2)
    surrogates = torch.tensor([0.0, 2.0], requires_grad=True)
    batch = type("P", (), {"index": torch.arange(2)})
    (weighting(surrogates, batch) * surrogates).sum().backward()
    assert torch.isfinite(weighting.s.grad).all()
    assert torch.isfinite(surrogates.grad).all()


def test_two_opposed_tasks_by_hand():
    """The best d = g_0 + c |g_0| u over all unit vectors u of the plane, found by search."""
    gradients = torch.tensor([[1.0, 0.0], [-0.5, 0.5]], dtype=torch.float64)
    mean = gradients.mean(0)
    for c in (0.2, 0.5, 0.9):
        d = conflict_averse(gradients @ gradients.T, c) @ gradients
        angles = torch.linspace(0, 2 * torch.pi, 100_001, dtype=torch.float64)
        around = mean + c * mean.norm() * torch.stack([angles.cos(), angles.sin()], 1)
        best = (around @ gradients.T).min(1).values.max()
        assert (gradients @ d).min().item() == pytest.approx(best.item(), abs=1e-4)


@pytest.mark.parametrize(
    "gradients", [[[1.0, 0.0], [-1.0, 0.0]], [[0.0, 0.0], [0.0, 0.0]], [[1.0, 2.0], [1.0, 2.0]], [[3.0, 1.0]]]
)
def test_degenerate_conflicts_stay_finite(gradients):
    g = torch.tensor(gradients, dtype=torch.float64)
    weights = conflict_averse(g @ g.T, 0.5)
    assert torch.isfinite(weights).all()
    assert (weights >= 0).all()
    torch.testing.assert_close((weights @ g) @ g.mean(0), 1.5 * g.mean(0).square().sum(), atol=1e-9, rtol=1e-6)


def test_the_scale_of_the_gradients_does_not_matter():
    g = torch.randn(6, 9, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    torch.testing.assert_close(conflict_averse(g @ g.T, 0.4), conflict_averse(1e8 * g @ g.T, 0.4))


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: SoftmaxWeights(0), "temperature: expected"),
        (lambda: AgreementWeights(-1), "temperature: expected"),
        (lambda: RobustWeights(5, 0), "rate: expected"),
        (lambda: RobustWeights(0, 1), "tasks: expected"),
        (lambda: LearnedWeights(2.5), "tasks: expected"),
        (lambda: ConflictAverseWeights(-0.1), "c: expected"),
        (lambda: ConflictAverseWeights(0.1, steps=0), "steps: expected"),
    ],
)
def test_errors(build, message):
    with pytest.raises(ValueError, match=message):
        build()


@pytest.mark.parametrize("weighting", [RobustWeights(5, 0.1), LearnedWeights(5)])
@pytest.mark.parametrize("numbers", [[-1, -1], [0, 5]])
def test_tasks_without_a_number_are_refused(weighting, numbers):
    with pytest.raises(RuntimeError, match="finite collection"):
        learner_with(weighting)(numbered(2, numbers))


def test_they_print():
    shown = [
        repr(w)
        for w in (
            SoftmaxWeights(2),
            RobustWeights(5, 0.1),
            LearnedWeights(5),
            AgreementWeights(0.5),
            ConflictAverseWeights(0.4),
            UniformWeights(),
        )
    ]
    assert shown == [
        "SoftmaxWeights(temperature=2)",
        "RobustWeights(tasks=5, rate=0.1)",
        "LearnedWeights(tasks=5)",
        "AgreementWeights(temperature=0.5)",
        "ConflictAverseWeights(c=0.4, steps=100)",
        "UniformWeights()",
    ]


@pytest.mark.parametrize(
    ("weights", "got"),
    [
        (lambda s, batch: torch.full((len(s), 1), 1 / len(s)), r"\(5, 1\)"),
        (lambda s, batch: torch.full((1,), 1 / len(s)), r"\(1,\)"),
        (lambda s, batch: [1 / len(s)] * len(s), "list"),
        (lambda s, batch: None, "NoneType"),
    ],
    ids=["column", "one", "list", "nothing"],
)
def test_what_broadcasts_is_no_weight(weights, got):
    learner = MetaLearner(sine_model(), GradientDescent(0.01, 1), weighting=weights)
    for use in (learner.meta_gradient, lambda tasks: gradient_check(learner.model.theta, learner, tasks)):
        with pytest.raises(ValueError, match=rf"^weighting: expected a tensor.*\(5,\), got {got} from FunctionWeights"):
            use(sine_tasks())


def test_any_function_may_weigh():
    def powers(surrogates, batch, base):
        return base ** torch.arange(len(surrogates), dtype=surrogates.dtype)

    tasks, solver = sine_tasks(), GradientDescent(0.01, 1)
    found = MetaLearner(sine_model(), solver, weighting=partial(powers, base=0.5)).meta_gradient(tasks)
    alone = [MetaLearner(sine_model(), solver).meta_gradient(tasks.pick([b])) for b in range(5)]
    assert distance(found, [sum(0.5**b * g for b, g in enumerate(each)) for each in zip(*alone, strict=True)]) < 1e-14
