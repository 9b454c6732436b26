"""The experiment that keeps the starts of whole trainings: what it keeps and measures, and the stored starts again."""

import itertools
import json
import math

import pytest
import torch
from torch.func import functional_call, grad, hessian
from torch.nn.functional import mse_loss

from experiments import through_training as experiment
from mamlbook import Sinusoids, fit
from mamlbook.pages import recall, recall_weights
from mamlbook.stored import load_theta

CPU = torch.device("cpu")
SMALL = "--seeds 2 --iterations 6 --starts 4 --tasks 8 --betas 0.001 0.01 --execution eager"


def test_the_command_follows_every_method_once(tmp_path, capsys):
    words = [*SMALL.split(), "--results", str(tmp_path)]
    experiment.main(words)
    assert str(tmp_path / "through-training-joint.json") in capsys.readouterr().out
    for method in experiment.METHODS:
        stored = json.loads((tmp_path / f"through-training-{method}.json").read_text())
        starts = len(stored["at"])
        assert stored["at"][-1] == 6
        assert stored["waves"] == 8
        assert f"{stored['beta']:g}" in stored["search"]
        assert [len(rows) for rows in stored["search"].values()] == [2, 2]
        for quantity, length in (("loss", 11), ("curvature", None), ("agreement", None)):
            rows = stored["runs"][quantity]
            assert [len(row) for row in rows] == [starts] * 2
            assert length is None or {len(start) for row in rows for start in row} == {length}
        assert len(recall_weights(f"through-training-{method}", folder=tmp_path)) == 6 * starts
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    experiment.main(words)
    assert "through-training-maml: is there already" in capsys.readouterr().out
    assert before == {path: path.read_bytes() for path in tmp_path.iterdir()}


@pytest.mark.parametrize("iterations", [5, 100, 2000])
def test_meta_steps_are_spaced_by_their_logarithm(iterations):
    at = experiment.spaced(iterations, 20)
    assert (at[0], at[-1]) == (0, iterations)
    assert at == sorted(set(at))
    share = math.log1p(iterations) / 19
    for one, other in itertools.pairwise(at):
        assert other - one == 1 or math.log((1 + other) / (1 + one)) == pytest.approx(share, rel=0.6)


@pytest.mark.parametrize("method", experiment.METHODS)
def test_the_starts_are_those_of_trainings_that_end_there(method):
    wanted = [(0.01, 3), (0.001, 1)]
    kept = experiment.follow(method, wanted, [0, 2, 5], CPU, "eager")
    for (beta, seed), starts in zip(wanted, kept, strict=True):
        for theta, steps in zip(starts, (0, 2, 5), strict=True):
            alone = experiment.untrained(method, seed)
            if steps:
                waves = Sinusoids(shots=10, queries=10)
                fit(alone, waves, steps=steps, tasks=25, beta=beta, seed=seed, progress=False)
            for one, other in zip(theta, alone.model.theta, strict=True):
                torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_a_lost_seed_rules_a_rate_out():
    search = {"0.001": [1.0, 1.2], "0.01": [0.1, None], "0.003": [0.9, 1.1]}
    assert experiment.chosen(search) == "0.003"


def test_what_is_measured_is_what_the_whole_hessian_says():
    waves = experiment.test_waves("test", 3)
    net = experiment.untrained("maml", 1).model.double().net
    theta = torch.nn.utils.parameters_to_vector(net.parameters()).detach()
    names, sizes = zip(*((name, p.shape) for name, p in net.named_parameters()), strict=True)

    def loss(vector, x, y):
        parts = vector.split([size.numel() for size in sizes])
        phi = {name: part.view(size) for name, part, size in zip(names, parts, sizes, strict=True)}
        return mse_loss(functional_call(net, phi, x), y)

    curvatures, products, lengths, ends = [], [], [], []
    for xs, ys, xq, yq in zip(*waves.support.to(torch.float64), *waves.query.to(torch.float64), strict=True):
        g, other = grad(loss)(theta, xs, ys), grad(loss)(theta, xq, yq)
        curvatures.append(0.01 * g @ hessian(loss)(theta, xs, ys) @ g / (g @ g))
        products.append(g @ other)
        lengths.append((g @ g + other @ other) / 2)
        phi, losses = theta, []
        for _ in range(11):
            losses.append(loss(phi, xq, yq))
            phi = phi - 0.01 * grad(loss)(phi, xs, ys)
        ends.append(torch.stack(losses))
    found = experiment.measure(experiment.untrained("maml", 1).model, waves)
    assert found["curvature"] == pytest.approx(sum(curvatures).item() / 3, rel=1e-4)
    assert found["agreement"] == pytest.approx((sum(products) / sum(lengths)).item(), rel=1e-4)
    assert found["loss"] == pytest.approx((sum(ends) / 3).tolist(), rel=1e-4)


# ---- what is stored --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", experiment.METHODS)
def test_what_is_stored_is_whole(method):
    stored = recall(f"through-training-{method}")
    assert stored["at"] == experiment.spaced(experiment.ITERATIONS, experiment.STARTS)
    assert stored["seeds"] == list(range(experiment.SEEDS))
    assert stored["training"]["configuration"] == str(experiment.untrained(method, 0))
    assert stored["search"].keys() == {f"{beta:g}" for beta in experiment.BETAS}
    assert experiment.chosen(stored["search"]) == f"{stored['beta']:g}"
    assert len(stored["runs"]["loss"]) == experiment.SEEDS


@pytest.mark.parametrize("method", experiment.METHODS)
def test_the_stored_starts_have_what_is_stored_of_them(method):
    stored, weights = recall(f"through-training-{method}"), recall_weights(f"through-training-{method}")
    model, waves = experiment.untrained(method, 0).model, experiment.test_waves("test", experiment.TEST_TASKS)
    for n in (0, len(stored["at"]) // 2, len(stored["at"]) - 1):
        load_theta(model.net, weights[6 * n : 6 * n + 6])
        found = experiment.measure(model, waves)
        for quantity, rows in stored["runs"].items():
            assert found[quantity] == pytest.approx(rows[0][n], rel=1e-2), (quantity, stored["at"][n])


@pytest.mark.parametrize("method", experiment.METHODS)
def test_the_beginning_of_a_stored_training_is_trained_again(method):
    stored = recall(f"through-training-{method}")
    at = [step for step in stored["at"] if step <= 9]
    (kept,) = experiment.follow(method, [(stored["beta"], 4)], at, CPU, "eager")
    model, waves = experiment.untrained(method, 0).model, experiment.test_waves("test", experiment.TEST_TASKS)
    for theta, n in ((kept[-1], len(at) - 1), (kept[0], 0)):
        load_theta(model.net, theta)
        found = experiment.measure(model, waves)
        for quantity, rows in stored["runs"].items():
            assert found[quantity] == pytest.approx(rows[4][n], rel=5e-3), quantity
