"""The experiment on drawings: its pictures, its search, its command, and what is stored."""

import json

import pytest
import torch
from torch.nn.functional import conv2d, group_norm, linear, relu

from experiments import drawing as experiment
from mamlbook.pages import load_theta, recall, recall_weights
from mamlbook.pages.figures.widgets.drawing import network
from mamlbook.tasks.omniglot_pool import evaluation, omniglot


def test_drawings_are_centred_and_keep_their_ink():
    draws = torch.Generator().manual_seed(0)
    images = torch.zeros(3, 4, 28, 28, dtype=torch.uint8)
    for one in images.view(-1, 28, 28):
        height, width = torch.randint(3, 20, (2,), generator=draws).tolist()
        top, left = (int(torch.randint(0, 28 - side, (1,), generator=draws)) for side in (height, width))
        one[top : top + height, left : left + width] = 200
        one[top, left] = 255
    moved = experiment.centred(images)
    assert moved.shape == images.shape
    assert torch.equal(moved.sum((2, 3)), images.sum((2, 3)))
    for one in moved.view(-1, 28, 28):
        there = (one > experiment.INK).nonzero()
        assert ((there.amin(0) + there.amax(0)) / 2 - 13.5).abs().max() <= 0.5
        assert one[tuple(there.amin(0))] == 255  # the corner is still the corner
    assert torch.equal(experiment.centred(moved), moved)


def test_a_distorted_drawing_is_near_the_drawing():
    images = torch.zeros(1, 50, 28, 28, dtype=torch.uint8)
    images[..., 8:20, 10:12] = 255
    other = experiment.distorted(images)
    assert other.dtype == torch.uint8
    assert not torch.equal(other[:, 0], other[:, 1])
    mass = other.float().sum((2, 3)) / images.float().sum((2, 3))
    assert 0.6 < mass.min() < 0.9 < 1.1 < mass.max() < 1.6  # zooms both ways
    rows = (other.float().sum(3) * torch.arange(28)).sum(2) / other.float().sum((2, 3))
    assert (rows - 13.5).abs().max() < 3
    assert torch.equal(other, experiment.distorted(images))


def test_the_search_goes_beyond_an_end_and_stops_inside(monkeypatch):
    judged = []

    def scores(start, pool, tasks, seed):
        alpha = start.solver.alpha
        judged.append(alpha)
        return torch.full((tasks, experiment.SHOWN + 1), 50 - abs(alpha - 0.8))

    monkeypatch.setattr(experiment, "scores", scores)
    best, rows = experiment.search("random", {"validation": None}, 1, 2, {})
    assert best == {"alpha": 0.75, "beta": 0.0}
    assert judged == [*experiment.ALPHAS, 0.75, 1.875]
    assert [row["alpha"] for row in rows] == judged


def test_the_command_measures_every_method(tmp_path, capsys, monkeypatch, omniglot_folder):
    monkeypatch.setattr(experiment, "BETAS", (1e-3,))
    monkeypatch.setattr(experiment, "ALPHAS", (0.1,))
    monkeypatch.setattr(experiment, "FURTHER", 0)
    monkeypatch.setattr(experiment, "WIDTHS", (4,))
    words = "--seeds 2 --iterations 2 --search 1 --tasks 12 --validation 10"
    experiment.main([*words.split(), "--data", str(omniglot_folder), "--results", str(tmp_path)])
    assert str(tmp_path / "drawing.json") in capsys.readouterr().out
    stored = json.loads((tmp_path / "drawing.json").read_text())
    assert tuple(stored["methods"]) == experiment.METHODS
    assert len(recall_weights("drawing", folder=tmp_path)) == 14 * len(experiment.METHODS)


# ---- what is stored --------------------------------------------------------------------------------------------------


