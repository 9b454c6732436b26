"""Pytest's settings for the whole repository, the notebooks in book/ included."""

import os

# One thread a kernel, as when the outputs were stored: the same sums in the same order, and processes that run side
# by side on few cores do not wait for one another's threads, which costs a factor of ten.
os.environ.setdefault("OMP_NUM_THREADS", "1")

pytest_plugins = ["mamlbook.pages.nbval_tolerance"]
