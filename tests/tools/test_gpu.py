"""What ``make gpu`` runs: its limits, what it leaves behind, and that it begins where the book's tools are missing."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest
import torch

from benchmarks import meta_step
from benchmarks.command import known
from benchmarks.contenders import CONTENDERS
from benchmarks.workloads import GROUPS, chosen
from experiments import crossover, glyph_training, omniglot
from need import need
from tools import gpu
from tools.gpu import ROOT

# Modules of Python itself, as ``python -m`` runs them.
PASSES, FAILS = ["this"], ["json.tool", "no-such-file"]


def sleeps(before="pass"):
    return ["timeit", "-n1", "-r1", f"import signal, time; {before}; print('asleep', flush=True); time.sleep(60)"]


def test_what_fails_or_takes_too_long_stops_nothing(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(gpu, "LEAST_GRACE", 5)  # whatever else the machine does meanwhile
    out, begun = tmp_path / "new" / "out", time.monotonic()
    deaf = sleeps("signal.signal(signal.SIGINT, signal.SIG_IGN)")
    parts = {"one": [FAILS], "two": [sleeps(), PASSES], "three": [deaf], "four": [PASSES]}
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # as under nohup
    failed = gpu.run(parts, out, minutes=0.02, about={"device": "a rehearsal"})
    signal.signal(signal.SIGINT, before)
    assert time.monotonic() - begun < 20
    assert [name.split()[0] for name in failed] == ["one", "two", "two", "three"]
    summary = json.loads((out / "summary.json").read_text())
    assert summary["device"] == "a rehearsal"
    assert [(each["part"], each["outcome"].split(" with")[0]) for each in summary["done"]] == [
        ("one", "failed"),
        ("two", "cut off"),
        ("two", "not begun"),
        ("three", "cut off"),
        ("four", "passed"),
    ]
    assert all(each["seconds"] < 10 for each in summary["done"])
    log = (out / "log.txt").read_text()
    assert log == capsys.readouterr().out
    assert log.count("asleep\n") == 2
    assert "KeyboardInterrupt" in log, "it could have written what it had"
    assert "Beautiful is better than ugly" in log
    assert sorted(file.name for file in out.iterdir()) == ["log.txt", "summary.json"]


SLOWER_AND_SLOWER = """
import pytest, time

@pytest.mark.parametrize("seconds", [0, 0.01, pytest.param(0, marks=pytest.mark.skip(reason="at [5%]")), 60, 0])
def test_a(seconds):
    time.sleep(seconds)

def test_b():
    pass
"""


def test_what_had_passed_when_the_tests_were_cut_off(tmp_path):
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    (tmp_path / "test_it.py").write_text(SLOWER_AND_SLOWER)
    words = ["-v", "-rs", "-p", "no:cacheprovider", "-k", "test_a"]
    (failed,) = gpu.run({"tests": [["pytest", *words, str(tmp_path)]]}, tmp_path / "out", minutes=0.25, about={})
    assert failed == "tests (cut off: 2 passed, 1 skipped, 2 not reached)"
    assert json.loads((tmp_path / "out/summary.json").read_text())["done"][0]["outcome"] in failed


def test_all_tests_that_pass_are_counted_too(tmp_path, capsys):
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    (tmp_path / "test_it.py").write_text(SLOWER_AND_SLOWER)
    words = ["pytest", "-v", "-p", "no:cacheprovider", str(tmp_path), "-k", "test_b"]
    assert gpu.run({"tests": [words]}, tmp_path / "out", minutes=1, about={}) == []
    assert "=== tests: passed: 1 passed after" in capsys.readouterr().out


def test_the_command_ends_by_naming_what_did_not_pass(tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("MAMLBOOK_DATA", raising=False)
    monkeypatch.setattr(gpu, "PARTS", {"correctness": lambda *_: [PASSES], "race": lambda *_: [FAILS]})
    words = ["--device", "cpu", "--out", str(tmp_path), "--minutes", "1"]
    gpu.main([*words, "--parts", "correctness"])
    with pytest.raises(SystemExit, match=r"^make gpu: not passed: race \(failed with status \d\)$"):
        gpu.main(words)
    assert f"{tmp_path}: log.txt, summary.json" in capsys.readouterr().out
    assert json.loads((tmp_path / "summary.json").read_text())["versions"]["torch"] == torch.__version__


def test_what_is_missing_is_said_before_anything_runs(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SystemExit, match=r"sees no CUDA device here; DEVICE=cpu rehearses without one"):
        gpu.main(["--out", str(tmp_path / "out")])
    with pytest.raises(SystemExit, match=r"DATA: expected the folder .* without images_background.zip and images_eval"):
        gpu.main(["--out", str(tmp_path / "out"), "--device", "cpu", "--data", str(tmp_path)])
    monkeypatch.setattr(gpu, "NEEDED", ("torch", "no_such_package"))
    with pytest.raises(SystemExit, match=r"has no no_such_package; name another with PYTHON=.* or carry the wheels"):
        gpu.main(["--out", str(tmp_path / "out")])
    assert not (tmp_path / "out").exists()


def test_without_a_python_make_says_so_and_fails():
    need(shutil.which("make"), "make is not installed")
    run = subprocess.run(["make", "gpu", "PYTHON="], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode != 0
    assert "none was found; set PYTHON=/path/to/python." in run.stdout


def test_the_parts_are_commands_that_exist(tmp_path):
    options = gpu.arguments(["--out", str(tmp_path), "--data", str(tmp_path), "--minutes", "4"])
    (tests,), (race,), training, (crossed, glyphs) = (part(options, "scratch") for part in gpu.PARTS.values())
    assert tests[-5:-3] == ["tests/test_algorithms.py", "tests/test_devices.py"]
    assert tests[-1] == "tests/test_pages_on_a_gpu.py"
    raced = meta_step.arguments(race[1:])
    assert chosen(raced.workloads, GROUPS)
    assert "mamlbook compiled" in known(raced.contenders, CONTENDERS)
    trained = [omniglot.arguments(command[1:]) for command in training]
    assert [(each.ways, each.tasks, each.steps, each.alpha) for each in trained] == [(5, 32, 1, 2), (20, 16, 5, 2)]
    assert raced.minutes < 4
    assert sum(each.minutes for each in trained) < 3
    assert {each.results for each in (raced, *trained)} == {tmp_path}
    crossing, drawing = crossover.parsed(crossed[1:]), glyph_training.parsed(glyphs[1:])
    assert (crossing.device, drawing.device, crossing.minutes) == ("cuda", "cuda", 2)
    assert {crossing.results, drawing.results} == {tmp_path}
    assert f"{tmp_path.parent}" not in gpu.plain(race)


HIDDEN = ["IPython", "ipykernel", "jupyter_client", "nbclient", "nbformat", "nbval", "playwright", "pooch", "yaml"]


def test_the_gpu_tests_are_found_where_the_books_tools_are_missing():
    words = ["-m", "gpu", "-q", "--collect-only", "-W", "default", "-p", "no:cacheprovider", "tests"]
    code = f"import sys; sys.modules.update(dict.fromkeys({HIDDEN})); import pytest; sys.exit(pytest.main({words}))"
    settings = {name: value for name, value in os.environ.items() if name != "CI"}
    run = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=settings | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stdout[-3000:]
    assert "tests/test_algorithms.py::test_same_meta_gradient_on_a_gpu_without_a_wait[maml-gpu]" in run.stdout
    assert "error" not in run.stdout.splitlines()[-1]
