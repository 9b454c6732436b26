"""No run replaces a stored result unless it is told to."""

import argparse
import importlib

import pytest

from mamlbook.pages import RESULTS, RUNS

FILES = sorted((RESULTS.parent / "experiments").glob("*.py"))
COMMANDS = [f"experiments.{file.stem}" for file in FILES if "\ndef main(" in file.read_text()]


class Asked(Exception):
    """What a command has asked its parser."""


@pytest.mark.parametrize("command", [*COMMANDS, "benchmarks.meta_step"])
def test_a_run_writes_elsewhere_by_itself(command, monkeypatch):
    def parse_args(parser, words):
        raise Asked(parser.get_default("results"))

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", parse_args)
    with pytest.raises(Asked) as asked:
        importlib.import_module(command).main([])
    assert asked.value.args == (RUNS,)


def test_elsewhere_is_not_what_is_committed():
    ignored = (RESULTS.parent / ".gitignore").read_text().splitlines()
    assert f"/{RUNS}/" in ignored
    assert RUNS.name != RESULTS.name
