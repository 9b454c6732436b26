"""The way in which meta-gradients are computed: asked for, or chosen by measuring; the same numbers in all of them."""

import json
from pathlib import Path

import pytest
import torch

from battery import model_for, relative, sine_model, sine_tasks, tasks_for
from mamlbook import ALGORITHMS, Execution, Sinusoids, distance, fit, maml
from mamlbook.execution import choice, tracing
from mamlbook.execution.choice import Executor
from mamlbook.execution.ways import COMPILED, EAGER, execution_of
from mamlbook.training import loop

ONE, FOUR = Execution(tasks=1), Execution(tasks=4)
WAYS = [EAGER, ONE, Execution(tasks=2), COMPILED, Execution(True, 1), Execution(True, 2)]


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv("MAMLBOOK_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache/executions.json"


@pytest.fixture
def interpreted(monkeypatch):
    """Trace, but let Python walk the trace."""
    monkeypatch.setattr(tracing, "_compiled", lambda graph, tensors: graph)


@pytest.fixture
def patient(monkeypatch):
    """Every run is long enough for everything."""
    monkeypatch.setattr(choice, "WORTH_MEASURING", 0)
    monkeypatch.setattr(choice, "WORTH_COMPILING", 0)


@pytest.fixture
def timed(monkeypatch, interpreted):
    """Times as the test has them, and the ways that were timed."""
    seconds, asked = {}, []

    def found(gradients, tasks):
        way = next(way for way in seconds if gradients is made.get(way))
        asked.append(way)
        return seconds[way]

    made, of = {}, Execution.of

    def remembered(self, *given):
        made[self] = of(self, *given)
        return made[self]

    monkeypatch.setattr(Execution, "of", remembered)
    monkeypatch.setattr(choice, "_seconds", found)
    return seconds, asked


@pytest.mark.parametrize("way", WAYS, ids=str)
@pytest.mark.parametrize("name", ["maml", "reptile", "anil"])
def test_every_way_gives_the_same_numbers(way, name, interpreted):
    learner, tasks = ALGORITHMS[name].offer(model_for(name), alpha=0.03, steps=2), tasks_for(name)
    wanted, wanted_losses = learner.gradients(tasks)
    found, losses = way.of(learner)(tasks)
    assert relative(found, wanted) < 1e-10
    assert distance([losses], [wanted_losses]) < 1e-10


def test_learned_rates_are_learned_one_task_at_a_time():
    learner, tasks = ALGORITHMS["meta-sgd"].offer(model_for("meta-sgd"), alpha=0.03, steps=2), tasks_for("meta-sgd")
    assert relative(ONE.of(learner)(tasks)[0], learner.gradients(tasks)[0]) < 1e-10
    with pytest.raises(ValueError, match="learned weights"):
        Execution(tasks=2).of(learner)(tasks)


@pytest.mark.parametrize(
    ("asked", "kind"), [("fast", ValueError), (True, TypeError), (Execution(tasks=0), ValueError), (None, TypeError)]
)
def test_what_is_no_execution_is_refused(asked, kind):
    with pytest.raises(kind, match=r"^execution: expected .*, got "):
        execution_of(asked)


def test_a_short_run_measures_nothing(timed, cache):
    history = fit(maml(sine_model(), 0.03, 1), Sinusoids(), steps=6, tasks=6)
    assert history.execution is None
    assert timed[1] == []
    assert not cache.exists()


def test_the_fastest_way_stays_and_is_remembered(timed, patient, cache):
    seconds, asked = timed
    seconds |= {ONE: 1e-5, FOUR: 2e-5, COMPILED: 3e-5, Execution(True, 1): 4e-5}
    learner, said = maml(sine_model(), 0.03, 1), []
    executor = Executor(learner, None, 10**8, say=said.append)
    for number in range(5):
        tasks = sine_tasks(6, seed=number)
        assert relative(executor(tasks)[0], learner.meta_gradient(tasks)) < 1e-10
    assert executor.execution == ONE
    assert asked == [ONE, FOUR, Execution(True, 1), COMPILED]
    assert len(said) == 1
    assert said[0].startswith(
        "execution: eager, one task at a time (milliseconds a meta-step: eager, all tasks at once "
    )

    again = Executor(learner, None, 10**8)
    again(sine_tasks(6))
    assert again.execution == ONE
    assert len(asked) == 4
    other = Executor(learner, None, 10**8)  # other shapes are another question
    other(sine_tasks(5))
    other(sine_tasks(5))
    assert len(asked) == 8
    assert len(json.loads(cache.read_text())) == 2


def test_compiling_has_to_pay(timed, patient, monkeypatch):
    seconds, _ = timed
    monkeypatch.setattr(choice, "CHUNKS", ())
    seconds[COMPILED] = 1e-9
    # What is compiled is there; to compile it again has to pay. A run that is known begins in its first step.
    for calls, wanted in ((10**9, COMPILED), (3, EAGER), (10**9, COMPILED)):
        executor = Executor(maml(sine_model(), 0.03, 2), None, calls)
        for _ in range(3):
            executor(sine_tasks(5))
        assert executor.execution == wanted


@pytest.mark.parametrize("damage", ["", "[]", "not json", '{"key": 3}'])
def test_a_damaged_cache_is_like_none(timed, patient, cache, damage):
    seconds, asked = timed
    seconds |= dict.fromkeys((ONE, FOUR, COMPILED, Execution(True, 1)), 1.0)
    cache.parent.mkdir()
    cache.write_text(damage)
    executor = Executor(maml(sine_model(), 0.03, 1), None, 1000)
    for _ in range(2):
        executor(sine_tasks(6))
    assert executor.execution == EAGER
    assert asked
    assert "[[[false, null]" in cache.read_text()


def test_what_draws_is_taken_all_at_once_and_draws_the_same(timed, patient):
    seconds, asked = timed
    seconds[COMPILED] = 1.0
    name = "dropgrad"

    def losses(execution):
        torch.manual_seed(3)
        learner = ALGORITHMS[name].offer(model_for(name), alpha=0.03, steps=2)
        return fit(learner, Sinusoids(), steps=6, tasks=6, execution=execution).losses

    assert losses("auto") == losses("eager")
    assert asked == [COMPILED]


def test_without_a_compiler_python_goes_on(patient, monkeypatch):
    def refuse(graph, tensors):
        raise RuntimeError("compiled: expected a C++ compiler")

    monkeypatch.setattr(tracing, "_compiled", refuse)
    learner, said = maml(sine_model(), 0.03, 1), []
    executor = Executor(learner, None, 1000, say=said.append)
    for _ in range(3):
        gradients, _ = executor(sine_tasks(6))
    assert relative(gradients, learner.meta_gradient(sine_tasks(6))) < 1e-10
    assert not executor.execution.compiled
    assert any(text.startswith("execution: not compiled, ") for text in said)


def test_a_run_that_goes_on_goes_on_in_the_same_way(tmp_path, interpreted):
    def train(steps, **options):
        learner = maml(sine_model(), 0.03, 2)
        return fit(learner, Sinusoids(), steps=steps, tasks=3, every=2, checkpoint=tmp_path / "run.pt", **options)

    asked = Execution(compiled=True, tasks=1)
    assert train(4, execution=asked).execution == asked
    assert train(8, resume=True).execution == asked
    assert train(9, resume=True, execution="eager").execution == EAGER


def test_what_is_told_of_the_limits_is_what_they_are():
    words = {10.0: "ten seconds", 120.0: "two minutes"}
    told = [Executor.__doc__, loop.__doc__, (Path(__file__).parents[2] / "book/variants/speed.ipynb").read_text()]
    for limit in (choice.WORTH_MEASURING, choice.WORTH_COMPILING):
        assert all(words[limit] in text.lower() for text in told)
