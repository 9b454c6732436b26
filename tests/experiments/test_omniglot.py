"""The Omniglot experiment: its command, what it writes, and the stored weights measured again."""

import json

import pytest
import torch

from experiments import omniglot as experiment
from mamlbook import accuracy, confidence, evaluate, pretrained
from mamlbook.pages import RESULTS, recall, recall_weights
from mamlbook.tasks.images import Episodes, Pool


@pytest.fixture
def small_pool(monkeypatch):
    """Noise in place of characters: every class has its own pattern, so that there is something to learn."""
    generator = torch.Generator().manual_seed(0)
    patterns = torch.rand(30, 1, 28, 28, generator=generator)
    images = (patterns + 0.3 * torch.rand(30, 20, 28, 28, generator=generator)).mul(196).to(torch.uint8)
    pool = Pool(images, tuple(map(str, range(30))), ("A",) * 30)
    monkeypatch.setattr(experiment, "omniglot", lambda folder: pool)
    monkeypatch.setattr(experiment, "split", lambda pool, name: (pool[:20], pool[20:]))


def words(folder, *more):
    return [
        *("--ways", "3", "--shots", "1", "--tasks", "2", "--every", "2", "--evaluation-tasks", "4"),
        *("--device", "cpu", "--results", str(folder / "results"), "--checkpoints", str(folder / "checkpoints")),
        *more,
    ]


def test_the_command_trains_measures_and_records(tmp_path, small_pool, capsys):
    experiment.main(words(tmp_path, "--iterations", "4"))
    out, err = capsys.readouterr()
    assert "4/4" in err
    last = out.strip().split("\n")[-8:]
    assert [line.split("after ")[1] for line in last] == [
        f"{step} steps, {queries} query drawing(s) a class" for queries in (1, 15) for step in (0, 1, 3, 5)
    ]
    stored = json.loads((tmp_path / "results" / "omniglot-3w1s-maml.json").read_text())
    assert stored["seed"] == 0
    assert stored["accuracy"]["1"]["5"] == [float(last[3].split(" ± ")[0]), float(last[3].split(" ± ")[1].split()[0])]
    assert {"device", "versions", "seconds", "protocol", "training"} <= set(stored)
    assert stored["training"]["iterations"] == 4
    assert (tmp_path / "results" / "omniglot-3w1s-maml.npz").stat().st_size < 1_000_000


def test_a_resumed_run_writes_the_same_result(tmp_path, small_pool, monkeypatch):
    # The rate follows the full number of iterations, so the first half must be told of it: break off in the middle.
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    experiment.main(words(whole, "--iterations", "6"))
    draw = Episodes.draw
    left = iter(range(5))

    def breaking(self, tasks, generator):
        if next(left, None) is None:
            raise KeyboardInterrupt
        return draw(self, tasks, generator)

    monkeypatch.setattr(Episodes, "draw", breaking)
    with pytest.raises(KeyboardInterrupt):
        experiment.main(words(broken, "--iterations", "6"))
    assert not (broken / "results").exists()
    monkeypatch.setattr(Episodes, "draw", draw)
    experiment.main(words(broken, "--iterations", "6", "--resume"))
    first, second = (json.loads((f / "results" / "omniglot-3w1s-maml.json").read_text()) for f in (whole, broken))
    assert first["accuracy"] == second["accuracy"]
    assert first["training"] == second["training"]


def training(folder):
    return json.loads((folder / "results" / "omniglot-3w1s-maml.json").read_text())["training"]


def test_minutes_plan_the_meta_steps_and_change_nothing_else(tmp_path, small_pool):
    limited, whole = tmp_path / "limited", tmp_path / "whole"
    experiment.main(words(limited, "--minutes", "60", "--iterations", "4"))
    experiment.main(words(whole, "--iterations", "4"))
    assert training(limited) == training(whole) | {"minutes": 60, "done": 4}
    experiment.main(words(limited, "--minutes", "0.01"))
    planned = training(limited)
    assert 1 <= planned["iterations"] < 8000
    assert planned["done"] <= planned["iterations"]
    with pytest.raises(ValueError, match="minutes: expected a finite number of minutes above 0, got -1"):
        experiment.main(words(limited, "--minutes", "-1"))
    with pytest.raises(SystemExit):
        experiment.main(words(limited, "--minutes", "1", "--resume"))


def test_a_run_out_of_time_is_measured_and_says_so(tmp_path, small_pool, monkeypatch, capsys):
    monkeypatch.setattr(experiment, "fitting", lambda *_: (6, 1e-9))
    experiment.main(words(tmp_path, "--minutes", "1"))
    assert training(tmp_path)["iterations"] == 6
    assert training(tmp_path)["done"] == 1
    out, err = capsys.readouterr()
    assert "out of time after 1 of 6 meta-steps" in err
    assert "omniglot-3w1s-maml: 1 meta-steps in" in out


