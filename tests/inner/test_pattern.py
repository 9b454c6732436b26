"""Masks over steps and layers: the named algorithms that are patterns, and what a pattern refuses."""

from itertools import pairwise

import pytest
import torch
from torch.nn.functional import cross_entropy

from battery import sine_model, sine_tasks
from mamlbook import ALL, Model, conv4, distance, linear, maml
from mamlbook.algorithms import anil, boil
from mamlbook.inner import LambdaPattern, layers
from mamlbook.tasks.quadratic import half_squared_error


@pytest.mark.parametrize(("row", "build"), [("111", maml), ("001", anil), ("110", boil)])
def test_maml_anil_and_boil_are_patterns(row, build):
    model, tasks = sine_model(), sine_tasks()
    masked, named = maml(model, 0.1, 3, LambdaPattern(model, row)), build(model, 0.1, 3)
    assert distance(masked.meta_gradient(tasks), named.meta_gradient(tasks)) == 0
    assert distance(masked.adapt(tasks.support).phi, named.adapt(tasks.support).phi) == 0


def test_each_step_moves_the_layers_of_its_row_and_later_ones_repeat_the_last():
    model, tasks = sine_model(), sine_tasks()
    rows = ("101", "010", "001")
    solver = maml(model, 0.1, 5, LambdaPattern(model, *rows)).solver
    for unroll in (0, ALL):
        path = [adapted.phi for adapted in solver.path(model, tasks.support, unroll=unroll)]
        for step, (before, after) in enumerate(pairwise(path)):
            moved = "".join(str(int(not torch.equal(before[i], after[i]))) for i in (0, 2, 4))
            assert moved == rows[min(step, 2)]


def test_a_layer_that_waits_is_differentiated_where_it_stands():
    # After a step of the head, the body's gradient is that at phi: not the total derivative, which would also count
    # how the head's step depended on the body.
    model, tasks = sine_model(), sine_tasks()
    got = maml(model, 0.1, 2, LambdaPattern(model, "001", "110")).adapt(tasks.support).phi
    phi = tuple(t.detach().expand(5, *t.shape).clone().requires_grad_() for t in model.theta)
    for moves in ((4, 5), (0, 1, 2, 3)):
        loss = model.losses(model(phi, tasks.support.x), tasks.support.y).sum()
        g = torch.autograd.grad(loss, phi)
        phi = tuple((p - 0.1 * g[i] * (i in moves)).detach().requires_grad_() for i, p in enumerate(phi))
    assert distance(got, phi) < 1e-14


def test_layers_are_named_from_the_input_to_the_head():
    assert layers(sine_model()) == ("linear1", "linear2", "head")
    assert layers(Model(conv4(3, filters=2, size=16), cross_entropy))[:3] == (
        "block1.conv",
        "block1.norm",
        "block2.conv",
    )
    assert layers(Model(linear([0.0]), half_squared_error)) == ("weight",)


def test_what_is_wrong_is_named():
    model = sine_model()
    with pytest.raises(ValueError, match="rows: expected at least one"):
        LambdaPattern(model)
    for row in ("01", "0111", "0a1", ["head"]):
        with pytest.raises(
            ValueError, match="rows: expected strings of 3 signs, 1 or 0 for each of linear1, linear2, head"
        ):
            LambdaPattern(model, "111", row)


def test_it_prints_its_rows():
    assert repr(LambdaPattern(sine_model(), "111", "001")) == "LambdaPattern(111 001)"
