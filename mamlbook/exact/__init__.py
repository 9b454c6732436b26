"""What PyTorch computes in one kernel, as arithmetic that has all derivatives and knows tasks."""

from mamlbook.exact.operations import exact_operations

__all__ = ["exact_operations"]
