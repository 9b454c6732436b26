"""The benchmark of whole trainings: what it checks, what it finds out, what it stores."""

import importlib.util
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.optim import Adam

from benchmarks import command, training, training_race
from benchmarks.contenders import Contender
from benchmarks.contenders.mamlbook import learner_of
from benchmarks.job import distance
from benchmarks.race import Wrong
from benchmarks.reference import adam, reference
from benchmarks.report import against, block
from benchmarks.trainers import BETA, TRAINERS, loops
from benchmarks.trainers.mamlbook import Paused, eager
from benchmarks.training_race import BAND, FOLLOWED_ERROR, JUDGES, TRAINED, UNSEEN, Right, TrainingRace, query_loss
from benchmarks.worker import Training
from benchmarks.workers import Pace
from benchmarks.workloads import TRAININGS, chosen, distribution, job
from mamlbook.pages import recall
from mamlbook.training import fit

FAKES = "tests.benchmarks.fakes"
ONE, FIVE = (replace(chosen([name], TRAININGS)[0], tasks=3) for name in ("sine-1", "sine-1 x5"))
HAS_JAX = importlib.util.find_spec("jax") is not None


def jobs_of(workload):
    return [job(workload, seed=seed)[1] for seed in range(3)]


def way(theta, start):
    """From the start to where a training has come."""
    return tuple(np.asarray(t, dtype=np.float64) - s for t, s in zip(theta, start, strict=True))


# ---------------------------------------------------------------- what is right


def test_the_reference_is_pytorchs_adam():
    jobs = jobs_of(ONE)
    weights = [torch.from_numpy(t.astype(np.float64)) for t in jobs[0].theta]
    optimizer = Adam(weights, lr=BETA)
    for each in jobs:
        gradients = reference(replace(each, theta=tuple(t.numpy() for t in weights))).gradient
        for weight, gradient in zip(weights, gradients, strict=True):
            weight.grad = torch.from_numpy(gradient)
        optimizer.step()
    assert distance(way([t.numpy() for t in weights], jobs[0].theta), way(adam(jobs, BETA), jobs[0].theta)) < 1e-10


@pytest.mark.parametrize("prepare", [eager, loops.higher])
def test_a_trainer_follows_adam_and_begins_its_training_with_the_given_weights(prepare):
    jobs = jobs_of(ONE)
    trainer, start = prepare(jobs[0]), jobs[0].theta
    followed = [t.detach().numpy() for t in trainer.follow(jobs)]
    assert distance(way(followed, start), way(adam(jobs, BETA), start)) < FOLLOWED_ERROR
    first = [t.detach().numpy() for t in trainer.train(1)]
    assert np.abs(np.concatenate([w.ravel() for w in way(first, start)])).max() == pytest.approx(BETA, rel=1e-3)


if HAS_JAX:  # which is in the benchmark's own environment only

    @pytest.mark.parametrize("workload", [ONE, FIVE], ids=["one", "five"])
    def test_jax_follows_adam_in_every_replica(workload):
        from benchmarks.trainers.jax import prepare

        jobs = jobs_of(workload)
        starts = [each.theta for each in jobs[0].alone()]
        found = replace(jobs[0], theta=tuple(np.asarray(t) for t in prepare(jobs[0]).follow(jobs))).alone()
        for start, theta, own in zip(starts, found, zip(*(each.alone() for each in jobs), strict=True), strict=True):
            assert distance(way(theta.theta, start), way(adam(own, BETA), start)) < FOLLOWED_ERROR

    def test_jax_draws_the_packages_waves_and_others_in_each_step():
        import jax

        from benchmarks.trainers.jax import prepare

        scan = prepare(job(replace(ONE, tasks=2000))[1])
        (xs, ys, xq, yq), others = (scan._drawn(jax.random.key(seed)) for seed in (0, 1))
        assert not np.array_equal(xs, others[0])
        assert xs.shape == yq.shape == (2000, 10, 1)
        waves = distribution(ONE)[1].draw(2000, torch.Generator().manual_seed(0))
        for mine, theirs in zip((xs, ys, xq, yq), (*waves.support, *waves.query), strict=True):
            wanted = np.array([0.05, 0.25, 0.5, 0.75, 0.95])
            assert np.quantile(mine, wanted) == pytest.approx(np.quantile(theirs, wanted), abs=0.15)


