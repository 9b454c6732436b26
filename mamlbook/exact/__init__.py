"""What PyTorch computes in one kernel, as arithmetic that has all derivatives and knows tasks."""

from mamlbook.exact.operations import exact_operations as exact_operations
