"""Results that take longer than a page may: written once by ``experiments``, read by pages and tests."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mamlbook.files import replacing
from mamlbook.numerics import Params

_PACKAGE = Path(__file__).resolve().parents[1]
# In a checkout the results lie beside the package, in an installed copy inside it.
RESULTS = _PACKAGE.parent / "results" if (_PACKAGE.parent / "results").is_dir() else _PACKAGE / "results"
# Where a run writes by itself: what pages and tests read is replaced by those who name its folder.
RUNS = Path("runs")


def environment(device: torch.device) -> dict[str, Any]:
    """What a number depends on besides its seed: device and versions."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else (platform.processor() or platform.machine())
    return {
        "device": f"{device.type} ({name}, {torch.get_num_threads()} threads)",
        "versions": {"python": platform.python_version(), "torch": torch.__version__, "higher": _version("higher")},
    }


def running_on() -> str:
    """What a page runs on, in one line: the package, torch, and the GPU that there is or is not."""
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU, so on the CPU"
    return f"mamlbook {_version('mamlbook')}, torch {torch.__version__}, {device}"


def record(name: str, result: dict[str, Any], theta: Params | None = None, *, folder: Path) -> Path:
    """Write ``result`` to <name>.json and, in half precision, theta to <name>.npz.

    Returns: the path of the JSON file.
    """
    # Serialised before anything is written, so that a result that cannot be stored changes nothing.
    text = json.dumps(result, indent=1, ensure_ascii=False) + "\n"
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{name}.json"
    if theta is not None:
        arrays: dict[str, Any] = {f"{number:02d}": t.detach().cpu().half().numpy() for number, t in enumerate(theta)}
        with replacing(folder / f"{name}.npz") as partial, partial.open("wb") as file:
            np.savez_compressed(file, **arrays)
    with replacing(target) as partial:
        partial.write_bytes(text.encode())
    return target


def recall(name: str, *, folder: Path = RESULTS) -> dict[str, Any]:
    """The stored result of that name.

    Raises:
        FileNotFoundError: there is none; the message lists those that exist.
    """
    return json.loads(_existing(folder / f"{name}.json").read_text(encoding="utf-8"))


def is_stored(name: str, *, folder: Path = RESULTS) -> bool:
    """Whether there is a result of that name; what only a GPU measures may be missing."""
    return (folder / f"{name}.json").is_file()


def recall_curves(name: str, kind: str = "new", *, folder: Path = RESULTS) -> Tensor:
    """A stored error after every inner step, one row for each seed: (seeds, S + 1).

    ``kind`` names which error, such as ``new`` or ``support``; see the result's own ``protocol``.

    Raises:
        FileNotFoundError: there is no such result.
    """
    return curves_of(recall(name, folder=folder), kind)


def recall_seeds(name: str, part: str, kind: str, *, folder: Path = RESULTS) -> dict[str, Tensor]:
    """Stored numbers of every method in one part of a result: method to (seeds, numbers).

    Raises:
        FileNotFoundError: there is no such result.
    """
    return {method: curves_of(run, kind) for method, run in recall(name, folder=folder)[part].items()}


def recall_sweep(knob: str, kind: str = "new", *, folder: Path = RESULTS) -> dict[str, Tensor]:
    """The same for every setting of a stored sweep over one knob: setting to (seeds, S + 1).

    Where a run had become infinite or nan there is nan.

    Raises:
        FileNotFoundError: there is no such sweep.
    """
    runs = recall(f"sweep-{knob}", folder=folder)["runs"]
    return {setting: curves_of(run, kind) for setting, run in runs.items()}


def curves_of(run: Mapping[str, Any], kind: str) -> Tensor:
    """The errors of one kind in a stored run, a row for each seed, nan where none could be stored."""
    nan = float("nan")
    return torch.tensor([[nan if v is None else v for v in curves[kind]] for curves in run["error"].values()])


def recall_chosen(name: str, criterion: str, *, folder: Path = RESULTS) -> dict[str, Tensor]:
    """What each method of a comparison came to with the settings that a criterion chose: method to (seeds, ...).

    A training that came to no end is a row of nan.

    Raises:
        FileNotFoundError: there is no such comparison.
    """
    runs = recall(name, folder=folder)["runs"]
    return {method: _rows(run["errors"][criterion]) for method, run in runs.items()}


def _rows(seeds: Sequence[Sequence[float | None] | None]) -> Tensor:
    nan = float("nan")
    width = max(len(row) for row in seeds if row is not None)
    return torch.tensor([[nan] * width if row is None else [nan if v is None else v for v in row] for row in seeds])


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


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"
