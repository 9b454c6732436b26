"""The table of Omniglot: its tasks, that it goes on where it stopped, and what is stored, measured again."""

import json
import shutil
from functools import cache

import pytest
import torch
from torch.nn.functional import cross_entropy

from experiments import omniglot_table as experiment
from experiments.omniglot_table import Row
from mamlbook import MetaLearner, Model, accuracy, conv4, evaluate, fomaml, maml, pretrained
from mamlbook.inner import keep, without_norms
from mamlbook.pages import RESULTS, is_stored, recall
from mamlbook.pages.few_shot import QUERIES, WAYS, numbers
from mamlbook.tasks import Pool
from mamlbook.tasks.omniglot_pool import omniglot

SOME = ("maml", "pre-training", "untrained", "reptile")


@pytest.fixture
def quick(monkeypatch):
    """Let the experiment do little of everything, on a pool that was made up."""
    small = {
        "STEPS": 3,
        "SEARCH_STEPS": 2,
        "FILTERS": 2,
        "TASKS": 2,
        "TEST_TASKS": 6,
        "VALIDATION_TASKS": 4,
        "SEEDS": 2,
    }
    for name, value in (small | {"BETAS": (1e-3, 1e-2), "HEAD_STEPS": 2, "COLUMNS": dict(COLUMNS[:1])}).items():
        monkeypatch.setattr(experiment, name, value)
    trainings = {name: experiment.TRAININGS[name]._replace(settings=(0.1, 0.3)) for name in SOME}
    monkeypatch.setattr(experiment, "TRAININGS", trainings)
    every = [("5w1s", name, seed) for seed in range(2) for name in SOME]
    monkeypatch.setattr(experiment, "jobs", lambda: (job for job in every if job[1] in experiment.TRAININGS))
    images = torch.randint(256, (18, 12, 28, 28), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    pool = Pool(images)
    parts = experiment.World(pool[torch.arange(6)], pool[torch.arange(6, 12)], pool[torch.arange(12, 18)])
    monkeypatch.setattr(experiment, "omniglot", lambda folder: pool)
    monkeypatch.setattr(experiment, "world", lambda pool, split: parts)


COLUMNS = list(experiment.COLUMNS.items())


def run(folder, *words):
    experiment.main(["--results", str(folder / "runs"), "--checkpoints", str(folder / "points"), *words])
    return json.loads((folder / "runs/omniglot-table.json").read_text())


def timeless(result):
    """The same without what depends on the clock."""
    if isinstance(result, dict):
        return {key: timeless(value) for key, value in result.items() if key not in ("seconds", "missing")}
    return [timeless(value) for value in result] if isinstance(result, list) else result


def test_a_turned_character_is_a_class_of_its_own():
    images = torch.randint(256, (3, 2, 28, 28), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    characters = experiment.Characters(Pool(images), 40)
    drawn = characters.draw(2, torch.Generator().manual_seed(0))
    assert drawn.query.x.shape == (2, 40, 1, 28, 28)
    assert characters.classes == 12
    assert set(drawn.query.y.flatten().tolist()) == set(range(12))
    for picture, label in zip(drawn.query.x.flatten(0, 1), drawn.query.y.flatten().tolist(), strict=True):
        upright = torch.stack([image.rot90(label % 4, (0, 1)) for image in images[label // 4]])
        assert (upright.float() / 255 == picture[0]).all((1, 2)).any()


def test_scores_are_written_so_that_pages_can_read_them():
    right = torch.tensor([0, 5, 35, 36, 100, 1295])
    assert experiment.text_of(right) == "00050z102szz"
    assert numbers(experiment.text_of(right)).equal(right)
    assert {name: ways for name, (ways, _, _) in experiment.COLUMNS.items()} == WAYS
    assert experiment.QUERIES == QUERIES


def test_the_most_asked_comes_first():
    jobs = list(experiment.jobs())
    columns, trainings, seeds = experiment.COLUMNS, experiment.TRAININGS, range(experiment.SEEDS)
    assert sorted(jobs) == sorted((c, t, s) for c in columns for t in trainings for s in seeds)
    first = jobs[: len(trainings) * experiment.SEEDS]
    assert {column for column, _, _ in first} == {"5w1s"}
    assert [seed for _, _, seed in first] == sorted(seed for _, _, seed in first)


def test_the_classes_of_a_split_are_apart(omniglot_folder):
    pool = omniglot(omniglot_folder, progress=False)
    for split, sizes in (("paper", (1100, 100, 423)), ("alphabets", (864, 100, 659))):
        parts = experiment.world(pool, split)
        assert tuple(map(len, parts)) == sizes
        names = [set(part.names) for part in parts]
        assert len(set.union(*names)) == sum(sizes)
    learned, held_out = (set(part.alphabets) for part in (parts.train, parts.test))
    assert not learned & held_out


def test_rows_learn_from_what_they_are_said_to(quick):
    pool = experiment.world(None, "paper").train
    usual = experiment.distribution("maml", "5w1s", pool)
    assert (usual.shots, usual.queries, usual.rotate) == (1, experiment.QUERIES, True)
    assert experiment.distribution("reptile", "5w1s", pool).shots == 1 + experiment.QUERIES
    whole = experiment.distribution("pre-training", "5w1s", pool)
    assert whole.pictures == experiment.TASKS * 5 * (1 + experiment.QUERIES)


def test_a_backbone_gets_a_head_of_zeros_and_keeps_its_body(quick):
    pool = experiment.world(None, "paper").train
    learner = experiment.start("pre-training", "5w1s", pool, 0.0, 7)
    use = experiment.BACKBONE["pre-training, linear head"]["rate 1"]
    for_tasks = experiment.for_new_tasks(learner, 5, use)
    own, copied = learner.model.net.state_dict(), for_tasks.model.net.state_dict()
    assert own["head.weight"].shape[0] == experiment.Characters(pool, 1).classes
    assert not copied["head.weight"].any()
    assert all(copied[name].equal(own[name]) for name in own if not name.startswith("head"))
    adapted = for_tasks.adapt(experiment.judged("5w1s", pool).draw(2, torch.Generator().manual_seed(0)).support)
    moved = {
        name
        for name, p in zip(for_tasks.model.names, adapted.phi, strict=True)
        if not p.equal(copied[name].expand_as(p))
    }
    assert moved == {"head.weight", "head.bias"}


def test_a_run_in_pieces_is_the_run_at_one_go(quick, tmp_path, capsys):
    whole = run(tmp_path / "whole")
    rows = [row for name in SOME for row in experiment.uses(name)]
    assert set(whole["cells"]["5w1s"]) == set(rows)
    assert all(set(cell["seeds"]) == {"0", "1"} for cell in whole["cells"]["5w1s"].values())
    assert whole["missing"] == {}
    capsys.readouterr()
    for cells in range(8):
        pieces = run(tmp_path / "pieces", "--cells", "1")
        left = {row: entry["seeds"] for row, entry in pieces["missing"].get("5w1s", {}).items()}
        assert ("missing: 5w1s, reptile" in capsys.readouterr().out) == ("reptile" in left)
        assert sum(map(len, left.values())) < 2 * len(rows), cells
    assert timeless(pieces) == timeless(whole)
    assert not list((tmp_path / "pieces/points").glob("*.pt"))
    one, other = (experiment.stored_weights(tmp_path / name / "runs") for name in ("whole", "pieces"))
    assert one.keys() == other.keys()
    assert all(one[name].equal(other[name]) for name in one)


def test_a_training_that_was_cut_off_goes_on_from_its_checkpoint(quick, tmp_path, monkeypatch):
    whole = run(tmp_path / "whole", "--cells", "1")
    meant, calls = experiment.scores, []

    def cut_off(*given):
        calls.append(given)
        raise KeyboardInterrupt

    monkeypatch.setattr(experiment, "scores", cut_off)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "cut", "--cells", "1")
    (point,) = (tmp_path / "cut/points").glob("*.pt")
    done = torch.load(point, weights_only=True)["losses"]
    assert len(done) == experiment.SEARCH_STEPS
    monkeypatch.setattr(experiment, "scores", meant)
    assert timeless(run(tmp_path / "cut", "--cells", "1")) == timeless(whole)


def test_what_is_best_at_an_end_is_followed_beyond_it():
    def told(values, accuracy):
        found = {}
        while (value := experiment.ahead(values, found)) is not None:
            found[value] = accuracy(value)
        return list(found)

    rising, falling = (lambda value: value), (lambda value: -value)
    assert told((3e-3, 1e-2, 3e-2), rising) == [3e-3, 1e-2, 3e-2, 0.1, 0.33]
    assert told((0.4, 0.13, 1.2), falling) == [0.4, 0.13, 1.2, 0.039, 0.012]
    assert told((3e-3, 1e-2, 3e-2), lambda value: -abs(value - 1e-2)) == [3e-3, 1e-2, 3e-2]
    assert told((3e-3, 1e-2, 3e-2), lambda value: -abs(value - 0.1)) == [3e-3, 1e-2, 3e-2, 0.1, 0.33]


def test_a_search_that_goes_on_replaces_the_cells_whose_setting_it_changes(quick, tmp_path, monkeypatch):
    good = []

    def accuracy_of(table, name, row, column, learner):
        return next(iter(experiment.uses(name)[row])), 0, float(name in good)

    monkeypatch.setattr(experiment, "FURTHER", 0)
    monkeypatch.setattr(experiment.Table, "validated", accuracy_of)
    before = run(tmp_path / "one")
    shutil.copytree(tmp_path / "one", tmp_path / "other")
    monkeypatch.setattr(experiment, "FURTHER", 1)
    again = run(tmp_path / "one")
    assert timeless(again["cells"]) == timeless(before["cells"]), "all alike: the first is best, and stays so"
    assert len(again["search"]["5w1s"]["maml"]) == len(before["search"]["5w1s"]["maml"]) + 2
    good.append("maml")
    last = run(tmp_path / "other")
    cells, old = last["cells"]["5w1s"], before["cells"]["5w1s"]
    assert cells["maml"]["beta"] == min(one["beta"] for one in last["search"]["5w1s"]["maml"]) < old["maml"]["beta"]
    assert set(cells["maml"]["seeds"]) == {"0", "1"}
    del cells["maml"], old["maml"]
    assert timeless(cells) == timeless(old)


def test_no_minutes_no_cell_and_cost_alone_trains_nothing(quick, tmp_path, capsys):
    run(tmp_path, "--cells", "1")
    before = (tmp_path / "runs/omniglot-table.json").read_text()
    for words in (["--minutes", "0"], ["--cost"]):
        run(tmp_path, *words)
        assert (tmp_path / "runs/omniglot-table.json").read_text() == before
        assert "missing: 5w1s, maml, seeds [1]:" in capsys.readouterr().out


def test_a_training_that_comes_to_no_end_is_told(quick, tmp_path, monkeypatch):
    wild = experiment.Training(experiment.row("maml", knob="steps", alpha=1e30), (2,))
    monkeypatch.setattr(experiment, "TRAININGS", {"maml": wild})
    cell = run(tmp_path)["cells"]["5w1s"]["maml"]
    assert {seed["right"] for seed in cell["seeds"].values()} == {None}


# ---------------------------------------------------------------- what is stored

STORED = recall("omniglot-table") if is_stored("omniglot-table") else {"cells": {"5w1s": {}}}


@pytest.fixture(scope="module")
def held_out(omniglot_folder):
    """Give the test classes of a split."""
    pool = omniglot(omniglot_folder, progress=False)
    return cache(lambda split: experiment.world(pool, split).test)


def oracle(name: str, setting: float) -> MetaLearner:
    """The learners that have a name of their own elsewhere, composed anew."""
    model = Model(conv4(5, filters=16), cross_entropy)
    build = {"maml": maml, "fomaml": fomaml}[name]
    return build(model, setting, 1, keep(without_norms))


def kinds() -> list[tuple[str, str, str]]:
    """The cells whose first seed is stored, with the training that they come of."""
    rows = [(name, row) for name in experiment.TRAININGS for row in experiment.uses(name)]
    return [
        (column, name, row)
        for column, cells in STORED["cells"].items()
        for name, row in rows
        if "0" in cells.get(row, {}).get("seeds", {})
    ]


@pytest.mark.parametrize(("column", "name", "row"), kinds(), ids=lambda word: word.replace(", ", "-"))
def test_what_is_stored_is_measured_again(column, name, row, held_out):
    cell, (ways, _, split) = STORED["cells"][column][row], experiment.COLUMNS[column]
    weights = experiment.stored_weights(RESULTS)
    learner = experiment.restored(name, column, cell, weights)
    use = experiment.uses(name)[row][cell["use"]]
    mean, half = cell["seeds"]["0"]["accuracy"]
    # Other tasks than those of the table: their own interval comes on top.
    count = 150 if ways == 5 else 50
    right = experiment.scores(learner, use, column, held_out(split), count, 77)[:, cell["inner_steps"]].double()
    share = 100 * right / (ways * QUERIES)
    assert share.mean().item() == pytest.approx(mean, abs=1.5 * (half**2 + 4 * share.var().item() / count) ** 0.5)


@pytest.mark.parametrize("name", ["maml", "fomaml"])
def test_a_row_is_what_its_name_says(name, held_out):
    """The stored weights in a learner that is composed here, on the very tasks of the table."""
    cell = STORED["cells"]["5w1s"][name]
    learner = oracle(name, cell["setting"])
    weights = experiment.weights_of(name, "5w1s", experiment.stored_weights(RESULTS))
    with torch.no_grad():
        for weight, stored in zip(learner.parameters(), weights, strict=True):
            weight.copy_(stored)
    tasks, steps = experiment.judged("5w1s", held_out("paper")), cell["inner_steps"]
    how = {"tasks": 50, "steps": steps, "seed": experiment.TEST, "metric": accuracy, "chunk": 50, "progress": False}
    right = 25 * evaluate(learner, tasks, **how)[:, steps]
    known = numbers(cell["seeds"]["0"]["right"])[:50]
    assert (right.round().long() - known).abs().float().mean() < 0.1  # rounding may decide a near tie


def test_the_stored_table_has_what_was_asked_for_first():
    cells = STORED["cells"]["5w1s"]
    assert set(cells) == {row for name in experiment.TRAININGS for row in experiment.uses(name)}
    for row, cell in cells.items():
        missing = STORED["missing"].get("5w1s", {}).get(row, {"seeds": []})["seeds"]
        assert sorted([*map(int, cell["seeds"]), *missing]) == [0, 1, 2], row  # there, or said to be missing
        for seed in cell["seeds"].values():
            assert len(numbers(seed["right"])) == experiment.TEST_TASKS
            assert 4 * numbers(seed["right"]).double().mean().item() == pytest.approx(seed["accuracy"][0], abs=0.006)


def test_what_is_stored_of_a_row_is_a_start_of_the_package():
    starts = {(column, name) for column, name, row in kinds() if isinstance(experiment.TRAININGS[name].learner, Row)}
    starts = {(column, name) for column, name in starts if not experiment.TRAININGS[name].rows}
    assert set(STORED["starts"]) == {f"omniglot-short-{column}-{name}" for column, name in starts}
    weights = experiment.stored_weights(RESULTS)
    for column, name in starts:
        cell = STORED["cells"][column][name]
        learner, told = pretrained(f"omniglot-short-{column}-{name}")
        wanted = experiment.restored(name, column, cell, weights)
        assert str(learner) == str(wanted)
        assert all(one.equal(other) for one, other in zip(learner.parameters(), wanted.parameters(), strict=True))
        assert told["accuracy"] == cell["seeds"]["0"]["accuracy"]
        assert told["command"] == "python -m experiments.omniglot_table"
    page = (RESULTS.parent / "book/practice/few-shot-images.ipynb").read_text("utf-8")
    for told in STORED["starts"].values():  # the page has the papers' figures as well
        if "paper" in told:
            assert "{} ± {}".format(*told["paper"]["accuracy"]) in page
            assert told["paper"]["source"] in page


def test_every_setting_was_found_by_the_search():
    for name, training in experiment.TRAININGS.items():
        if training.episodes == "none":
            continue
        for column, cells in STORED["cells"].items():
            if not all(row in cells for row in experiment.uses(name)):
                continue
            tried = STORED["search"][experiment.SEARCHED.get(column, column)][name]
            by_beta = {one["beta"]: one["validation"] for one in tried if one["setting"] == training.settings[0]}
            assert set(by_beta) >= set(experiment.BETAS)
            best_beta = max(by_beta, key=by_beta.get)
            by_setting = {one["setting"]: one["validation"] for one in tried if one["beta"] == best_beta}
            assert set(by_setting) >= set(training.settings)
            for found in [by_beta, *([by_setting] if len(training.settings) > 1 else [])]:
                beyond = len(found) - len(experiment.BETAS)
                inside = min(found) < max(found, key=found.get) < max(found)
                assert inside or beyond == experiment.FURTHER, "what is best at an end was not followed"
            best = max(tried, key=lambda one: one["validation"])
            for row in experiment.uses(name):
                assert (cells[row]["setting"], cells[row]["beta"]) == (best["setting"], best["beta"])