def logits(phi: list, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    for block in range(3):
        weight, bias, gain, offset = phi[4 * block : 4 * block + 4]
        x = relu(group_norm(conv2d(x, weight, bias, stride=2, padding=1), 1, gain, offset))
    return linear(x.flatten(1), phi[12], phi[13]), x.flatten(1)


def test_what_is_stored_is_whole():
    stored = recall("drawing")
    assert tuple(stored["methods"]) == experiment.METHODS
    assert stored["training"]["iterations"] == experiment.ITERATIONS
    for method, found in stored["methods"].items():
        assert len(found["seeds"]) == experiment.SEEDS
        assert {len(row) for row in found["seeds"]} == {experiment.SHOWN + 1}
        assert [mean for mean, _ in found["accuracy"]] == pytest.approx(found["seeds"][0], abs=0.01)
        best = max(stored["search"][method], key=lambda row: row["accuracy"])
        assert {"alpha": found["alpha"], "beta": found["beta"]} == {name: best[name] for name in ("alpha", "beta")}
        for own, other in (("alpha", "beta"), ("beta", "alpha")):
            tried = [row[own] for row in stored["search"][method] if row[other] == best[other]]
            assert not best[own] or min(tried) < best[own] < max(tried), (method, own)


def test_the_stored_weights_have_the_stored_accuracies(omniglot_folder):
    # New tasks, drawn and solved here by PyTorch alone.
    pool, stored, weights = evaluation(omniglot(omniglot_folder)), recall("drawing"), recall_weights("drawing")
    images = experiment.centred(pool.images).float() / 255
    draws, tasks = torch.Generator().manual_seed(5), 150
    for number, (method, found) in enumerate(stored["methods"].items()):
        start = weights[14 * number : 14 * number + 14]
        assert all(torch.equal(w, w.half().float()) for w in start)
        right = []
        for _ in range(tasks):
            chosen = torch.randperm(len(pool), generator=draws)[:3]
            people = [torch.randperm(20, generator=draws)[:4] for _ in chosen]
            pictures = torch.stack([images[c, p] for c, p in zip(chosen, people, strict=True)])[:, :, None]
            support, query, y = pictures[:, 0], pictures[:, 1:].flatten(0, 1), torch.arange(3)
            phi = [w.clone().requires_grad_() for w in start]
            if method == "prototypes":
                said = torch.cdist(logits(phi, query)[1], logits(phi, support)[1]).argmin(1)
            else:
                descent = torch.optim.SGD(phi, found["alpha"])
                for _ in range(experiment.STEPS):
                    descent.zero_grad()
                    torch.nn.functional.cross_entropy(logits(phi, support)[0], y).backward()
                    descent.step()
                said = logits(phi, query)[0].argmax(1)
            right.append(100 * (said == y.repeat_interleave(3)).float().mean().item())
        right = torch.tensor(right)
        mean, half = found["accuracy"][experiment.STEPS]
        assert abs(right.mean().item() - mean) < 4 * (right.std().item() / tasks**0.5) + half


def test_the_stored_episode_is_omniglots(omniglot_folder):
    pool, episode = evaluation(omniglot(omniglot_folder)), recall("drawing")["episode"]
    images = dict(zip(pool.names, experiment.centred(pool.images), strict=True))
    assert len(set(episode["names"])) == 3
    for name, drawings in zip(episode["names"], episode["drawings"], strict=True):
        for digits, true in zip(drawings, images[name], strict=False):
            ink = torch.tensor([int(digit, 16) for digit in digits]).view(28, 28) * 17
            assert (ink - true.int()).abs().max() <= 9


@pytest.mark.parametrize("filters", [4, 16])
def test_a_pictures_multiplications_are_counted(filters):
    net, counted = network(filters), 0
    x = torch.zeros(1, 1, 28, 28)
    for layer in net:
        y = layer(x)
        if hasattr(layer, "weight") and layer.weight.ndim > 1:
            counted += layer.weight[0].numel() * y.numel()
        x = y
    # Those of a convolution and of the head; the norm's few are left out.
    assert counted == experiment.multiplications(filters)


def test_the_weights_are_those_of_the_network():
    weights = recall_weights("drawing")
    for number in range(len(experiment.METHODS)):
        load_theta(network(experiment.FILTERS), weights[14 * number : 14 * number + 14])
    # The random start of the first seed is nothing else.
    torch.testing.assert_close(
        list(weights[-14:]), [p.detach().half().float() for p in network(experiment.FILTERS, 0).parameters()]
    )
