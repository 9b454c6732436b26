"""The progress bar: in terminals and notebooks that a person runs, and not in the stored outputs of a page."""

import importlib.util
import io
import sys

import pytest
import tqdm.std

from mamlbook.progress import progress_bar
from need import need


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(
    ("stream", "shown", "expected"),
    [
        (Terminal, None, True),
        (Terminal, True, True),
        (Terminal, False, False),
        (io.StringIO, None, False),
        (io.StringIO, True, True),
    ],
)
def test_a_bar_is_shown_where_somebody_looks_or_when_asked_for(monkeypatch, stream, shown, expected):
    monkeypatch.setattr(sys, "stderr", stream())
    with progress_bar(3, shown, desc="evaluation") as bar:
        bar.update(3)
    assert ("3/3" in sys.stderr.getvalue()) == expected
    assert ("evaluation" in sys.stderr.getvalue()) == expected
    assert isinstance(bar, tqdm.std.tqdm)


CELL = """
import warnings
warnings.simplefilter("error")
from torch.nn.functional import mse_loss
from mamlbook import Model, Sinusoids, evaluate, fit, maml, mlp
learner = maml(Model(mlp(1, 4, 1), mse_loss))
fit(learner, Sinusoids(), steps=3, tasks=2)
evaluate(learner, Sinusoids(), tasks=4, chunk=2);
"""


def test_a_notebook_shows_a_bar_to_a_person_and_stores_none():
    need(importlib.util.find_spec("jupyter_client"), "jupyter_client is not installed")
    from jupyter_client.manager import start_new_kernel

    manager, client = start_new_kernel(kernel_name="python3")
    try:
        for person in (True, False):
            messages = []
            client.execute_interactive(CELL, allow_stdin=person, output_hook=messages.append, timeout=120)
            outputs = [m["content"] for m in messages if m["msg_type"] not in ("status", "execute_input")]
            assert not [output["evalue"] for output in outputs if "evalue" in output]
            # A widget, where there are widgets, and otherwise text.
            assert bool(outputs) == person, outputs
            text = "".join(output.get("text", "") for output in outputs)
            assert not person or "3/3" in text or any("data" in output for output in outputs)
            assert "IProgress" not in text
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
