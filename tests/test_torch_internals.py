"""What the package uses of PyTorch's insides is there, and nowhere else; and its compiler stays within its memory."""

import ast
import os
import re
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

import mamlbook
from mamlbook import torch_internals

PACKAGE = Path(mamlbook.__file__).parent


def test_nothing_is_missing():
    assert torch_internals.missing() == []


def test_what_is_missing_is_named(monkeypatch):
    monkeypatch.delattr("torch.utils.flop_counter.flop_registry")
    assert torch_internals.missing() == [
        "torch.utils.flop_counter.flop_registry: without it goes counting costs",
    ]


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_insides_are_used_in_two_modules_only(path):
    if path.name in ("torch_internals.py", "torch_compiler.py"):
        return
    private = [name for name in names(ast.parse(path.read_text())) if INSIDE.search(name)]
    assert private == []


INSIDE = re.compile(r"^torch\.(.*\.)?(_[a-z]|flop_counter|experimental)")


def names(tree):
    """All dotted names that a module imports or reads."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.Attribute):
            yield ast.unparse(node)


OVERFLOWS = {
    "tasks": """
def function(s, e):
    d, e = (s[:32] / 10 - s[32:] / 10) / 0.64, e.permute(2, 0, 1)
    return [(d[:, :, None] * e[:, :, part:part + 8]).sum(0) for part in (0, 8, 16)]
inputs = [torch.randn(64, 5, dtype=torch.float64), torch.randn(5, 24, 32, dtype=torch.float64)]
""",
    "padded": """
def function(x):
    v = (x * 0.5) * (torch.erf(x * 0.7071067811865476) + 1)
    p = F.pad(v.permute(3, 2, 1, 0), (0, 0, 0, 58), value=0.5)
    return [torch.matmul(F.pad(v, (0, 0, 0, 0, 0, 58), value=0.5), p)]
inputs = [torch.randn(1, 8, 66, 66).contiguous(memory_format=torch.channels_last)]
""",
}


@pytest.mark.parametrize("name", list(OVERFLOWS))
def test_compiled_code_writes_no_further_than_it_may(name, tmp_path):
    """In a process of its own, which would be aborted."""
    script = f"""
import torch
import torch.nn.functional as F
from mamlbook.torch_compiler import compile_graph
from mamlbook.torch_internals import trace, with_values
torch.set_num_threads(1)
{OVERFLOWS[name]}
graph = trace(function, *inputs)
with_values(graph, *inputs)
code = compile_graph(graph, inputs)
got = [t.clone() for t in code(*inputs)]
torch.testing.assert_close(got, function(*inputs), rtol=1e-4, atol=1e-4)
"""
    subprocess.run([sys.executable, "-c", script], check=True, cwd=PACKAGE.parent)


def test_compiled_code_is_kept_on_disk(tmp_path):
    """A second process takes it from there, in one file for the whole graph."""
    script = """
import torch
from torch._dynamo.utils import counters
from mamlbook.torch_compiler import compile_graph
from mamlbook.torch_internals import trace, with_values
graph = trace(lambda x: [(x @ x).sin().sum(0), (x.T @ x).cos()], x := torch.eye(3))
with_values(graph, x)
compile_graph(graph, [x])(x)
print([counters["inductor"][f"fxgraph_cache_{found}"] for found in ("miss", "hit")])
"""
    place = os.environ | {"TORCHINDUCTOR_CACHE_DIR": str(tmp_path)}
    run = partial(subprocess.run, [sys.executable, "-c", script], check=True, cwd=PACKAGE.parent, env=place, text=True)
    assert [run(stdout=subprocess.PIPE).stdout.split("\n")[0] for _ in range(2)] == ["[1, 0]", "[0, 1]"]
    assert len(list(tmp_path.rglob("*.main.cpp"))) == 1
