"""What a meta-gradient costs: the counts against hand counts, and against what the table says."""

import inspect

import pytest
import torch
from torch.nn.functional import mse_loss

from battery import model_for, sine_tasks, tasks_for
from mamlbook import ALGORITHMS, Model, Sinusoids, fomaml, joint, keep, linear, maml, mlp, reptile
from mamlbook.algorithms import forward_mode
from mamlbook.analysis.costs import KernelCounter, SavedTensors, cost, peak
from mamlbook.tasks.quadratic import Quadratics, half_squared_error

TASKS, SHOTS, WIDTH = 25, 10, 40
KEEPS_ITERATES = "finite-difference"  # without a graph, so that ``held`` does not see them


def waves():
    return Sinusoids(shots=SHOTS, queries=SHOTS).draw(TASKS, torch.Generator().manual_seed(0))


def sine_model():
    return Model(mlp(1, WIDTH, WIDTH, 1, seed=0), mse_loss)


def sine_network(width):
    return Model(mlp(1, width, width, 1, activation=torch.nn.Tanh, seed=0), mse_loss).double()


def of(build, steps):
    return cost(build(sine_model(), 0.01, steps), waves())


def test_a_gradient_is_counted_by_hand():
    weights = WIDTH + WIDTH * WIDTH + WIDTH  # multiplications for one example, forward
    # Backward, each layer costs two such products, except the first, which need not pass anything on.
    multiplications = TASKS * SHOTS * (weights + 2 * weights - WIDTH)
    assert cost(joint(sine_model()), waves()).operations == 2 * multiplications


def test_the_count_is_the_same_the_second_time():
    assert of(maml, 2) == of(maml, 2)


def of_row(name, steps):
    """The cost of a row, and of one gradient of all tasks, on the network and the tasks that the row needs."""
    model, tasks = model_for(name, width=WIDTH, activation=torch.nn.ReLU), tasks_for(name, tasks=TASKS)
    # What begins with first order is counted once it has gone over to second.
    learner = ALGORITHMS[name].offer(model, alpha=0.01, steps=steps, after=0)
    return cost(learner, tasks), cost(joint(model), tasks)


@pytest.mark.parametrize("name", [name for name, row in ALGORITHMS.items() if row.gradients])
def test_the_table_counts_as_the_machine_does(name):
    """A Hessian-vector product costs two gradients, less the products that backward() never needs."""
    row = ALGORITHMS[name]
    for steps in (1, 3, 6):
        counted, plain = of_row(name, steps)
        said = row.gradients(steps) + 2 * row.products(steps)
        # Reptile runs the network once more, forward, to report the query loss.
        extra = 1 / 3 if name == "reptile" else 0
        assert counted.operations / plain.operations == pytest.approx(said + extra, rel=0.02)


@pytest.mark.parametrize("name", [name for name in ALGORITHMS if name not in ("joint", KEEPS_ITERATES)])
def test_the_table_says_how_memory_grows(name):
    if "steps" not in inspect.signature(ALGORITHMS[name].build).parameters:
        assert ALGORITHMS[name].memory == "no steps"
        return
    held = [of_row(name, steps)[0].held for steps in (2, 4, 6)]
    growth = held[1] - held[0]
    assert {"flat": growth == 0, "grows with S": growth > held[0] / 4}[ALGORITHMS[name].memory]
    assert held[2] - held[1] == growth  # linear


def peak_of_row(name, steps):
    model, tasks = model_for(name, width=WIDTH, activation=torch.nn.ReLU), tasks_for(name, tasks=TASKS)
    return peak(ALGORITHMS[name].offer(model, alpha=0.01, steps=steps), tasks)


@pytest.mark.parametrize(
    ("name", "copies"), [("fomaml", 0), ("imaml", 0), ("imaml-neumann", 0), ("forward-mode", 0), (KEEPS_ITERATES, 1)]
)
def test_at_the_fullest_moment_there_are_so_many_more_copies_of_the_weights_for_each_step(name, copies):
    weights = sum(p.numel() for p in model_for(name, width=WIDTH).theta) * TASKS * 8
    few, many = peak_of_row(name, 3), peak_of_row(name, 7)
    assert many - few == 4 * copies * weights
    assert ALGORITHMS[name].memory == ("grows with S" if copies else "flat")


