"""Results that took long: written once by an experiment, with weights in half precision, and read ever after."""

from __future__ import annotations

import json
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mamlbook.files import replacing
from mamlbook.numerics import Params

_PACKAGE = Path(__file__).resolve().parent
# In a checkout the results lie beside the package, in an installed copy inside it.
RESULTS = _PACKAGE.parent / "results" if (_PACKAGE.parent / "results").is_dir() else _PACKAGE / "results"
# Where a run writes by itself: what pages and tests read is replaced by those who name its folder.
RUNS = Path("runs")


def environment(device: torch.device) -> dict[str, Any]:
    """What a number depends on besides its seed: device and versions."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else (platform.processor() or platform.machine())
    return {
        "device": f"{device.type} ({name}, {torch.get_num_threads()} threads)",
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "higher": package_version("higher"),
        },
    }


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


def recall_weights(name: str, start: str = "", *, folder: Path = RESULTS) -> Params:
    """The stored weights of that name, in single precision and in the order of ``net.parameters()``.

    Of a file with the weights of several networks, ``start`` is what the names of one network's weights begin with.

    Raises:
        FileNotFoundError: there are none.
    """
    with np.load(_existing(folder / f"{name}.npz")) as arrays:
        keys = [key for key in arrays.files if key.startswith(start)]
        return tuple(torch.from_numpy(arrays[key].astype(np.float32)) for key in keys)


def load_theta(net: torch.nn.Module, theta: Params) -> torch.nn.Module:
    """Put stored weights into a network, or a learner, of the same shapes, and return it.

    Raises:
        ValueError: the shapes are not those of its parameters.
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


def package_version(package: str) -> str:
    """The version that is installed, or 'unknown'."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"
