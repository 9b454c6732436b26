"""Results that take longer than a page may: written once by ``experiments``, read by pages and tests."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mamlbook.numerics import Params

_PACKAGE = Path(__file__).resolve().parents[1]
# In a checkout the results lie beside the package, in an installed copy inside it.
RESULTS = _PACKAGE.parent / "results" if (_PACKAGE.parent / "results").is_dir() else _PACKAGE / "results"


def environment(device: torch.device) -> dict[str, Any]:
    """What a number depends on besides its seed: device and versions."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else (platform.processor() or platform.machine())
    return {
        "device": f"{device.type} ({name}, {torch.get_num_threads()} threads)",
        "versions": {"python": platform.python_version(), "torch": torch.__version__, "higher": _version("higher")},
    }


def record(name: str, result: dict[str, Any], theta: Params | None = None, *, folder: Path = RESULTS) -> Path:
    """Write ``result`` to <name>.json and, in half precision, theta to <name>.npz.

    Returns: the path of the JSON file.
    """
    # Serialised before anything is written, so that a result that cannot be stored changes nothing.
    text = json.dumps(result, indent=1, ensure_ascii=False) + "\n"
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{name}.json"
    if theta is not None:
        arrays = {f"{number:02d}": t.detach().cpu().half().numpy() for number, t in enumerate(theta)}
        _write(folder / f"{name}.npz", lambda file: np.savez_compressed(file, **arrays))
    _write(target, lambda file: file.write(text.encode()))
    return target


def recall(name: str, *, folder: Path = RESULTS) -> dict[str, Any]:
    """The stored result of that name.

    Raises:
        FileNotFoundError: there is none; the message lists those that exist.
    """
    return json.loads(_existing(folder / f"{name}.json").read_text(encoding="utf-8"))


def recall_curves(name: str, kind: str = "new", *, folder: Path = RESULTS) -> Tensor:
    """A stored error after every inner step, one row for each seed: (seeds, S + 1).

    ``kind`` names which error, such as ``new`` or ``support``; see the result's own ``protocol``.

    Raises:
        FileNotFoundError: there is no such result.
    """
    return _curves(recall(name, folder=folder), kind)


def recall_seeds(name: str, part: str, kind: str, *, folder: Path = RESULTS) -> dict[str, Tensor]:
    """Stored numbers of every method in one part of a result: method to (seeds, numbers).

    Raises:
        FileNotFoundError: there is no such result.
    """
    return {method: _curves(run, kind) for method, run in recall(name, folder=folder)[part].items()}


def recall_sweep(knob: str, kind: str = "new", *, folder: Path = RESULTS) -> dict[str, Tensor]:
    """The same for every setting of a stored sweep over one knob: setting to (seeds, S + 1).

    Where a run had become infinite or nan there is nan.

    Raises:
        FileNotFoundError: there is no such sweep.
    """
    runs = recall(f"sweep-{knob}", folder=folder)["runs"]
    return {setting: _curves(run, kind) for setting, run in runs.items()}


def recall_field(kind: str = "new", *, folder: Path = RESULTS) -> dict[str, Tensor]:
    """The same for every algorithm of the comparison table: name to (seeds, S + 1).

    Raises:
        FileNotFoundError: no part of the table is stored.
    """
    parts = sorted(path.stem.removeprefix("sweep-") for path in folder.glob("sweep-field-*.json"))
    if not parts:
        _existing(folder / "sweep-field-first-order.json")
    return {name: error for part in parts for name, error in recall_sweep(part, kind, folder=folder).items()}


def recall_dial(rates: str = "runs", *, folder: Path = RESULTS) -> dict[str, Tensor]:
    """The errors of the stored task-diversity dial: role to (positions, seeds, S + 1), nan where not finite.

    ``rates`` is ``runs``, adapted at the rate of meta-training, or ``tuned``, at each run's own best rate.

    Raises:
        FileNotFoundError: no dial is stored.
    """
    stored = recall("diversity", folder=folder)[rates]
    return {role: torch.stack([_curves(place, "new") for place in places]) for role, places in stored.items()}


def _curves(run: dict[str, Any], kind: str) -> Tensor:
    nan = float("nan")
    return torch.tensor([[nan if v is None else v for v in curves[kind]] for curves in run["error"].values()])


def recall_times(what: str = "milliseconds", *, name: str = "meta-step", folder: Path = RESULTS) -> dict[str, dict]:
    """A number of every contender in every workload of the stored benchmark, and the milliseconds at the ``limit``.

    Raises:
        FileNotFoundError: there is no such result.
    """
    stored, times = recall(name, folder=folder), {}
    for workload in stored["workloads"]:
        limit = workload["flops"] / stored["limit"]["gflops"] / 1e6
        rows = {row["contender"]: row[what] for row in workload["rows"] if what in row}
        times[workload["name"]] = {"limit": limit, **rows}
    return times


def recall_weights(name: str, *, folder: Path = RESULTS) -> Params:
    """The stored weights of that name, in single precision and in the order of ``net.parameters()``.

    Raises:
        FileNotFoundError: there are none.
    """
    with np.load(_existing(folder / f"{name}.npz")) as arrays:
        return tuple(torch.from_numpy(arrays[key].astype(np.float32)) for key in arrays.files)


def load_theta(net: torch.nn.Module, theta: Params) -> torch.nn.Module:
    """Put stored weights into a network of the same shape, and return it.

    Raises:
        ValueError: the shapes are not those of the network.
    """
    shapes, expected = [tuple(t.shape) for t in theta], [tuple(p.shape) for p in net.parameters()]
    if shapes != expected:
        count = sum(p.numel() for p in net.parameters())
        raise ValueError(f"theta: expected {count} weights of shapes {expected}, got {shapes}")
    with torch.no_grad():
        for weight, stored in zip(net.parameters(), theta, strict=True):
            weight.copy_(stored)
    return net


def _existing(path: Path) -> Path:
    if not path.is_file():
        known = ", ".join(sorted(file.stem for file in path.parent.glob("*.json"))) or "none yet"
        raise FileNotFoundError(f"no stored result {path.name}; there are: {known}")
    return path


def _write(path: Path, write: Callable[[Any], object]) -> None:
    partial = path.with_name(path.name + ".partial")
    try:
        with partial.open("wb") as file:
            write(file)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"
