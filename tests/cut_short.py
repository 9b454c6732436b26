"""A page run in this process with its loops cut short: what each cell shows, on one device and on another."""

import ast
import contextlib
import io
import linecache
import warnings

import matplotlib.pyplot as plt
import pytest
import torch

import mamlbook
from mamlbook import pages
from tools.book import is_setup

META_STEPS, INNER_STEPS = 2, 20
WRITTEN_OUT = {
    "(10, 30, 100, 300, 1000)": "(10,)",
    "(0.003, 0.01, 0.03, 0.05, 0.1, 0.15, 0.2, 0.3)": "(0.01, 0.15)",
}
"""Loops of many steps that a page writes itself, and what makes them short."""

LONG_DESCENT = mamlbook.GradientDescent.__init__


def fit(learner, distribution, *, steps, **options):
    """The same training, of a few meta-steps."""
    return mamlbook.training.fit(learner, distribution, steps=min(steps, META_STEPS), **options)


def fit_one_by_one(learners, distribution, *, beta=1e-3, seeds=None, **options):
    """Replicas, each by itself: to compute all at once they are traced first, which takes seconds."""
    betas = beta if isinstance(beta, list) else [beta] * len(learners)
    each = zip(learners, betas, seeds or range(len(learners)), strict=True)
    return [fit(learner, distribution, beta=rate, seed=seed, **options) for learner, rate, seed in each]


def descend(self, alpha, steps, *transforms, **options):
    """An inner loop of hundreds of steps, of a few."""
    LONG_DESCENT(self, alpha, min(steps, INNER_STEPS), *transforms, **options)


def told(claim, value, **bounds):
    """A check that is not held to be true after so few meta-steps: it then shows its number."""
    try:
        pages.claims.check(claim, value, **bounds)
    except pages.CheckFailed:
        print(f"✗ {claim}: {getattr(value, 'item', lambda: value)():.3g}")


@contextlib.contextmanager
def loops_cut_short():
    """Let what a page imports train for a few meta-steps, and claim nothing about the result."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mamlbook, "fit", fit)
        patch.setattr(mamlbook, "fit_replicas", fit_one_by_one)
        patch.setattr(mamlbook.GradientDescent, "__init__", descend)
        patch.setattr(pages, "check", told)
        yield


def outputs(notebook, name):
    """What each code cell shows: what it prints, and its last value as text, or as HTML where it is a table."""
    torch.manual_seed(0)
    names, found = {"__name__": "__main__"}, {}
    with loops_cut_short(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the page itself is held to show none
        for number, cell in enumerate(notebook.cells):
            if cell.cell_type == "code" and not is_setup(cell):
                source = cell.source
                for long, short in WRITTEN_OUT.items():
                    source = source.replace(long, short)
                found[number] = shown(source, f"<cell {number} of {name}>", names)
    plt.close("all")
    return found


def shown(source, file, names):
    """Run a cell as Jupyter does, and give what it shows."""
    linecache.cache[file] = len(source), None, source.splitlines(keepends=True), file  # for a traceback
    tree, last = ast.parse(source, file), None
    if tree.body and isinstance(tree.body[-1], ast.Expr):
        last = ast.Expression(tree.body.pop().value)
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(compile(tree, file, "exec"), names)
        value = None if last is None else eval(compile(last, file, "eval"), names)
    return printed.getvalue() + displayed(value)


def displayed(value):
    """A value as a notebook shows it."""
    html = getattr(value, "_repr_html_", lambda: None)()
    return "" if value is None else html or repr(value)
