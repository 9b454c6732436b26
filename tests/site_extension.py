"""The modules with which the site makes its pages, which are no package."""

import importlib.util

import pytest

from tools.book import ROOT


def site_extension(name):
    """Give the module of that name; a test that has no Sphinx skips."""
    pytest.importorskip("sphinx")
    spec = importlib.util.spec_from_file_location(name, ROOT / f"book/_ext/{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