def test_forward_mode_keeps_a_square_of_numbers():
    tasks, small, large = sine_tasks(3), sine_network(4), sine_network(8)
    counts = [sum(p.numel() for p in model.theta) for model in (small, large)]
    peaks = [peak(forward_mode(model, 0.01, 2), tasks) for model in (small, large)]
    # What grows like P^2 is at least the Jacobian, for each of three tasks, in double precision.
    assert all(fullest > 3 * 8 * count**2 for fullest, count in zip(peaks, counts, strict=True))
    assert peaks[1] / peaks[0] == pytest.approx((counts[1] / counts[0]) ** 2, rel=0.35)


def test_the_peak_of_one_product_is_counted_by_hand():
    bowls = Quadratics([1.0, 2.0], [0.0, 1.0]).all()
    learner = joint(Model(linear([0.5]), half_squared_error))
    assert peak(learner, bowls) == peak(learner, bowls) >= cost(learner, bowls).held


@pytest.mark.parametrize(("part", "layers"), [("head", 1), ("linear2", 2), ("linear1", 3)])
def test_a_step_that_adapts_some_layers_goes_back_only_as_far_as_it_must(part, layers):
    """The first-order gradient, by hand: forward through all, back to the lowest layer that adapts, for its weights."""
    chosen = keep(lambda name: name.startswith(part))
    step = cost(fomaml(sine_model(), 0.01, 2, chosen), waves()).operations
    step -= cost(fomaml(sine_model(), 0.01, 1, chosen), waves()).operations
    sizes = [WIDTH, WIDTH * WIDTH, WIDTH]  # multiplications for one example
    back = sum(sizes[len(sizes) - layers + 1 :]) + sizes[len(sizes) - layers]
    assert step == 2 * TASKS * SHOTS * (sum(sizes) + back)


def test_first_order_methods_hold_no_more_after_many_steps():
    assert of(fomaml, 20).held == of(fomaml, 1).held
    assert of(reptile, 20).held == of(reptile, 1).held


def test_the_weights_and_the_examples_are_not_counted():
    bowls = Quadratics([1.0, 2.0], [0.0, 1.0]).all()
    # One product x theta: what is held is the residual of each task, once.
    held = cost(joint(Model(linear([0.5]), half_squared_error)), bowls).held
    assert 0 < held <= 4 * bowls.support.y.numel() * 8


@pytest.mark.parametrize("retain", [False, True])
def test_a_graph_holds_until_it_is_used_or_let_go(retain):
    model, tasks = sine_model(), waves()
    with SavedTensors() as graphs:
        loss, _ = maml(model, 0.01, 2)(tasks)
    known = (*model.theta, *tasks.support, *tasks.query)
    assert graphs.bytes(*known) == of(maml, 2).held < graphs.bytes()
    torch.autograd.grad(loss, model.theta, retain_graph=retain)
    assert (graphs.bytes() > 0) == retain
    del loss
    assert graphs.bytes() == 0


def test_kernels_are_operations_that_write():
    x, bytes_of_x = torch.ones(4, 6), 4 * 6 * 4
    with KernelCounter() as counted:
        _ = x.T.reshape(24), x.expand(3, 4, 6)[0].detach(), torch.empty(7)  # the first copies
        x.add_(1)
        torch.zeros(5)
    assert counted.total == 3
    assert counted.moved == 2 * bytes_of_x + 2 * bytes_of_x + 5 * 4


def test_of_an_expanded_tensor_the_bytes_that_exist_are_read():
    with KernelCounter() as counted:
        torch.ones(1, 1).expand(10, 10) + torch.zeros(10, 10)
    assert counted.moved == 4 + 400 + (4 + 400 + 400)  # filled, filled, added