@pytest.mark.parametrize(("name", "side"), [("cifar-fs", 32), ("mini-imagenet", 84), ("tiered-imagenet", 84)])
def test_photographs_are_taken_by_the_name_of_their_benchmark(tmp_path, monkeypatch, name, side):
    asked = []

    def read(folder, *, splits):
        asked.append((folder, splits))
        patterns = torch.rand(7, 20, 3, side, side, generator=torch.Generator().manual_seed(0)).mul(255)
        pool = Pool(patterns.to(torch.uint8))
        return pool[:4], pool[4:]

    monkeypatch.setitem(experiment.PHOTOGRAPHS, name, read)
    protocol = ("--pictures", name, "--filters", "4", "--pooling", "max", "--queries", "2", "--data", str(tmp_path))
    experiment.main(words(tmp_path, *protocol, "--iterations", "2"))
    assert asked == [(tmp_path, ("train", "test"))]
    stored = json.loads((tmp_path / "results" / f"{name}-3w1s-maml.json").read_text())
    assert stored["protocol"]["data"].startswith(f"{name}, {side}x{side} in colour")
    assert (stored["training"]["queries"], stored["training"]["filters"]) == (2, 4)
    weights = recall_weights(f"{name}-3w1s-maml", folder=tmp_path / "results")
    assert weights[0].shape == (4, 3, 3, 3)
    with pytest.raises(SystemExit):
        experiment.main(words(tmp_path, *protocol, "--split", "background"))


def test_what_is_learned_beside_the_start_is_stored_and_comes_back(tmp_path, small_pool, monkeypatch):
    trained = []
    train = experiment.train
    monkeypatch.setattr(experiment, "train", lambda learner, *rest: trained.append(learner) or train(learner, *rest))
    experiment.main(words(tmp_path, "--iterations", "4", "--algorithm", "meta-sgd", "--beta", "0.1"))
    learner, record = pretrained("omniglot-3w1s-meta-sgd", folder=tmp_path / "results")
    assert len(list(learner.parameters())) > len(learner.model.theta)
    for found, wanted in zip(learner.parameters(), trained[0].parameters(), strict=True):
        assert torch.equal(found, wanted)
    fresh = experiment.build(experiment.arguments(words(tmp_path, "--algorithm", "meta-sgd")))
    rates = [list(one.solver.parameters()) for one in (learner, fresh)]
    assert not all(map(torch.equal, *rates))
    assert "paper" not in record


def test_a_papers_figure_is_for_the_papers_network(tmp_path):
    for more, there in (((), True), (("--filters", "32"), False), (("--split", "background"), False)):
        assert bool(experiment.published(experiment.arguments(list(more)))) == there


@pytest.mark.parametrize("algorithm", ["fomaml", "reptile", "joint"])
def test_every_algorithm_of_the_table_can_be_run(tmp_path, small_pool, algorithm):
    experiment.main(words(tmp_path, "--iterations", "2", "--algorithm", algorithm))
    assert (tmp_path / "results" / f"omniglot-3w1s-{algorithm}.json").is_file()


def test_the_splits_do_not_share_a_character(omniglot_folder):
    pool = experiment.omniglot(omniglot_folder)
    for name, sizes in (("paper", (1200, 423)), ("background", (964, 659))):
        train, held_out = experiment.split(pool, name)
        assert (len(train), len(held_out)) == sizes
        assert not set(train.names) & set(held_out.names)


STORED = sorted(path.stem for path in RESULTS.glob("omniglot-*.json") if "learner" in recall(path.stem))


def test_the_main_result_is_there():
    assert recall("omniglot-5w1s-maml")["accuracy"]["1"]["5"][0] >= 96


def test_the_readme_quotes_the_stored_results():
    readme = " ".join((RESULTS.parent / "README.md").read_text().split())
    for name in ("omniglot-5w1s-maml", "omniglot-5w1s-maml-background"):
        mean, half = recall(name)["accuracy"]["1"]["1"]
        assert f"{mean:.1f} ± {half:.1f} %" in readme


@pytest.mark.parametrize("name", STORED)
def test_stored_weights_reach_the_stored_accuracy_on_fresh_tasks(name, omniglot_folder):
    stored = recall(name)
    split = "background" if name.endswith("background") else "paper"
    _, held_out = experiment.split(experiment.omniglot(omniglot_folder), split)
    learner, record = pretrained(name)
    assert record == stored
    assert str(learner) == stored["training"]["configuration"]
    episodes = Episodes(held_out, ways=5, shots=1, queries=1, rotate=True)
    scores = 100 * evaluate(learner, episodes, tasks=400, steps=3, seed=77, metric=accuracy, chunk=20)
    for step in (0, 1, 3):
        mean, half = confidence(scores[:, step])
        expected, expected_half = stored["accuracy"]["1"][str(step)]
        # Two independent samples of tasks: their difference stays within twice its own 95 % interval.
        assert abs(mean - expected) < 2 * (half**2 + expected_half**2) ** 0.5
