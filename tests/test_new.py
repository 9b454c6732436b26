"""A project that is begun with ``python -m mamlbook.new`` runs as it stands, somewhere else."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import mamlbook
from mamlbook import new

ROOT = Path(mamlbook.__file__).parent.parent


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    folder = tmp_path_factory.mktemp("somewhere") / "my_project"
    new.main([str(folder)])
    return folder


def run(project, *words):
    """A command in the folder of the project, where the package is installed and nothing else of it is at hand."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, *words], cwd=project, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_its_own_tests_pass(project):
    assert re.search(r"4 passed", run(project, "-m", "pytest", "-q", "-p", "no:cacheprovider"))


def test_it_trains_goes_on_and_is_measured(project):
    said = run(project, "train.py", "--steps", "20")  # as its readme says it, without a device
    assert len(re.findall(r"^alpha .* error \d", said, re.MULTILINE)) == 6
    run(project, "train.py", "--steps", "30", "--device", "cpu", "--resume")
    errors = [float(e) for e in re.findall(r"error (\d+\.\d+) ±", run(project, "evaluate.py", "--tasks", "50"))]
    assert len(errors) == 11
    assert errors[5] < errors[0]
    assert {"rates.json", "start.pt", "adapted.pt"} <= {file.name for file in project.iterdir()}


@pytest.mark.parametrize("trying", [True, False], ids=["trying rates", "training"])
def test_an_interrupt_ends_it_and_leaves_no_half(tmp_path, trying):
    folder = tmp_path / "mine"
    new.write(folder)
    code = f"""
import os, signal, sys, train
class Interrupted:
    draws = 0
    def draw(self, tasks, generator, own=train.TRAINING):
        Interrupted.draws += 1
        if Interrupted.draws == {3 if trying else 15}:  # six pairs of rates are tried for two steps each
            os.kill(os.getpid(), signal.SIGINT)
        return own.draw(tasks, generator)
    def __repr__(self):
        return "Sensors"
train.TRAINING = Interrupted()
sys.argv = ["train.py", "--steps", "20", "--device", "cpu"]
train.main()
"""
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{folder}", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    assert ("none are chosen; begin anew" if trying else "2 meta-steps are done, and start.pt is not") in done.stderr
    assert not (folder / "start.pt").exists()
    assert (folder / "rates.json").exists() is not trying


def test_what_is_missing_is_named(tmp_path):
    new.write(tmp_path / "mine")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    for words, said in (
        (["train.py", "--resume"], "--resume: expected rates.json and checkpoint.pt"),
        (["evaluate.py"], "expected start.pt here, which python train.py writes"),
    ):
        done = subprocess.run(
            [sys.executable, *words],
            cwd=tmp_path / "mine",
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 2
        assert said in done.stderr


def test_it_begins_where_python_has_no_docstrings(tmp_path):
    run(tmp_path, "-OO", "-W", "ignore", "-m", "mamlbook.new", "mine")
    assert (tmp_path / "mine" / "train.py").is_file()
    assert "--steps" in run(tmp_path / "mine", "-OO", "-W", "ignore", "train.py", "--help")


def test_what_comes_next_can_be_typed_as_it_stands(tmp_path, capsys):
    new.main([str(tmp_path / "my own project")])
    assert f"next: cd '{tmp_path}/my own project', then pytest" in capsys.readouterr().out


def test_nothing_is_written_over(tmp_path, capsys):
    (tmp_path / "mine.py").write_text("precious")
    for folder, said in ((tmp_path, "holds files"), (tmp_path / "mine.py", "is a file")):
        with pytest.raises(SystemExit):
            new.main([str(folder)])
        assert said in capsys.readouterr().err
    assert [file.name for file in tmp_path.iterdir()] == ["mine.py"]
