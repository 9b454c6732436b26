"""When the inner gradients begin to be differentiated: the switch, its state, its price, and what it refuses."""

import pytest
import torch
from torch.nn.functional import mse_loss

from battery import sine_model, sine_tasks
from mamlbook import Model, Sinusoids, distance, fit, fomaml, maml, mlp
from mamlbook.algorithms import annealed, maml_plus_plus
from mamlbook.analysis.costs import cost
from mamlbook.inner import DerivativeAnnealing, LearnedRates


def test_the_solution_itself_is_not_touched():
    tasks = sine_tasks()
    expected = maml(sine_model(), 0.03, 3).adapt(tasks.support).phi
    assert distance(annealed(sine_model(), 0.03, 3, after=5).adapt(tasks.support).phi, expected) == 0


def test_until_the_switch_it_does_the_arithmetic_of_fomaml_and_its_memory_is_flat():
    def of(build, steps, **options):
        return cost(build(sine_model(), 0.03, steps, **options), sine_tasks())

    assert of(annealed, 3, after=1).operations == of(fomaml, 3).operations
    assert of(annealed, 9, after=1).held == of(annealed, 3, after=1).held
    assert of(annealed, 3, after=0) == of(maml, 3)


def test_rates_are_learned_while_the_order_is_first():
    # phi = theta - alpha s sg(g): its derivative in s is exact, -alpha g.
    model, tasks = sine_model(), sine_tasks()
    found = []
    for before in ((DerivativeAnnealing(9),), ()):
        rates = LearnedRates(model)
        learner = maml(model, 0.03, 1, *before, rates)
        found.append(torch.autograd.grad(learner(tasks)[0], list(rates.rates)))
    assert distance(*found) < 1e-14
    assert max(g.abs().max() for g in found[0]) > 1e-4


@pytest.mark.parametrize("build", [annealed, maml_plus_plus])
def test_a_checkpoint_resumes_on_its_side_of_the_switch(tmp_path, build):
    def learner():
        schedule = {"anneal": 8} if build is maml_plus_plus else {}
        return build(Model(mlp(1, 8, 1), mse_loss), steps=2, after=5, **schedule)

    options = {"tasks": 3, "every": 1, "checkpoint": tmp_path / "run.pt"}
    waves, whole = Sinusoids(shots=5), learner()
    fit(whole, waves, steps=10, tasks=3)
    for stop in (3, 7, 10):  # before the switch, after it, to the end
        part = learner()
        fit(part, waves, steps=stop, resume=stop > 3, **options)
    assert distance([*part.parameters()], [*whole.parameters()]) == 0
    states = [{k: v for k, v in one.state_dict().items() if "done" in k or "extra" in k} for one in (part, whole)]
    assert [v.item() for v in states[0].values()] == [10] * len(states[0])
    assert states[0].keys() == states[1].keys()


@pytest.mark.parametrize("after", [-1, 1.5, True])
def test_a_switch_that_is_no_meta_step_is_refused(after):
    with pytest.raises(ValueError, match="after: expected a whole number of meta-steps of at least 0"):
        DerivativeAnnealing(after)
