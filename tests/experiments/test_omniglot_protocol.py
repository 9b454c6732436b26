"""What a protocol decides on Omniglot: the ways to predict by an oracle, ties by hand, and what is stored."""

import json

import pytest
import torch
from torch.func import functional_call
from torch.nn.functional import cross_entropy

from experiments import omniglot_protocol as experiment
from mamlbook import Model, conv4, maml
from mamlbook.inner import keep, without_norms
from mamlbook.pages import recall
from mamlbook.tasks import Data, Episodes, Pool, Tasks


def random_pool(classes: int = 8) -> Pool:
    return Pool(torch.randint(256, (classes, 6, 28, 28), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)))


def by_ordinary_loop(net, xs, ys):
    """The weights after a step of 0.4 by autograd on one task, with the norms left alone."""
    loss = cross_entropy(net(xs), ys)
    names, weights = zip(*net.named_parameters(), strict=True)
    slopes = torch.autograd.grad(loss, weights)
    moved = zip(names, weights, slopes, strict=True)
    return {name: (w if "norm" in name else w - 0.4 * g).detach() for name, w, g in moved}


def normalised(net, phi, seen, x):
    """The network on x with the statistics of ``seen``, layer by layer."""
    for number in range(1, 5):
        get = {name: phi[f"block{number}.{name}"] for name in ("conv.weight", "conv.bias", "norm.gain", "norm.offset")}
        seen, x = (
            torch.nn.functional.conv2d(h, get["conv.weight"], get["conv.bias"], stride=2, padding=1) for h in (seen, x)
        )
        mean, var = seen.mean((0, 2, 3), keepdim=True), seen.var((0, 2, 3), keepdim=True, correction=0)
        gain, offset = (get[f"norm.{name}"].view(1, -1, 1, 1) for name in ("gain", "offset"))
        seen, x = (((h - mean) / (var + 1e-5).sqrt() * gain + offset).relu() for h in (seen, x))
    return x.flatten(1) @ phi["head.weight"].T + phi["head.bias"]


@pytest.mark.parametrize("name", experiment.STATISTICS)
def test_predictions_use_the_statistics_that_are_named(name):
    net = conv4(5, filters=4, seed=1)
    learner = maml(Model(net, cross_entropy), 0.4, 1, keep(without_norms))
    tasks = Episodes(random_pool(), 5, 1, 2).draw(3, torch.Generator().manual_seed(0))
    with torch.no_grad():
        found = experiment.STATISTICS[name](learner, tasks)
    for task, (xs, ys, xq) in enumerate(zip(tasks.support.x, tasks.support.y, tasks.query.x, strict=True)):
        phi = by_ordinary_loop(net, xs, ys)
        sets = {
            "query set": [xq] * 10,
            "support set": [xs] * 10,
            "support set and one query": [torch.cat([xs, x[None]]) for x in xq],
            "one query": [x[None] for x in xq],
        }[name]
        expected = torch.cat([normalised(net, phi, seen, x[None]) for seen, x in zip(sets, xq, strict=True)])
        assert torch.allclose(found[task], expected, atol=1e-4)
        if name == "query set":
            assert torch.allclose(expected, functional_call(net, phi, xq), atol=1e-4)


def test_no_norm_remembers_the_support_set():
    learner = maml(Model(conv4(5, filters=4), cross_entropy), 0.4, 1)
    tasks = Episodes(random_pool(), 5, 1, 2).draw(2, torch.Generator().manual_seed(0))
    before = experiment.by_query_set(learner, tasks)
    experiment.by_support_set(learner, tasks)
    assert experiment.by_query_set(learner, tasks).equal(before)


class Given:
    """The same tasks again and again."""

    def __init__(self, tasks: Tasks):
        self.tasks = tasks

    def draw(self, tasks, generator):
        return self.tasks


def test_ties_are_counted_by_hand():
    blank, full, half = torch.zeros(1, 28, 28), torch.ones(1, 28, 28), torch.zeros(1, 28, 28)
    half[:, :14] = 1
    support = Data(torch.stack([blank, full])[None], torch.tensor([[0, 1]]))
    # The first is blank. The second has 28 of 49 pixels, nearer to the full one by 7; the third is cut to 24 or 25.
    query = Data(torch.stack([blank, half, full])[None], torch.tensor([[0, 0, 1]]))
    tasks = Tasks(support, query)
    distance = experiment.pixel_distances(tasks)[0]
    rows = 4  # of seven, that half a drawing covers at least in part: 14 of 28 pixels are 3.5 of 7 rows
    assert distance.tolist() == [[0, 49], [7 * rows, 49 - 7 * rows], [49, 0]]
    same = Tasks(support._replace(x=torch.stack([blank, blank])[None]), query)
    both = Tasks(*(Data(torch.cat([d.x, d.x]), torch.cat([d.y, d.y])) for d in same[:2]))
    found = experiment.ties(Given(both), 2)
    assert {name: mean for name, (mean, _) in found.items()} == {
        "tied": 100.0,
        "first": pytest.approx(66.67),
        "shared": 50.0,
        "counted as right": 100.0,
    }


def test_tasks_of_one_alphabet_have_classes_of_one_alphabet():
    pool = Pool(torch.zeros(12, 4, 28, 28, dtype=torch.uint8), alphabets=["a"] * 5 + ["b"] * 7)
    parts = experiment.one_alphabet(pool, 10)
    assert [(len(part.pool), set(part.pool.alphabets), count) for part, count in parts] == [
        (5, {"a"}, 5),
        (7, {"b"}, 5),
    ]


def test_a_short_run_writes_everything_that_is_stored(tmp_path, omniglot_folder):
    experiment.main(["--tasks", "20", "--results", str(tmp_path), "--data", str(omniglot_folder)])
    short, stored = json.loads((tmp_path / "omniglot-protocol.json").read_text()), recall("omniglot-protocol")
    assert short.keys() == stored.keys()
    for part in ("statistics", "queries", "turned", "steps", "split", "ties", "spread"):
        assert short[part].keys() == stored[part].keys(), part
    for count, (mean, half) in short["queries"].items():
        known, narrow = stored["queries"][count]
        assert mean == pytest.approx(known, abs=2 * (half**2 + narrow**2) ** 0.5)


def test_what_is_stored_agrees_with_the_record_of_the_start():
    """Another program measured the same weights, on other tasks of the same split."""
    stored, record = recall("omniglot-protocol"), recall("omniglot-5w1s-maml")["accuracy"]
    for queries in ("1", "15"):
        mean, half = stored["queries"][queries]
        known, narrow = record[queries]["1"]
        assert mean == pytest.approx(known, abs=1.5 * (half**2 + narrow**2) ** 0.5)
    assert stored["turned"]["yes"] == stored["queries"]["1"] == stored["split"]["new characters"]
