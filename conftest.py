"""Pytest's settings for the whole repository, the notebooks in book/ included."""

pytest_plugins = ["tools.nbval_tolerance"]