def test_fit_in_pieces_is_one_fit():
    wanted = job(ONE)[1]
    whole = learner_of(wanted)
    fit(whole, distribution(ONE)[1], steps=5, tasks=3, beta=BETA, progress=False)
    trainer = eager(wanted)
    trainer.train(2)
    assert trainer.learners[0].meta_steps == 2
    for mine, weight in zip(trainer.train(3), whole.parameters(), strict=True):
        assert torch.equal(mine, weight)


def test_replicas_are_each_their_own_fit():
    wanted = job(FIVE)[1]
    trained = eager(wanted).train(3)
    for number, each in enumerate(wanted.alone()):
        alone = learner_of(each)
        fit(alone, distribution(ONE)[1], steps=3, tasks=FIVE.tasks, beta=BETA, seed=number, progress=False)
        assert distance([t[number].detach() for t in trained], tuple(p.detach() for p in alone.parameters())) < 1e-5


def test_what_fit_fails_with_is_told():
    class Dry:
        def draw(self, tasks, generator):
            raise ArithmeticError("no more waves")

    trainer = eager(job(ONE)[1])
    trainer.waves.inner = Dry()
    with pytest.raises(ArithmeticError, match="no more waves"):
        trainer.train(1)


def test_a_paused_distribution_draws_what_the_other_draws():
    waves = distribution(ONE)[1]
    paused = Paused(waves)
    paused.go_on(1)
    drawn = paused.draw(3, torch.Generator().manual_seed(0))
    assert torch.equal(drawn.support.x, waves.draw(3, torch.Generator().manual_seed(0)).support.x)
    paused.reached()


def test_replicas_have_weights_of_their_own():
    wanted = job(FIVE)[1]
    alone = wanted.alone()
    assert len(alone) == 5
    assert not np.array_equal(alone[0].theta[0], alone[4].theta[0])
    assert [t.shape for t in alone[1].theta] == [t.shape for t in job(ONE)[1].theta]
    assert alone[0].workload.replicas == 1
    wanted = job(ONE)[1]
    assert wanted.alone() == [wanted]


def test_who_trains_several_at_once():
    assert [name for name, each in TRAINERS.items() if each.meets(FIVE)] == ["mamlbook", "mamlbook compiled", "JAX"]
    assert all(each.meets(ONE) and not each.excused(ONE) for each in TRAINERS.values())


# ---------------------------------------------------------------- what is found out


@pytest.fixture
def short(monkeypatch):
    """So few meta-steps that nothing takes long."""
    monkeypatch.setattr(training_race, "TRAINED", 5)
    monkeypatch.setattr(training_race, "JUDGES", 5)
    monkeypatch.setattr(TrainingRace, "pace", Pace(block=0.02, untimed=2, trial=2))


@pytest.mark.usefixtures("short")
def test_who_does_not_train_is_found_out(tmp_path):
    contenders = {name: Contender(f"{FAKES}:{name}") for name in ("Still", "Short", "raises")}
    with TrainingRace(contenders, tmp_path, patience=30.0, say=lambda text: None) as race:
        result, missing = race.run(ONE)
        still, lossy = result["rows"]
        assert still["wrong"] == "3 meta-steps of it end 1.0e+00 from Adam's, more than 0.0001"
        assert lossy["wrong"].startswith("weights: expected shapes")
        assert [entry["reason"] for entry in missing] == ["ArithmeticError: no such number"]
        assert not race.workers


