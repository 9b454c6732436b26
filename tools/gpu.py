"""Test, race and train on a GPU that is lent for minutes: what ``make gpu`` runs.

    python -m tools.gpu --out FOLDER --data FOLDER

Four parts, in order of worth and each with its own minutes: the tests that need a GPU, a race of one meta-gradient
against other libraries, Omniglot as in the paper, and what the page on GPUs shows. What goes wrong in one does not stop
the next. Nothing is installed: CONTRIBUTING.md says what a machine without a network has to be given.
"""

import argparse
import contextlib
import importlib.util
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, TextIO

ROOT = Path(__file__).resolve().parents[1]
NEEDED = ("torch", "higher", "pytest", "numpy", "matplotlib", "tqdm", "PIL")
GPU_TESTS = r"pytest\.mark\.gpu|\bDEVICES\b"  # by mark, or among the devices of tests/devices.py
ZIPS = ("images_background.zip", "images_evaluation.zip")
GRACE = 0.04  # of a part's time, in which it may write what it has before it is killed
LEAST_GRACE = 1.0  # seconds: an interrupted Python needs some of them, on a busy machine above all

# In order of worth: as many as are finished in time.
WORKLOADS = ("sine-5", "conv4-stride-1", "tasks-512", "conv4-max-5", "first-order-5", "sine-1", "sine-10")
CONTENDERS = ("mamlbook", "mamlbook compiled", "higher", "torch.func", "torch.func compiled", "JAX", "JAX im2col")
RACING = 0.85  # of the part's time; the rest is for starting and for the last table

# As in the paper, whose loss is a sum over the classes: its inner rates of 0.4 and 0.1 are 2 for the mean.
PAPER = "--shots 1 --algorithm maml --alpha 2 --iterations 60000"
# The share of the part's time to train in; the rest is for reading the drawings and for measuring.
TRAINED = {"--ways 5 --tasks 32 --steps 1": 0.4, "--ways 20 --tasks 16 --steps 5": 0.25}
# The share of the part's time for the race over tasks, width and steps; the rest is for the glyphs.
CROSSING = 0.5

Commands = list[list[str]]


def arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m tools.gpu", description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--out", type=Path, required=True, help="folder for results, log and summary")
    add("--data", type=Path, default=os.environ.get("MAMLBOOK_DATA"), help="folder of the two Omniglot zips")
    add("--device", choices=("cuda", "cpu"), default="cuda", help="cpu rehearses: no GPU test runs, little is measured")
    add("--minutes", type=float, default=4.0, help="for each part, at most")
    add("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    return parser.parse_args(words)


def correctness(options: argparse.Namespace, scratch: str) -> Commands:
    """The GPU tests: the battery of algorithms first, then what compiles or starts processes, the pages last."""
    files = [file for file in (ROOT / "tests").rglob("test_*.py") if re.search(GPU_TESTS, file.read_text())]
    files.sort(key=lambda file: ("page" in file.stem, "execution" in file.parts, len(file.parts), file))
    # Other packages' warnings are theirs, and the checkout may be read-only.
    words = ["-m", "gpu", "-v", "-rs", "--tb=short", "-W", "default", "-p", "no:cacheprovider"]
    paths = [str(file.relative_to(ROOT)) for file in files]
    return [["pytest", *words, "--junitxml", str(options.out / "correctness.xml"), *paths]]


def race(options: argparse.Namespace, scratch: str) -> Commands:
    """One meta-gradient in this package, in higher's own loop, in torch.func and in JAX."""
    # A rehearsal has no minutes for compilers.
    names = [name for name in CONTENDERS if options.device == "cuda" or "compiled" not in name]
    chosen = ["--workloads", ",".join(WORKLOADS), "--contenders", ",".join(names), "--device", options.device]
    bounds = ["--minutes", f"{RACING * options.minutes:g}", "--rounds", "7", "--seconds", "5", "--patience", "90"]
    return [["benchmarks.meta_step", *chosen, *bounds, "--results", str(options.out), *data(options)]]


def training(options: argparse.Namespace, scratch: str) -> Commands:
    """Omniglot, 1-shot: 5-way, then 20-way."""
    places = ["--device", options.device, "--results", str(options.out), "--checkpoints", scratch, *data(options)]
    tasks = [] if options.device == "cuda" else ["--evaluation-tasks", "4"]
    return [
        [
            *("experiments.omniglot", *protocol.split(), *PAPER.split()),
            *("--minutes", f"{share * options.minutes:g}", *tasks, *places),
        ]
        for protocol, share in TRAINED.items()
    ]


def crossover(options: argparse.Namespace, scratch: str) -> Commands:
    """Where the GPU overtakes the processor, and the training of glyphs that is to take it a minute."""
    places = ["--device", options.device, "--results", str(options.out)]
    minutes = ["--minutes", f"{CROSSING * options.minutes:g}"]
    rehearsal = options.device == "cpu"
    little = (
        [["--rounds", "1", "--compiled", "0"], ["--iterations", "2", "--test_tasks", "4"]] if rehearsal else [[], []]
    )
    return [
        ["experiments.crossover", *minutes, *little[0], *places],
        ["experiments.glyph_training", "--seeds", "1", *little[1], *places],
    ]


def data(options: argparse.Namespace) -> list[str]:
    """Name the folder of Omniglot, if there is one."""
    return ["--data", str(options.data)] if options.data else []


PARTS = {"correctness": correctness, "race": race, "training": training, "crossover": crossover}


def require(device: str, data: Path | None) -> None:
    """End with one sentence if something is missing without which nothing can run."""
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        sys.exit(
            f"make gpu: {sys.executable} has no {', '.join(missing)}; name another with PYTHON=/path/to/python, or "
            "carry the wheels as CONTRIBUTING.md says"
        )
    import torch

    if device == "cuda" and not torch.cuda.is_available():
        sys.exit(f"make gpu: torch {torch.__version__} sees no CUDA device here; DEVICE=cpu rehearses without one")
    absent = [name for name in ZIPS if data and not (data / name).is_file()]
    if absent:
        sys.exit(f"make gpu: DATA: expected the folder of the Omniglot zips, got {data} without {' and '.join(absent)}")


def surroundings(device: str) -> dict[str, Any]:
    """Name the device and the versions, the CUDA build of torch among them."""
    import torch

    from mamlbook.pages import environment

    found = environment(torch.device(device))
    for name in ("numpy", "jax", "triton", "pytest"):
        with contextlib.suppress(PackageNotFoundError):
            found["versions"][name] = version(name)
    return found


def run(parts: Mapping[str, Commands], out: Path, minutes: float, about: Mapping[str, Any]) -> list[str]:
    """Run the parts in turn, rewrite summary.json after each command, and return the names of what did not pass."""
    from mamlbook.files import replacing

    out.mkdir(parents=True, exist_ok=True)
    done: list[dict[str, Any]] = []
    with (out / "log.txt").open("w", encoding="utf-8") as log:
        for name, commands in parts.items():
            ends = time.monotonic() + 60 * minutes
            for command in commands:
                say(f"\n=== {name}: python -m {shlex.join(command)}\n", log)
                started, tests = time.monotonic(), Tally()
                outcome = execute([sys.executable, "-m", *command], ends - started, log, tests)
                ends = started if outcome == "cut off" else ends
                seconds = round(time.monotonic() - started, 1)
                say(f"=== {name}: {outcome}{tests} after {seconds} s\n", log)
                done.append(
                    {"part": name, "outcome": f"{outcome}{tests}", "seconds": seconds, "command": plain(command)}
                )
                with replacing(out / "summary.json") as partial:
                    partial.write_text(json.dumps({**about, "minutes": minutes, "done": done}, indent=1) + "\n")
    short = [each for each in done if not each["outcome"].startswith("passed")]
    return list(dict.fromkeys(f"{each['part']} ({each['outcome']})" for each in short))


class Tally:
    """The tests that pytest has named so far, by how they ended: a run that is cut off has no other account of them."""

    COLLECTED = re.compile(r"collected (?:.* )?(\d+) (?:items?|selected)\s*$")
    ENDED = re.compile(r"::.* (PASSED|FAILED|ERROR|SKIPPED)\b.*\[ *\d+%\]\s*$")

    def __init__(self) -> None:
        self.collected, self.ended = 0, Counter[str]()

    def read(self, line: str) -> None:
        """Take a line of ``pytest -v`` into account."""
        if found := self.COLLECTED.search(line):
            self.collected = int(found[1])
        elif found := self.ENDED.search(line):
            self.ended[found[1].lower()] += 1

    def __str__(self) -> str:
        counts = self.ended + Counter({"not reached": self.collected - self.ended.total()})  # what is zero is left out
        return ": " + ", ".join(f"{count} {how}" for how, count in counts.items()) if self.collected else ""


def plain(command: list[str]) -> str:
    """Give a command without the folders that it names: those are of one machine."""
    return shlex.join(["python", "-m", *(Path(word).name if Path(word).is_absolute() else word for word in command)])


def execute(command: list[str], seconds: float, log: TextIO, tests: Tally) -> str:
    """Run a command for so many seconds at most; show, log and count what it prints, and say how it ended."""
    if seconds <= 0:
        return "not begun"
    paths = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": paths, "PYTHONUNBUFFERED": "1", "TQDM_MININTERVAL": "10"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,  # so that what it has started can be ended with it
        # What runs under nohup, or behind an ampersand in a script, hands its deafness down.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    reader = threading.Thread(target=follow, args=(process.stdout, log, tests), daemon=True)
    reader.start()
    try:
        status = process.wait((1 - GRACE) * seconds)
        return "passed" if status == 0 else f"failed with status {status}"
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGINT)  # as by hand: it writes what it has
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(max(LEAST_GRACE, GRACE * seconds))
        return "cut off"
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        reader.join(GRACE * seconds)


def follow(lines: TextIO, log: TextIO, tests: Tally) -> None:
    """Show, log and count lines as they come."""
    with lines:
        for line in lines:
            say(line, log)
            tests.read(line)


def say(text: str, log: TextIO) -> None:
    """Print a text now, and write it to the log."""
    print(text, end="", flush=True)
    log.write(text)
    log.flush()


def main(words: Sequence[str] | None = None) -> None:
    """Run what the command line asks for; the exit status is 0 if all of it passed."""
    options = arguments(words)
    require(options.device, options.data)
    options.out, options.data = options.out.resolve(), options.data and options.data.resolve()
    with tempfile.TemporaryDirectory() as scratch:
        parts = {name: PARTS[name](options, scratch) for name in PARTS if name in options.parts}
        failed = run(parts, options.out, options.minutes, surroundings(options.device))
    print(f"\n{options.out}: {', '.join(sorted(file.name for file in options.out.iterdir() if file.is_file()))}")
    if failed:
        sys.exit(f"make gpu: not passed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
