"""What a test does when its means are missing."""

import os

import pytest


def need(condition: object, reason: str) -> None:
    """Skip a test whose means are missing; on continuous integration they may not be missing, so it fails there."""
    if condition:
        return
    if os.environ.get("CI"):
        pytest.fail(f"{reason} (a skip, but CI is set)", pytrace=False)
    pytest.skip(reason)