def test_a_training_is_held_to_where_fit_comes(tmp_path):
    wanted = job(ONE)[1]
    race = TrainingRace({}, tmp_path)
    race._ask = lambda *request: list(wanted.theta)
    untrained = query_loss(wanted)
    right = Right(wanted, [], [], wanted, [untrained])
    assert race._trained("a", right) == pytest.approx(untrained)
    for factor in (1.02 * BAND, 0.98 / BAND):
        with pytest.raises(Wrong, match="its query loss after 400 meta-steps is"):
            race._trained("a", right._replace(losses=[factor * untrained]))


def test_the_loss_is_that_after_the_inner_steps():
    wanted = job(ONE)[1]
    assert query_loss(wanted) == pytest.approx(reference(wanted).loss)


def test_the_first_call_and_blocks_are_meta_steps():
    body = Training(f"{FAKES}:Still")
    assert body.first(job(ONE)[1]) > 0
    wall, cpu = body.repeat(3)
    assert wall > 0 <= cpu


# ---------------------------------------------------------------- the command, in real processes


@pytest.mark.usefixtures("short")
def test_the_command_times_trainings(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(command, "gigaflops", lambda device: {"gflops": 1.0, "of": "nothing"})
    names = ["mamlbook", *(["JAX"] if HAS_JAX else [])]
    often = ["--rounds", "2", "--seconds", "0.1", "--results", str(tmp_path)]
    training.main(["--workloads", "sine-1", "--contenders", ",".join(names), *often])
    result = json.loads((tmp_path / "training.json").read_text())
    require_form(result)
    assert {row["contender"] for row in result["workloads"][0]["rows"]} == set(names)
    assert result["missing"] == []
    assert "| workload | ours     |" in capsys.readouterr().out


def test_the_fastest_are_set_against_each_other():
    def row(name, milliseconds, ratio):
        return {"contender": name, "milliseconds": milliseconds, "ratio": ratio}

    rows = [row("mamlbook compiled", 2.0, 1.0), row("JAX", 3.0, 1.6), row("mamlbook", 1.0, None), row("higher", 9.0, 5)]
    alone = {"name": "b", "rows": [row("JAX", 3.0, None), {"contender": "higher", "wrong": "far"}]}
    lines = against([{"name": "a", "rows": rows}, alone]).splitlines()
    assert [cell.strip() for cell in lines[2].split("|")[1:-1]] == ["a", "mamlbook", "1", "JAX", "3", "1.6"]
    assert [cell.strip() for cell in lines[3].split("|")[1:-1]] == ["b", "", "", "JAX", "3", ""]


# ---------------------------------------------------------------- what is stored


def require_form(result):
    """Hold a result to what the pages read from it."""
    assert set(result) >= {"device", "versions", "limit", "missing", "workloads"}
    for workload in result["workloads"]:
        assert workload["flops"] > 0
        assert workload["trained"] > 0
        assert block(workload, result["limit"]["gflops"]).count("\n") == len(workload["rows"]) + 4
        for row in workload["rows"]:
            low, high = row["quartiles"]
            assert 0 < low <= row["milliseconds"] <= high
            assert row["error"] < FOLLOWED_ERROR
            assert 1 / BAND < row["loss"] / workload["loss_of_fit"] < BAND
            assert row["first_call_seconds"] > 0 < row["second_start_seconds"]


def test_what_is_stored_is_complete_and_right():
    stored = recall("training")
    require_form(stored)
    named = {workload["name"]: workload for workload in stored["workloads"]}
    assert list(named) == [workload.name for workload in chosen(None, TRAININGS)]
    for workload in chosen(None, TRAININGS):
        kept = named[workload.name]
        assert (kept["steps"], kept["tasks"], kept["replicas"]) == (workload.steps, workload.tasks, workload.replicas)
        assert kept["trained"] == TRAINED
        untrained = query_loss(job(replace(workload, tasks=JUDGES, replicas=1), seed=UNSEEN)[1])
        assert untrained > BAND * kept["loss_of_fit"]
        timed = {row["contender"] for row in kept["rows"]}
        absent = {entry["contender"] for entry in stored["missing"] if workload.name in entry["workloads"]}
        assert timed | absent == {n for n, each in TRAINERS.items() if each.meets(workload) or each.excused(workload)}
