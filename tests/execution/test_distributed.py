"""Several processes, started by torchrun on this machine, against one."""

import itertools
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import product_cases as cases
from battery import relative
from mamlbook import distance, fit

ROOT = Path(__file__).resolve().parents[2]
LAUNCHED = ROOT / "tests" / "launched"


def torchrun(script, *words, count=2, **environment):
    """Start so many processes, and return what they printed and their exit status."""
    paths = [str(ROOT), str(ROOT / "tests"), *filter(None, [os.environ.get("PYTHONPATH")])]
    settings = {"PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [
            *(sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(count)),
            *(LAUNCHED / script, *map(str, words)),
        ],
        env=os.environ | settings | environment,
        capture_output=True,
        text=True,
        timeout=300,
    )


def computed(folder, count, device):
    run = torchrun("gradients.py", folder, device, count=count)
    assert run.returncode == 0, run.stderr
    return [torch.load(folder / f"{rank}.pt", weights_only=False) for rank in range(count)]


def alone(name):
    """The same in this process."""
    learner, tasks = cases.build(name)
    gradients, losses = learner.gradients(tasks)
    return [losses], gradients


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """Give what each of two processes has computed."""
    return computed(tmp_path_factory.mktemp("two"), 2, "cpu")


def test_every_task_is_in_one_share(two):
    assert [result["share"] for result in two] == [
        (0, 2, [slice(0, 1), slice(0, 3), slice(0, 4)]),
        (1, 2, [slice(1, 2), slice(3, 5), slice(4, 8)]),
    ]


@pytest.mark.parametrize("name", cases.GRADIENTS)
def test_the_meta_gradient_of_two_processes_is_that_of_one(name, two):
    losses, gradients = alone(name)
    for result in two:
        shared_losses, shared_gradients = result["gradients"][name]
        assert distance(shared_losses, losses) < 1e-12
        assert relative(shared_gradients, gradients) < 1e-12


def test_a_mean_gradient_of_each_share_does_as_well(two):
    # With weights 1/B a process needs nothing of the others' tasks: what a compiled meta-step gives is enough.
    losses, gradients = alone("meta-sgd")
    for result in two:
        assert distance(result["computed"][0], losses) < 1e-12
        assert relative(result["computed"][1], gradients) < 1e-12


@pytest.mark.parametrize("name", cases.TRAINED)
def test_training_in_two_processes_is_training_in_one(name, two):
    learner, distribution = cases.training(name)
    losses = fit(learner, distribution, **cases.FIT).losses
    (first, theta), (second, also) = (result["trained"][name] for result in two)
    assert first == second
    assert distance(theta, also) == 0
    assert first == pytest.approx(losses, rel=1e-10)
    assert distance(theta, [p.detach() for p in learner.parameters()]) < 1e-10


def test_processes_end_together_when_the_first_is_out_of_time(two):
    first, second = (result["limited"] for result in two)
    assert first == second == two[0]["trained"]["maml"][0][:1]


def test_processes_draw_noise_of_their_own(two):
    first, second = (result["noise"] for result in two)
    assert distance([first], [second]) > 0


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        ("too few tasks", "ValueError: tasks: expected at least one for each of the 2 processes, got 1; "),
        (
            "compiled weights",
            "ValueError: weighting: expected UniformWeights() in several processes, got Softmax",
        ),
        ("another device", "ValueError: device: expected the learner on cpu as its process is, got meta"),
        ("another seed", "RuntimeError: group: expected every process to hold the same, got different generator"),
        ("not finite", "NonFiniteLoss: the query loss became"),
        ("moml", "RuntimeError: group: expected every process to hold the same, got different metagradient.memory0"),
        ("moml-v2", "RuntimeError: group: expected every process to hold the same, got different metagradient.memory0"),
    ],
)
def test_every_process_refuses_alike(case, expected, two):
    messages = [result["refused"][case] for result in two]
    assert messages[0] == messages[1]
    assert messages[0].startswith(expected)


@pytest.fixture
def experiment(tmp_path):
    """Give a function that runs the Omniglot experiment in two processes, with its results in a folder."""

    def run(name, *more, **environment):
        folder = tmp_path / name
        options = ["--ways", "2", "--tasks", "3", "--iterations", "6", "--every", "2", "--evaluation-tasks", "2"]
        places = ["--device", "cpu", "--results", folder / "results", "--checkpoints", folder / "checkpoints"]
        return folder, torchrun("omniglot.py", *options, *places, *more, **environment)

    return run


def checkpoint(folder):
    return torch.load(folder / "checkpoints" / "omniglot-2w1s-maml.pt", weights_only=True)


def test_a_lost_process_ends_the_run_and_the_checkpoint_resumes_it(experiment):
    whole, run = experiment("whole", "--minutes", "60")  # the trial by which it plans leaves no trace
    assert run.returncode == 0, run.stderr
    assert run.stdout.count("6 meta-steps in") == 1
    assert "6/6" in run.stderr
    broken, run = experiment("broken", KILL_AT="5")
    assert run.returncode != 0
    assert not (broken / "results").exists()
    assert len(checkpoint(broken)["losses"]) == 4
    _, run = experiment("broken", "--resume")
    assert run.returncode == 0, run.stderr
    first, second = checkpoint(whole), checkpoint(broken)
    assert first["losses"] == second["losses"]
    assert all(torch.equal(first["learner"][name], value) for name, value in second["learner"].items())
    assert all(map(torch.equal, *(itertools.chain(*state["random"]) for state in (first, second))))
    assert len(first["random"]) == 2


@pytest.mark.gpu
def test_the_meta_gradient_of_every_gpu_is_that_of_one_process(tmp_path):
    count = min(torch.cuda.device_count(), 5)
    for result in computed(tmp_path, count, "cuda"):
        for name in cases.GRADIENTS:
            losses, gradients = alone(name)
            assert distance(result["gradients"][name][0], losses) < 1e-8
            assert relative(result["gradients"][name][1], gradients) < 1e-8
        for name in cases.TRAINED:
            assert result["trained"][name][0] == pytest.approx(fit(*cases.training(name), **cases.FIT).losses, rel=1e-6)
